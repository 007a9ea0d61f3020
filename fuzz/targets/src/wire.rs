//! The peer protocol: messages, frames at any splits, and the handshake.

mod frames;
mod handshake;

use bytes::Bytes;
use kvcore::{
    limits::FRAME_BYTES_MAX,
    wire::{
        Frame, RequestId, decode_reply, decode_request, encode_reply, encode_request,
        frame::HEADER_BYTES,
    },
};

use crate::input::Input;

/// The kind of a refusal, whose placement has a byte before it.
const REFUSED: u8 = 0xFF;

/// What is read as a message is written and read as the same; no bytes make anything panic; a peer
/// without the secret is never let in.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 6 {
        0 => message(&frame(&mut input)),
        1 => message(&sealed(frame(&mut input))),
        2 => frames::stream(input, frames::Checksums::AsTheyAre),
        3 => frames::stream(input, frames::Checksums::Right),
        4 => frames::series(input),
        _ => handshake::play(input),
    }
}

fn frame(input: &mut Input<'_>) -> Frame {
    Frame {
        kind: input.byte(),
        id: RequestId(u64::from(input.long()) << 32 | 7),
        body: Bytes::copy_from_slice(input.rest()),
    }
}

/// The same with the right checksum at its end, as a placement has one.
fn sealed(mut frame: Frame) -> Frame {
    let before = usize::from(frame.kind == REFUSED).min(frame.body.len());
    let mut body = frame.body.to_vec();
    let crc = crc32fast::hash(&body[before..]);
    body.extend_from_slice(&crc.to_le_bytes());
    frame.body = body.into();
    frame
}

fn message(frame: &Frame) {
    if let Ok(request) = decode_request(frame) {
        let again = encode_request(frame.id, &request);
        assert_eq!(again.id, frame.id);
        assert_eq!(decode_request(&again).as_ref(), Ok(&request));
        assert_eq!(again.kind & 0x80, 0, "the highest bit marks replies");
        through_a_stream(again);
    }
    if let Ok(reply) = decode_reply(frame) {
        let again = encode_reply(frame.id, &reply);
        assert_eq!(decode_reply(&again).as_ref(), Ok(&reply));
        assert_eq!(again.kind & 0x80, 0x80, "the highest bit marks replies");
        through_a_stream(again);
    }
}

/// Text that was not UTF-8 grows by being read; nobody sends it on.
fn through_a_stream(frame: Frame) {
    if frame.body.len() + HEADER_BYTES <= FRAME_BYTES_MAX {
        frames::is_kept(&[frame]);
    }
}
