//! The tokio shell that trie servers and brokers share.
//!
//! `peer` carries the peer protocol over TCP, `http` serves warp filters with limits; the rest is
//! what every process needs around them: when a writer writes, the clock, the secret's file, logs and
//! shutdown.

pub mod accept;
pub mod clock;
pub mod descriptors;
pub mod gather;
pub mod http;
pub mod limits;
pub mod logs;
pub mod peer;
pub mod secret_file;
pub mod shutdown;
