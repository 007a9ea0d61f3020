//! How members are reached.

use std::{fmt, sync::Arc};

use kvcore::{
    placement::{ClusterId, Member},
    replica::Replica,
    wire::{Secret, handshake::Expected},
};

use super::client::PeerClient;

/// Makes a replica of a member: by TCP, or of a server in this process.
pub trait Dial: Send + Sync + fmt::Debug {
    /// A replica of this member of this cluster. Does not wait for a connection; must be called
    /// within a tokio runtime.
    fn dial(&self, cluster: ClusterId, member: &Member) -> Arc<dyn Replica>;
}

/// Reaches members by TCP.
#[derive(Debug)]
pub struct TcpDial {
    secret: Secret,
}

impl TcpDial {
    /// Proves itself by this secret.
    pub fn new(secret: Secret) -> Self {
        Self { secret }
    }
}

impl Dial for TcpDial {
    fn dial(&self, cluster: ClusterId, member: &Member) -> Arc<dyn Replica> {
        let expected = Expected {
            cluster: Some(cluster),
            member: Some(member.id),
        };
        Arc::new(PeerClient::start(
            member.address.clone(),
            expected,
            self.secret.clone(),
        ))
    }
}
