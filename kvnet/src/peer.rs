//! The peer protocol over TCP.
//!
//! [`client::PeerClient`] is a [`kvcore::replica::Replica`] behind a socket; [`server::serve`]
//! puts any replica behind one. What both share of a connection stands in `stream`.

pub mod client;
mod connect;
pub mod dial;
pub mod server;
mod stream;
