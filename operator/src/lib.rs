//! Kvasir's operator: keeps what every `KvCluster` asks for.
//!
//! A reconciliation reads `observe → validate → plan → act → status`. [`plan`] and [`status`] are
//! pure: what they decide from is data ([`observed`], [`validate`]), and what they decide is data.
//! Only [`observe`] looks and only [`act`] and [`reconcile`] write.

pub mod act;
pub mod cli;
pub mod context;
pub mod controller;
pub mod crd;
pub mod events;
#[cfg(test)]
mod fixtures;
pub mod generate;
pub mod http;
pub mod http_client;
pub mod lease;
pub mod metrics;
pub mod names;
pub mod objects;
pub mod observe;
pub mod observed;
pub mod plan;
pub mod quantity;
pub mod reconcile;
pub mod run;
pub mod saved;
pub mod status;
pub mod validate;
