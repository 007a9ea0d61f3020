//! The peer protocol: what brokers and trie servers say to each other on port 7400.
//!
//! ```text
//!   frame     bytes <-> Frame       incremental, checksummed, limited
//!   handshake Frame <-> Frame       who is who, proven by the cluster's secret, nothing in clear
//!   message   Request, Reply        what is said afterwards
//!   codec     message <-> Frame
//!   admin     text              proofs for writes over HTTP, on servers and brokers
//! ```
//!
//! Everything is pure: bytes come in by whatever pieces the network makes of them. The byte
//! drawings stand in `docs/protocols.md`.

pub mod admin;
mod codec;
pub mod frame;
pub mod handshake;
pub mod message;
pub mod read;
pub mod secret;

pub use self::{
    codec::{
        CodecError, append_reply, append_request, decode_reply, decode_request, encode_reply,
        encode_request,
    },
    frame::{Frame, FrameDecoder, FrameError, RequestId},
    message::{
        BUCKETS, Bucket, BucketSet, Found, Intent, Page, PageEntry, Refusal, Reply, Request, Scope,
        ScopedSlots, SlotDigest, Standing, VersionEntry, VersionPage, Want,
    },
    secret::Secret,
};

/// Version of the protocol; a handshake with another one is refused.
pub const PROTOCOL_VERSION: u16 = 1;
