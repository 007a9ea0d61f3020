//! The commands of one connection: many at once, those that meet in the order they were sent.
//!
//! Commands on the same key run one after the other; a scan runs when all before it are done and
//! before all after it. Responses leave in the order of the commands.

use std::{
    collections::{HashSet, VecDeque},
    pin::Pin,
    sync::Arc,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::{AcquireError, OwnedSemaphorePermit};

use super::{Budget, LineLimits, Part, outbox::Outbox};
use crate::{
    command::{Command, Response, Touches},
    shell::Broker,
};

/// Room that is being waited for.
pub(super) type Room =
    Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

/// Waits for a share of the part.
pub(super) fn room_in(part: &Part, bytes: usize) -> Room {
    Box::pin(Arc::clone(&part.room).acquire_many_owned(part.share(bytes)))
}

/// The commands not yet answered.
pub(super) struct Pipeline {
    broker: Broker,
    budget: Budget,
    limits: LineLimits,
    slots: VecDeque<Slot>,
    /// Number of the first slot, counted from the connection's first command.
    first: u64,
    running: FuturesUnordered<BoxFuture<'static, Ran>>,
    /// Room for the first response, which is large.
    room: Option<Room>,
}

struct Slot {
    touches: Touches,
    state: State,
}

enum State {
    /// Not started; a large line's share of the budget.
    Waiting(Command, Option<OwnedSemaphorePermit>),
    Running,
    /// Its response was large and there was no room: it is read again once there is.
    Again(Command, usize),
    Done(String, Option<OwnedSemaphorePermit>),
}

/// A command that ran.
struct Ran {
    number: u64,
    /// The command once more, where it only reads.
    again: Option<Command>,
    text: String,
    share: Option<OwnedSemaphorePermit>,
}

impl Pipeline {
    pub(super) fn new(broker: Broker, budget: Budget, limits: LineLimits) -> Self {
        Self {
            broker,
            budget,
            limits,
            slots: VecDeque::new(),
            first: 0,
            running: FuturesUnordered::new(),
            room: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether another command may be taken.
    pub(super) fn has_room(&self) -> bool {
        self.slots.len() < self.limits.pipeline_max
    }

    /// Takes a command, with its line's share of the budget.
    pub(super) fn push(&mut self, command: Command, share: Option<OwnedSemaphorePermit>) {
        self.slots.push_back(Slot {
            touches: command.touches(),
            state: State::Waiting(command, share),
        });
    }

    /// Takes a response that needs no work.
    pub(super) fn push_response(&mut self, response: &Response) {
        self.slots.push_back(Slot {
            touches: Touches::Nothing,
            state: State::Done(response.to_text(), None),
        });
    }

    /// Starts what may run, and moves finished responses at the front to the outbox.
    pub(super) fn advance(&mut self, outbox: &mut Outbox) {
        while let Some(Slot {
            state: State::Done(..),
            ..
        }) = self.slots.front()
        {
            if outbox.bytes() >= self.limits.small_bytes {
                break;
            }
            if let Some(Slot {
                state: State::Done(text, share),
                ..
            }) = self.slots.pop_front()
            {
                self.first += 1;
                outbox.push(text, share);
            }
        }
        self.start_ready();
        if let Some(Slot {
            state: State::Again(_, bytes),
            ..
        }) = self.slots.front()
            && self.room.is_none()
        {
            self.room = Some(room_in(&self.budget.first_replies, *bytes));
        }
    }

    fn start_ready(&mut self) {
        let mut busy: HashSet<&Touches> = HashSet::new();
        let mut all_done = true;
        let mut ready = Vec::new();
        for (at, slot) in self.slots.iter().enumerate() {
            if matches!(slot.state, State::Done(..)) {
                continue;
            }
            let is_free = match &slot.touches {
                Touches::Key(_) => busy.insert(&slot.touches),
                Touches::All => all_done,
                Touches::Nothing => true,
            };
            if is_free && matches!(slot.state, State::Waiting(..)) {
                ready.push(at);
            }
            all_done = false;
            if slot.touches == Touches::All {
                break;
            }
        }
        for at in ready {
            let state = std::mem::replace(&mut self.slots[at].state, State::Running);
            if let State::Waiting(command, share) = state {
                self.start(at, command, share, None);
            }
        }
    }

    fn start(
        &mut self,
        at: usize,
        command: Command,
        line: Option<OwnedSemaphorePermit>,
        share: Option<OwnedSemaphorePermit>,
    ) {
        let broker = self.broker.clone();
        let number = self.first + at as u64;
        let again = command.only_reads().then(|| command.clone());
        let ran = async move {
            let text = command.execute(&broker).await.to_text();
            drop(line);
            Ran {
                number,
                again,
                text,
                share,
            }
        };
        self.running.push(ran.boxed());
    }

    /// Waits until something happens: a command ends, or there is room for the first response.
    /// Cancel-safe. Never ends while nothing can happen.
    pub(super) async fn progress(&mut self) {
        tokio::select! {
            Some(ran) = self.running.next() => self.on_ran(ran),
            Some(room) = next_room(&mut self.room) => {
                self.room = None;
                self.on_room(room);
            }
            else => std::future::pending().await,
        }
    }

    fn on_ran(&mut self, ran: Ran) {
        let at = usize::try_from(ran.number - self.first).expect("slots are few");
        let is_large = ran.text.len() > self.limits.small_bytes;
        let state = match (ran.share, ran.again) {
            (None, Some(again)) if is_large => {
                let part = &self.budget.later_replies;
                let share = part.share(ran.text.len());
                match Arc::clone(&part.room).try_acquire_many_owned(share) {
                    Ok(share) => State::Done(ran.text, Some(share)),
                    Err(_) => State::Again(again, ran.text.len()),
                }
            }
            (share, _) => State::Done(ran.text, share),
        };
        self.slots[at].state = state;
    }

    fn on_room(&mut self, room: Result<OwnedSemaphorePermit, AcquireError>) {
        let Some(first) = self.slots.front_mut() else {
            return;
        };
        if let State::Again(command, _) = std::mem::replace(&mut first.state, State::Running) {
            self.start(0, command, None, room.ok());
        }
    }
}

/// Ends with `None` where no room is waited for.
async fn next_room(room: &mut Option<Room>) -> Option<Result<OwnedSemaphorePermit, AcquireError>> {
    match room {
        Some(room) => Some(room.await),
        None => None,
    }
}
