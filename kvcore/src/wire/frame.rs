//! Frames: the pieces in which both sides send.
//!
//! ```text
//!  0        4        8    9                17
//!  +--------+--------+----+----------------+----------------
//!  | length | crc32  |kind| request id     | body ...
//!  +--------+--------+----+----------------+----------------
//!  length: bytes after the length field, 13 to the limit; crc32: of kind, request id and body.
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes before the body.
pub const HEADER_BYTES: usize = 17;

/// Bytes of the header that the length counts.
const COUNTED_HEADER_BYTES: usize = HEADER_BYTES - 4;

/// Ties a reply to its request on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RequestId(pub u64);

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Says how to read the body.
    pub kind: u8,
    /// Of the request, and the same of its reply.
    pub id: RequestId,
    /// The message.
    pub body: Bytes,
}

/// Why bytes are no frames. The connection cannot go on: where the next frame starts is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length field exceeds the limit.
    #[error("a frame here has at most {limit} bytes, this one announces {bytes}")]
    TooLarge {
        /// Announced length.
        bytes: usize,
        /// Largest allowed.
        limit: usize,
    },
    /// The length field does not even cover the header.
    #[error("a frame has at least {COUNTED_HEADER_BYTES} bytes, this one announces {bytes}")]
    TooSmall {
        /// Announced length.
        bytes: usize,
    },
    /// Damaged on the way, or not this protocol at all.
    #[error("a frame's checksum does not match its bytes")]
    Checksum,
}

impl Frame {
    /// Appends the frame's bytes to `out`.
    ///
    /// The caller keeps to the receiver's limit; that is asserted, since a longer frame would
    /// end the connection.
    pub fn encode(&self, out: &mut BytesMut) {
        append_frame(out, self.id, |out| {
            out.put_slice(&self.body);
            self.kind
        });
    }
}

/// Appends a frame whose body `put_body` appends, giving the frame's kind. As [`Frame::encode`].
pub(super) fn append_frame(
    out: &mut BytesMut,
    id: RequestId,
    put_body: impl FnOnce(&mut BytesMut) -> u8,
) {
    let start = out.len();
    out.put_bytes(0, HEADER_BYTES);
    let kind = put_body(out);
    let frame = &mut out[start..];
    let length = frame.len() - 4;
    assert!(
        length <= crate::limits::FRAME_BYTES_MAX,
        "a frame of {length} bytes is too long"
    );
    let length = u32::try_from(length).expect("checked against the limit");
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame[8] = kind;
    frame[9..HEADER_BYTES].copy_from_slice(&id.0.to_le_bytes());
    let crc = crc32fast::hash(&frame[8..]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Turns a stream of bytes into frames, however it was split.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: BytesMut,
    limit: usize,
}

impl FrameDecoder {
    /// A decoder that refuses frames of more than `limit` bytes after the length field.
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            limit,
        }
    }

    /// Changes the limit, as when a handshake is over.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Where received bytes are to be appended.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether bytes of an unfinished frame are waiting.
    pub fn is_mid_frame(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next whole frame, `None` when more bytes are needed.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(length) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let bytes = u32::from_le_bytes(*length) as usize;
        if bytes < COUNTED_HEADER_BYTES {
            return Err(FrameError::TooSmall { bytes });
        }
        if bytes > self.limit {
            return Err(FrameError::TooLarge {
                bytes,
                limit: self.limit,
            });
        }
        if self.buffer.len() < 4 + bytes {
            self.buffer.reserve(4 + bytes - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(4);
        let mut frame = self.buffer.split_to(bytes).freeze();
        let crc = frame.get_u32_le();
        if crc32fast::hash(&frame) != crc {
            return Err(FrameError::Checksum);
        }
        let kind = frame.get_u8();
        let id = RequestId(frame.get_u64_le());
        Ok(Some(Frame {
            kind,
            id,
            body: frame,
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Vec<Frame>> {
        let frame = (
            any::<u8>(),
            any::<u64>(),
            prop::collection::vec(any::<u8>(), 0..300),
        );
        let frame = frame.prop_map(|(kind, id, body)| Frame {
            kind,
            id: RequestId(id),
            body: body.into(),
        });
        prop::collection::vec(frame, 0..8)
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(frames in frames(), cut in 1usize..50) {
            let mut bytes = BytesMut::new();
            for frame in &frames {
                frame.encode(&mut bytes);
            }
            let mut decoder = FrameDecoder::new(1024);
            let mut decoded = Vec::new();
            for piece in bytes.chunks(cut) {
                decoder.buffer().extend_from_slice(piece);
                while let Some(frame) = decoder.next_frame().expect("just encoded") {
                    decoded.push(frame);
                }
            }
            prop_assert_eq!(decoded, frames);
            prop_assert!(!decoder.is_mid_frame());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let mut decoder = FrameDecoder::new(100);
            decoder.buffer().extend_from_slice(&bytes);
            while let Ok(Some(_)) = decoder.next_frame() {}
        }

        #[test]
        fn a_flipped_bit_is_noticed(bit in 0usize..8 * 13) {
            let frame = Frame { kind: 7, id: RequestId(9), body: Bytes::from_static(b"body") };
            let mut bytes = BytesMut::new();
            frame.encode(&mut bytes);
            bytes[4 + bit / 8] ^= 1 << (bit % 8);
            let mut decoder = FrameDecoder::new(100);
            decoder.buffer().extend_from_slice(&bytes);
            prop_assert_eq!(decoder.next_frame(), Err(FrameError::Checksum));
        }
    }

    #[test]
    fn lengths_are_checked_before_anything_is_reserved() {
        let mut decoder = FrameDecoder::new(100);
        decoder.buffer().extend_from_slice(&u32::MAX.to_le_bytes());
        let error = decoder.next_frame().unwrap_err();
        assert!(error.to_string().contains("at most 100 bytes"), "{error}");
        assert!(decoder.buffer().capacity() < 4096);
    }
}
