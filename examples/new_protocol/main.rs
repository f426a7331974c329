//! What a new protocol has to say, on one page.
//!
//! ```sh
//! cargo run -p examples --bin new_protocol
//! ```
//!
//! Notice: `tiny.rs` is pure functions over bytes. It opens no socket, keeps no
//! table of calls and knows no timer; ids, deadlines, heartbeats and batching are
//! the engine's. This program plays the engine's part for one call.

mod tiny;

use bytes::BytesMut;
use codec::{DecodeError, Detect, Fault, FrameCodec, Reason, RequestHead};

use tiny::Tiny;

fn main() -> Result<(), DecodeError> {
    let mut wire = BytesMut::new();
    tiny::write(0, 7, b"shop.Cart\0add\0two apples", &mut wire);
    println!("a caller sends      {}", wire.escape_ascii());

    assert_eq!(Tiny::detect(&wire), Detect::Yes);
    let length = Tiny::frame_len(&wire)?;
    println!("detected as         {}, {length} bytes", Tiny::NAME);

    let meta = Tiny::meta(&wire)?;
    let head = Tiny::head(&wire);
    let target = head.target()?;
    println!("which is            {:?}, id {}", meta.kind, meta.id);
    println!("routed by           {} {}", target.service, target.method);

    let origin = Tiny::origin(&wire);
    Tiny::set_id(&mut wire, 4711);
    println!("sent upstream as    {}", wire.escape_ascii());

    let fault = Fault::new(Reason::NoEndpoint, "nobody provides shop.Cart", "start a provider");
    let mut answer = BytesMut::new();
    Tiny::reply(origin, &fault, &mut answer);
    println!("or answered with    {}", answer.escape_ascii());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> BytesMut {
        let mut frame = BytesMut::new();
        tiny::write(0, 7, b"shop.Cart\0add\0two apples", &mut frame);
        frame
    }

    #[test]
    fn a_header_is_read_at_every_split_and_detection_never_changes_its_mind() {
        let frame = frame();
        for end in 0..frame.len() {
            let part = &frame[..end];
            assert_ne!(Tiny::detect(part), Detect::No);
            assert_eq!(Tiny::frame_len(part).is_ok(), end >= Tiny::HEADER_LEN);
        }
        assert_eq!(Tiny::detect(b"TX"), Detect::No);
    }

    #[test]
    fn another_id_changes_nothing_else() -> Result<(), DecodeError> {
        let mut changed = frame();
        Tiny::set_id(&mut changed, 0xffff_ffff);
        assert_eq!(Tiny::meta(&changed)?.id, 0xffff_ffff);
        Tiny::set_id(&mut changed, 7);
        assert_eq!(changed, frame());
        Ok(())
    }

    #[test]
    fn a_fault_carries_the_callers_id_and_the_whole_text() -> Result<(), DecodeError> {
        let fault = Fault::new(Reason::Timeout, "no answer", "wait longer");
        let mut answer = BytesMut::new();
        Tiny::reply(Tiny::origin(&frame()), &fault, &mut answer);
        assert_eq!(Tiny::meta(&answer)?.id, 7);
        assert!(answer.ends_with(fault.to_string().as_bytes()));
        Ok(())
    }
}
