//! The answers that one operation waits for.
//!
//! Most operations ask a few members and are woken for each answer. So few are asked one by one:
//! that costs neither an allocation nor a waker of its own for each, as a set does that knows by whom
//! it was woken. An operation that asks many gets such a set.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{Stream, stream::FuturesUnordered};
use kvcore::replica::{CallError, PendingReply};

use crate::machine::{Event, Tag};

/// As many are asked one by one: three copies, or the chunks of a large value on their way to them.
const FEW: usize = 16;

/// Answers on their way.
#[derive(Debug)]
pub(super) enum Answers {
    /// A few.
    Few(Vec<Answer>),
    /// More.
    Many(FuturesUnordered<Answer>),
}

/// One of them.
#[derive(Debug)]
pub(super) struct Answer {
    tag: Tag,
    reply: PendingReply,
}

impl Default for Answers {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Answers {
    /// Waits for one more.
    pub(super) fn push(&mut self, tag: Tag, reply: PendingReply) {
        let answer = Answer { tag, reply };
        match self {
            Self::Few(few) if few.len() < FEW => few.push(answer),
            Self::Few(few) => {
                let many = few.drain(..).chain([answer]).collect();
                *self = Self::Many(many);
            }
            Self::Many(many) => many.push(answer),
        }
    }

    /// Whether nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Few(few) => few.is_empty(),
            Self::Many(many) => many.is_empty(),
        }
    }

    /// The next one that comes; `None` when nothing is on its way. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let few = match self {
            Self::Few(few) => few,
            Self::Many(many) => return Pin::new(many).poll_next(cx),
        };
        if few.is_empty() {
            return Poll::Ready(None);
        }
        let polled = few.iter_mut().map(|answer| Pin::new(answer).poll(cx));
        let come = polled.enumerate().find_map(|(at, polled)| match polled {
            Poll::Ready(event) => Some((at, event)),
            Poll::Pending => None,
        });
        match come {
            Some((at, event)) => {
                few.remove(at);
                Poll::Ready(Some(event))
            }
            None => Poll::Pending,
        }
    }
}

impl Future for Answer {
    type Output = Event;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Event> {
        let tag = self.tag;
        let answered = Pin::new(&mut self.reply).poll(cx);
        answered.map(|answered| match answered {
            Ok(reply) => Event::Reply { tag, reply },
            Err(CallError::NotSent(why)) => Event::NotSent { tag, why },
            Err(CallError::Lost(why)) => Event::Lost { tag, why },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kvcore::wire::Reply;
    use tokio::sync::oneshot;

    use super::*;

    /// Answers come in another order than they were asked for, however many there are.
    #[tokio::test]
    async fn each_comes_once_and_then_none() {
        for count in [0, 1, 3, FEW, FEW + 1, 100] {
            let mut answers = Answers::default();
            let mut senders = Vec::new();
            for number in 0..count as u64 {
                let (sender, receiver) = oneshot::channel::<()>();
                senders.push(sender);
                let reply = PendingReply::waits(async move {
                    receiver.await.expect("it is answered");
                    Ok(Reply::ChunkStored)
                });
                answers.push(Tag(number), reply);
            }
            let here = PendingReply::here(Err(CallError::NotSent("no".to_owned())));
            answers.push(Tag(1_000), here);
            let first = answers.next().await.and_then(|event| event.tag());
            assert_eq!(first, Some(Tag(1_000)), "the others wait");
            let mut come = BTreeSet::new();
            let answering = tokio::spawn(async move {
                for sender in senders.into_iter().rev() {
                    tokio::task::yield_now().await;
                    sender.send(()).expect("it is waited for");
                }
            });
            while let Some(event) = answers.next().await {
                assert!(come.insert(event.tag()), "twice");
            }
            assert_eq!(come.len(), count);
            assert!(answers.is_empty());
            answering.await.expect("no panic");
        }
    }
}
