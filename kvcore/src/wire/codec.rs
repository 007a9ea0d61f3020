//! Messages as frames and back. The byte drawings stand in `docs/protocols.md`.

mod decode;
mod encode;

use bytes::BytesMut;

use super::{
    frame::{Frame, RequestId, append_frame},
    message::{Reply, Request},
    read::Truncated,
};
use crate::{key::KeyError, placement::DecodeError, slot::NoSuchSlot};

/// Why a frame is no message of this protocol. Other frames of the connection are not affected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// No message has this kind.
    #[error("no message has kind {0:#04x}")]
    Kind(u8),
    /// The body ends early.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// The body goes on after the message.
    #[error("{0} bytes follow the end of the message")]
    Trailing(usize),
    /// A key out of limits.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A slot that does not exist.
    #[error(transparent)]
    Slot(#[from] NoSuchSlot),
    /// A broken placement.
    #[error(transparent)]
    Placement(#[from] DecodeError),
    /// A number that stands for nothing.
    #[error("{what} cannot be {number}")]
    Choice {
        /// What it should have been.
        what: &'static str,
        /// The number found.
        number: u64,
    },
    /// A length beyond its limit.
    #[error("{what}: at most {limit} are allowed, {number} are announced")]
    Limit {
        /// What is too many or too long.
        what: &'static str,
        /// The limit.
        limit: usize,
        /// The number found.
        number: usize,
    },
}

/// The kinds of frames; a reply has the highest bit.
mod kind {
    pub(super) const PING: u8 = 0x01;
    pub(super) const FETCH_PLACEMENT: u8 = 0x02;
    pub(super) const ADOPT: u8 = 0x03;
    pub(super) const GET: u8 = 0x10;
    pub(super) const GET_VERSION: u8 = 0x11;
    pub(super) const GET_CHUNK: u8 = 0x12;
    pub(super) const PUT: u8 = 0x13;
    pub(super) const PUT_CHUNK: u8 = 0x14;
    pub(super) const SCAN: u8 = 0x15;
    pub(super) const DIGESTS: u8 = 0x20;
    pub(super) const BUCKETS: u8 = 0x21;
    pub(super) const VERSIONS: u8 = 0x22;

    pub(super) const PONG: u8 = 0x81;
    pub(super) const PLACEMENT: u8 = 0x82;
    pub(super) const ADOPTED: u8 = 0x83;
    pub(super) const RECORD: u8 = 0x90;
    pub(super) const VERSION: u8 = 0x91;
    pub(super) const CHUNK: u8 = 0x92;
    pub(super) const STORED: u8 = 0x93;
    pub(super) const CHUNK_STORED: u8 = 0x94;
    pub(super) const PAGE: u8 = 0x95;
    pub(super) const SUPERSEDED: u8 = 0x96;
    pub(super) const DIGEST_LIST: u8 = 0xA0;
    pub(super) const BUCKET_LIST: u8 = 0xA1;
    pub(super) const VERSION_PAGE: u8 = 0xA2;
    pub(super) const UNCERTAIN: u8 = 0xFE;
    pub(super) const REFUSED: u8 = 0xFF;
}

/// A request as a frame.
pub fn encode_request(id: RequestId, request: &Request) -> Frame {
    let mut body = BytesMut::new();
    let kind = encode::request(request, &mut body);
    let body = body.freeze();
    Frame { kind, id, body }
}

/// A reply as a frame.
pub fn encode_reply(id: RequestId, reply: &Reply) -> Frame {
    let mut body = BytesMut::new();
    let kind = encode::reply(reply, &mut body);
    let body = body.freeze();
    Frame { kind, id, body }
}

/// Appends the bytes of a request's frame; as [`encode_request`], with no copy between.
pub fn append_request(out: &mut BytesMut, id: RequestId, request: &Request) {
    append_frame(out, id, |out| encode::request(request, out));
}

/// Appends the bytes of a reply's frame; as [`encode_reply`], with no copy between.
pub fn append_reply(out: &mut BytesMut, id: RequestId, reply: &Reply) {
    append_frame(out, id, |out| encode::reply(reply, out));
}

/// The request in a frame.
pub fn decode_request(frame: &Frame) -> Result<Request, CodecError> {
    decode::request(frame.kind, &frame.body)
}

/// The reply in a frame.
pub fn decode_reply(frame: &Frame) -> Result<Reply, CodecError> {
    decode::reply(frame.kind, &frame.body)
}

#[cfg(test)]
mod tests;
