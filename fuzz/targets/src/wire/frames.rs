//! Frames: the same ones, however the bytes were split.

use bytes::{Bytes, BytesMut};
use kvcore::{
    limits::FRAME_BYTES_MAX,
    wire::{Frame, FrameDecoder, FrameError, RequestId, frame::HEADER_BYTES},
};

use crate::input::Input;

/// What is done to the frames' checksums before they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checksums {
    /// Nothing.
    AsTheyAre,
    /// They are made right, so that more is reached than a mismatch.
    Right,
}

/// What a decoder made of its bytes.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    frames: Vec<Frame>,
    error: Option<FrameError>,
    mid_frame: bool,
}

/// Arbitrary bytes as a stream, at once, cut anywhere, and byte for byte.
pub(super) fn stream(mut input: Input<'_>, checksums: Checksums) {
    let limit = usize::from(input.short()) * 8;
    let seeds = input.piece();
    let mut bytes = input.rest().to_vec();
    if checksums == Checksums::Right {
        make_right(&mut bytes);
    }
    let whole = decode(limit, &[&bytes]);
    assert_eq!(decode(limit, &Input::cut(seeds, &bytes)), whole);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(decode(limit, &single), whole);
}

/// Frames that were encoded come out as they went in.
pub(super) fn series(mut input: Input<'_>) {
    let mut frames = Vec::new();
    while !input.is_empty() && frames.len() < 16 {
        frames.push(Frame {
            kind: input.byte(),
            id: RequestId(u64::from(input.long())),
            body: Bytes::copy_from_slice(input.piece()),
        });
    }
    is_kept(&frames);
}

/// Encodes and decodes them.
pub(super) fn is_kept(frames: &[Frame]) {
    let mut bytes = BytesMut::new();
    for frame in frames {
        frame.encode(&mut bytes);
    }
    let decoded = decode(FRAME_BYTES_MAX, &[&bytes]);
    assert_eq!(decoded.error, None);
    assert!(!decoded.mid_frame, "bytes are left over");
    assert_eq!(decoded.frames, frames);
}

fn decode(limit: usize, pieces: &[&[u8]]) -> Decoded {
    let mut decoder = FrameDecoder::new(limit);
    let mut decoded = Decoded {
        frames: Vec::new(),
        error: None,
        mid_frame: false,
    };
    for piece in pieces {
        decoder.buffer().extend_from_slice(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => decoded.frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    decoded.error = Some(error);
                    return decoded;
                }
            }
        }
        // Growing doubles, and what was announced within the limit may be made room for.
        let most = 2 * (limit + piece.len()) + 4096;
        let capacity = decoder.buffer().capacity();
        assert!(capacity <= most, "{capacity} bytes for at most {limit}");
    }
    decoded.mid_frame = decoder.is_mid_frame();
    decoded
}

fn make_right(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(length) = bytes.get(at..at + 4) {
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        let Some(frame) = bytes.get_mut(at + 4..at + 4 + length) else {
            return;
        };
        if length < HEADER_BYTES - 4 {
            return;
        }
        let crc = crc32fast::hash(&frame[4..]);
        frame[..4].copy_from_slice(&crc.to_le_bytes());
        at += 4 + length;
    }
}
