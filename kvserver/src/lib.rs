//! Kvasir's trie server: tries, log, peer server and admin HTTP.
//!
//! ```text
//!   admin    server        /status /placement /metrics; the member at work
//!               |  authority     which placement is in force, which requests it allows (pure)
//!               |  catch_up      comparing with the other members and fetching differences
//!               |  writer_thread everything that waits is one batch
//!             store         a trie a slot, over
//!            trie  log      in memory, on disk
//! ```

pub mod admin;
pub mod authority;
pub mod catch_up;
pub mod cli;
pub mod limits;
pub mod log;
pub mod member_files;
pub mod metrics;
pub mod process;
pub mod server;
pub mod sessions;
pub mod store;
pub mod trie;
pub mod writer_thread;
