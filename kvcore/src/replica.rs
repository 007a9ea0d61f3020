//! The replica trait: a member as a broker or another member sees it, near or far.

use std::{fmt, future::Future, pin::Pin};

use crate::wire::{Reply, Request};

/// A reply that is still on its way.
pub type PendingReply<'a> = Pin<Box<dyn Future<Output = Result<Reply, CallError>> + Send + 'a>>;

/// One member, in another process behind a socket or in this one.
///
/// Laws, the same for every implementation:
/// - A call answers once. Dropping it does not take the request back.
/// - Calls of one caller may be answered in any order.
/// - [`CallError::NotSent`] means the member never saw the request; [`CallError::Lost`] means it
///   may have.
/// - A [`Reply::Refused`] means that the member changed nothing.
pub trait Replica: Send + Sync + fmt::Debug {
    /// Asks the member.
    fn call(&self, request: Request) -> PendingReply<'_>;

    /// Why a call made now would end in [`CallError::NotSent`]; `None` where it would be sent.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// Whether a call made now would be sent.
    fn is_live(&self) -> bool {
        self.trouble().is_none()
    }
}

/// Why no reply came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The request certainly did not reach the member.
    #[error("not reached: {0}")]
    NotSent(String),
    /// The request may have reached the member; its reply did not come back.
    #[error("no answer: {0}")]
    Lost(String),
}
