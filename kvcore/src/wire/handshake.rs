//! The handshake: both sides prove that they know the cluster's secret and name themselves.
//!
//! ```text
//!   client                                   server
//!   Hello   version, cluster?, member?, nonce  ->
//!                              <-  Challenge  version, nonce
//!   Proof   HMAC("client", both nonces, …)     ->
//!                              <-  Welcome    cluster?, member, HMAC("server", …)
//!                        or at any point  <-  Rejected   reason
//! ```
//!
//! The secret itself is never sent, an old proof is worth nothing because of the nonces, and a
//! server that does not know the secret is found out as well. The two sides are pure state
//! machines; nonces are given.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::{
    PROTOCOL_VERSION,
    frame::{Frame, RequestId},
    read::{Reader, Truncated},
    secret::{PROOF_BYTES, Secret},
};
use crate::placement::{ClusterId, MemberId};

/// Largest frame before a peer has proven itself, in bytes.
pub const HANDSHAKE_FRAME_BYTES_MAX: usize = 1024;

/// Random bytes, new for every connection.
pub type Nonce = [u8; 16];

const HELLO: u8 = 0x40;
const CHALLENGE: u8 = 0x41;
const PROOF: u8 = 0x42;
const WELCOME: u8 = 0x43;
const REJECTED: u8 = 0x44;

/// Why a server refuses a connection, or a client leaves one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The other side speaks another version.
    #[error("the peer speaks protocol version {theirs}, this side speaks {PROTOCOL_VERSION}")]
    Protocol {
        /// The other side's version.
        theirs: u16,
    },
    /// The two do not share a secret.
    #[error("the cluster's secret does not match: give both sides the same --secret-file")]
    Secret,
    /// The server belongs to another cluster.
    #[error("the server belongs to cluster {actual}, not to {expected}")]
    Cluster {
        /// Whom the client wanted.
        expected: ClusterId,
        /// Whom it reached.
        actual: ClusterId,
    },
    /// Another member answers at this address.
    #[error("member {actual} answers at this address, expected was {expected}")]
    Member {
        /// Whom the client wanted.
        expected: MemberId,
        /// Whom it reached.
        actual: MemberId,
    },
    /// Something else than the next handshake message, or a malformed one.
    #[error("the peer does not follow the handshake: is this a Kvasir peer port?")]
    Unexpected,
    /// The server said no, in its own words.
    #[error("the server refused the connection: {0}")]
    Rejected(String),
}

impl From<Truncated> for HandshakeError {
    fn from(_: Truncated) -> Self {
        Self::Unexpected
    }
}

/// Whom a client wants to reach; `None` takes whoever is there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected {
    /// The cluster, once it is known.
    pub cluster: Option<ClusterId>,
    /// The member at this address.
    pub member: Option<MemberId>,
}

/// Whom a client reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The server's cluster, `None` while it is blank.
    pub cluster: Option<ClusterId>,
    /// The server's member id.
    pub member: MemberId,
}

/// The client's side, between `Hello` and `Welcome`.
#[derive(Debug)]
pub struct ClientHandshake {
    secret: Secret,
    expected: Expected,
    nonce: Nonce,
    server_nonce: Option<Nonce>,
}

/// What a client does next.
#[derive(Debug)]
pub enum ClientStep {
    /// Send this frame and wait for the answer.
    Send(Frame),
    /// The connection is good.
    Done(Reached),
}

impl ClientHandshake {
    /// Starts; the frame is to be sent.
    pub fn start(secret: Secret, expected: Expected, nonce: Nonce) -> (Self, Frame) {
        let mut body = BytesMut::new();
        body.put_u16_le(PROTOCOL_VERSION);
        body.put_slice(&hello_names(expected));
        body.put_slice(&nonce);
        (
            Self {
                secret,
                expected,
                nonce,
                server_nonce: None,
            },
            frame(HELLO, body),
        )
    }

    /// Takes the server's next frame.
    pub fn step(&mut self, received: &Frame) -> Result<ClientStep, HandshakeError> {
        let mut reader = Reader::new(&received.body);
        match (received.kind, self.server_nonce) {
            (REJECTED, _) => {
                let reason = String::from_utf8_lossy(&received.body).into_owned();
                Err(HandshakeError::Rejected(reason))
            }
            (CHALLENGE, None) => {
                check_version(reader.u16()?)?;
                let server_nonce = reader.array()?;
                self.server_nonce = Some(server_nonce);
                let names = hello_names(self.expected);
                let proof = self
                    .secret
                    .proof(&[b"client", &self.nonce, &server_nonce, &names]);
                let mut body = BytesMut::new();
                body.put_slice(&proof);
                Ok(ClientStep::Send(frame(PROOF, body)))
            }
            (WELCOME, Some(server_nonce)) => {
                let names: [u8; 32] = reader.array()?;
                let proof: [u8; PROOF_BYTES] = reader.array()?;
                let parts: [&[u8]; 4] = [b"server", &self.nonce, &server_nonce, &names];
                if !self.secret.verify(&parts, &proof) {
                    return Err(HandshakeError::Secret);
                }
                self.check_reached(&names).map(ClientStep::Done)
            }
            _ => Err(HandshakeError::Unexpected),
        }
    }

    /// The server has checked the same; a client that trusted it alone could be misled by a bug.
    fn check_reached(&self, names: &[u8; 32]) -> Result<Reached, HandshakeError> {
        let mut reader = Reader::new(names);
        let cluster = optional(reader.array()?).map(ClusterId);
        let member = MemberId(Uuid::from_bytes(reader.array()?));
        let reached = Reached { cluster, member };
        check_names(self.expected, reached)?;
        Ok(reached)
    }
}

/// The server's side.
#[derive(Debug)]
pub struct ServerHandshake {
    secret: Secret,
    me: Reached,
    nonce: Nonce,
    client: Option<(Nonce, [u8; 32], Expected)>,
}

/// What a server does next.
#[derive(Debug)]
pub enum ServerStep {
    /// Send this frame and wait for the next.
    Send(Frame),
    /// Send this frame; the connection is good.
    Accept(Frame),
    /// Send this frame and close the connection.
    Reject(Frame, HandshakeError),
}

impl ServerHandshake {
    /// Waits for a client's `Hello`.
    pub fn new(secret: Secret, me: Reached, nonce: Nonce) -> Self {
        Self {
            secret,
            me,
            nonce,
            client: None,
        }
    }

    /// Takes the client's next frame.
    pub fn step(&mut self, received: &Frame) -> ServerStep {
        match self.try_step(received) {
            Ok(step) => step,
            Err(error) => {
                let mut body = BytesMut::new();
                body.put_slice(error.to_string().as_bytes());
                ServerStep::Reject(frame(REJECTED, body), error)
            }
        }
    }

    fn try_step(&mut self, received: &Frame) -> Result<ServerStep, HandshakeError> {
        let mut reader = Reader::new(&received.body);
        match (received.kind, &self.client) {
            (HELLO, None) => {
                check_version(reader.u16()?)?;
                let names: [u8; 32] = reader.array()?;
                let (cluster, member) = names.split_at(16);
                let expected = Expected {
                    cluster: optional(cluster.try_into().expect("half of 32")).map(ClusterId),
                    member: optional(member.try_into().expect("half of 32")).map(MemberId),
                };
                self.client = Some((reader.array()?, names, expected));
                let mut body = BytesMut::new();
                body.put_u16_le(PROTOCOL_VERSION);
                body.put_slice(&self.nonce);
                Ok(ServerStep::Send(frame(CHALLENGE, body)))
            }
            (PROOF, Some((client_nonce, names, expected))) => {
                let parts: [&[u8]; 4] = [b"client", client_nonce, &self.nonce, names];
                if !self.secret.verify(&parts, reader.take(PROOF_BYTES)?) {
                    return Err(HandshakeError::Secret);
                }
                // Only now: who does not know the secret learns nothing about this server.
                check_names(*expected, self.me)?;
                let mut mine = [0; 32];
                mine[..16].copy_from_slice(
                    self.me
                        .cluster
                        .map_or(Uuid::nil(), |cluster| cluster.0)
                        .as_bytes(),
                );
                mine[16..].copy_from_slice(self.me.member.0.as_bytes());
                let mut body = BytesMut::new();
                body.put_slice(&mine);
                body.put_slice(
                    &self
                        .secret
                        .proof(&[b"server", client_nonce, &self.nonce, &mine]),
                );
                Ok(ServerStep::Accept(frame(WELCOME, body)))
            }
            _ => Err(HandshakeError::Unexpected),
        }
    }
}

fn frame(kind: u8, body: BytesMut) -> Frame {
    Frame {
        kind,
        id: RequestId(0),
        body: Bytes::from(body),
    }
}

fn check_version(theirs: u16) -> Result<(), HandshakeError> {
    if theirs == PROTOCOL_VERSION {
        Ok(())
    } else {
        Err(HandshakeError::Protocol { theirs })
    }
}

/// A blank server may be reached under any cluster's name: it is about to get its first placement.
fn check_names(expected: Expected, actual: Reached) -> Result<(), HandshakeError> {
    if let (Some(expected), Some(actual)) = (expected.cluster, actual.cluster)
        && expected != actual
    {
        return Err(HandshakeError::Cluster { expected, actual });
    }
    match expected.member {
        Some(expected) if expected != actual.member => Err(HandshakeError::Member {
            expected,
            actual: actual.member,
        }),
        _ => Ok(()),
    }
}

fn hello_names(expected: Expected) -> [u8; 32] {
    let mut names = [0; 32];
    names[..16].copy_from_slice(expected.cluster.map_or(Uuid::nil(), |id| id.0).as_bytes());
    names[16..].copy_from_slice(expected.member.map_or(Uuid::nil(), |id| id.0).as_bytes());
    names
}

/// The nil UUID stands for "none".
fn optional(bytes: [u8; 16]) -> Option<Uuid> {
    let id = Uuid::from_bytes(bytes);
    (!id.is_nil()).then_some(id)
}

#[cfg(test)]
mod tests;
