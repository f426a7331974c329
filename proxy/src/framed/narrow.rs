//! For tests: Dubbo with ids of 32 bits, as Bolt has them.

use bytes::BytesMut;
use codec::dubbo::{Dubbo, Origin, RequestHead};
use codec::{DecodeError, Detect, EditError, Fault, FrameCodec, Meta, Outcome, Substitute};

pub(crate) struct Narrow;

impl FrameCodec for Narrow {
    const NAME: &'static str = "narrow";
    const HEADER_LEN: usize = Dubbo::HEADER_LEN;
    const ID_BITS: u32 = 32;

    type Origin = Origin;
    type Head<'a> = RequestHead<'a>;

    fn detect(prefix: &[u8]) -> Detect {
        Dubbo::detect(prefix)
    }

    fn frame_len(header: &[u8]) -> Result<u64, DecodeError> {
        Dubbo::frame_len(header)
    }

    fn meta(frame: &[u8]) -> Result<Meta, DecodeError> {
        Dubbo::meta(frame)
    }

    fn head(frame: &[u8]) -> Self::Head<'_> {
        Dubbo::head(frame)
    }

    fn origin(header: &[u8]) -> Origin {
        Dubbo::origin(header)
    }

    fn id_of(origin: Origin) -> u64 {
        Dubbo::id_of(origin)
    }

    fn binds(head: &Self::Head<'_>) -> bool {
        Dubbo::binds(head)
    }

    fn set_id(header: &mut [u8], id: u64) {
        Dubbo::set_id(header, id & u64::from(u32::MAX));
    }

    fn set_field(
        frame: &[u8],
        name: &str,
        value: &str,
        out: &mut BytesMut,
    ) -> Result<(), EditError> {
        Dubbo::set_field(frame, name, value, out)
    }

    fn remove_fields(frame: &[u8], names: &[&str], out: &mut BytesMut) -> Result<(), EditError> {
        Dubbo::remove_fields(frame, names, out)
    }

    fn outcome(frame: &[u8]) -> Outcome {
        Dubbo::outcome(frame)
    }

    fn ping(id: u64, out: &mut BytesMut) {
        Dubbo::ping(id, out);
    }

    fn pong(ping: &[u8], out: &mut BytesMut) {
        Dubbo::pong(ping, out);
    }

    fn go_away(id: u64, out: &mut BytesMut) {
        Dubbo::go_away(id, out);
    }

    fn reply(origin: Origin, fault: &Fault, out: &mut BytesMut) {
        Dubbo::reply(origin, fault, out);
    }

    fn substitute(origin: Origin, answer: &Substitute, out: &mut BytesMut) {
        Dubbo::substitute(origin, answer, out);
    }
}
