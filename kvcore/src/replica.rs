//! The replica trait: a member as a broker or another member sees it, near or far.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::wire::{Reply, Request};

/// How a call ends.
pub type Answered = Result<Reply, CallError>;

/// The reply to a call, which may have come at once.
pub enum PendingReply {
    /// It is here; `None` once it was taken.
    Here(Option<Answered>),
    /// It is still on its way.
    Waits(Pin<Box<dyn Future<Output = Answered> + Send>>),
}

impl PendingReply {
    /// A reply that came at once.
    pub fn here(answered: Answered) -> Self {
        Self::Here(Some(answered))
    }

    /// A reply that this future brings.
    pub fn waits(answered: impl Future<Output = Answered> + Send + 'static) -> Self {
        Self::Waits(Box::pin(answered))
    }
}

impl fmt::Debug for PendingReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here(_) => "PendingReply::Here",
            Self::Waits(_) => "PendingReply::Waits",
        })
    }
}

impl Future for PendingReply {
    type Output = Answered;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answered> {
        match self.get_mut() {
            Self::Here(answered) => Poll::Ready(answered.take().expect("polled to its end once")),
            Self::Waits(answered) => answered.as_mut().poll(cx),
        }
    }
}

/// One member, in another process behind a socket or in this one.
///
/// Laws, the same for every implementation:
/// - A call begins when it is made, whether or not its reply is waited for.
/// - A call answers once. Dropping it does not take the request back.
/// - Calls of one caller may be answered in any order.
/// - [`CallError::NotSent`] means the member never saw the request; [`CallError::Lost`] means it
///   may have.
/// - A [`Reply::Refused`] means that the member changed nothing.
pub trait Replica: Send + Sync + fmt::Debug {
    /// Asks the member.
    fn call(&self, request: Request) -> PendingReply;

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
