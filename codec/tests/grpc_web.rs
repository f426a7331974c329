//! What holds for bodies of gRPC-Web wherever they are cut.
#![allow(clippy::unwrap_used)]

use codec::http::grpc_web::{Decoder, Messages, encode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// The pieces of a body that is cut at these places.
fn cut<'b>(body: &'b [u8], places: &[Index]) -> Vec<&'b [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(body.len() + 1)).collect();
    places.extend([0, body.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn base64_in_padded_pieces_reads_the_same_wherever_it_is_cut(
        body in vec(any::<u8>(), 0..500),
        written in vec(any::<Index>(), 0..8),
        came in vec(any::<Index>(), 0..20),
    ) {
        let text: Vec<u8> = cut(&body, &written).into_iter().flat_map(encode).collect();
        let mut decoder = Decoder::default();
        let mut read = Vec::new();
        for piece in cut(&text, &came) {
            let bytes = decoder.decode(piece).unwrap();
            prop_assert!(bytes.len() <= piece.len() / 4 * 3 + 3);
            read.extend(bytes);
        }
        prop_assert_eq!(read, body);
        prop_assert_eq!(decoder.end(), Ok(()));
    }

    #[test]
    fn what_is_no_base64_is_refused_alike_wherever_it_is_cut(
        text in "[A-Da-d=]{0,12}|[ -~]{0,12}",
        came in vec(any::<Index>(), 0..6),
    ) {
        let read = |pieces: Vec<&[u8]>| {
            let mut decoder = Decoder::default();
            let mut read = Vec::new();
            for piece in pieces {
                read.extend(decoder.decode(piece)?);
            }
            decoder.end().map(|()| read)
        };
        prop_assert_eq!(read(cut(text.as_bytes(), &came)), read(vec![text.as_bytes()]));
    }

    #[test]
    fn messages_end_at_the_same_places_wherever_they_are_cut(
        messages in vec(vec(any::<u8>(), 0..50), 0..6),
        rest in 0..5_usize,
        came in vec(any::<Index>(), 0..10),
    ) {
        let mut body: Vec<u8> = Vec::new();
        for message in messages {
            body.push(0);
            body.extend((message.len() as u32).to_be_bytes());
            body.extend(message);
        }
        body.extend(vec![0; rest]);
        let mut passed = Messages::default();
        for piece in cut(&body, &came) {
            passed.pass(piece);
        }
        prop_assert_eq!(passed.is_between(), rest == 0);
    }
}
