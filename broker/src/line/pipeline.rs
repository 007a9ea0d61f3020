//! The commands of one connection: many at once, those that meet in the order they were sent.
//!
//! Commands on the same key run one after the other; a scan runs when all before it are done and
//! before all after it. Responses leave in the order of the commands. A large line is parsed on
//! a thread of its own; until it is known what it touches, nothing behind it begins.

use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::OwnedSemaphorePermit, task::spawn_blocking, time::timeout};

use super::{
    Budget, LineLimits, Part,
    incoming::until_room,
    order::{Admission, Order},
    outbox::Outbox,
};
use crate::{
    command::{Command, End, Response, SyntaxError, Touches, is_blank},
    shell::Broker,
};

/// Room that is being waited for; none when it did not come in time.
pub(super) type Room = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

/// Waits for a share of the part, but not longer than `wait`.
pub(super) fn room_in(part: &Part, bytes: usize, wait: Duration) -> Room {
    let share = Arc::clone(&part.room).acquire_many_owned(part.share(bytes));
    Box::pin(async move { timeout(wait, share).await.ok()?.ok() })
}

/// The commands not yet answered.
pub(super) struct Pipeline {
    broker: Broker,
    budget: Budget,
    limits: LineLimits,
    slots: VecDeque<Slot>,
    /// Number of the first slot, counted from the connection's first command.
    first: u64,
    /// Number of the first slot that the order was not offered yet.
    next: u64,
    order: Order,
    /// Slots whose response holds a share.
    shares: usize,
    /// Bytes of the responses in slots that hold none.
    small_waiting: usize,
    running: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// Room for the first response, which is large.
    room: Option<Room>,
}

struct Slot {
    touches: Touches,
    state: State,
}

enum State {
    /// A large line that is not a command yet.
    Parsing,
    /// Not started; a large line's share of the budget.
    Waiting(Command, Option<OwnedSemaphorePermit>),
    Running,
    /// Its response was large and there was no room: it is read again once there is.
    Again(Command, usize),
    Done(String, Option<OwnedSemaphorePermit>),
}

/// What ended of what runs.
enum Ended {
    Parsed(Parsed),
    Ran(Ran),
}

/// A large line, read.
struct Parsed {
    number: u64,
    /// `None` when the line says nothing.
    command: Option<Result<Command, Response>>,
    share: Option<OwnedSemaphorePermit>,
}

/// A command that ran.
struct Ran {
    number: u64,
    /// The command once more, where it only reads.
    again: Option<Command>,
    text: String,
    share: Option<OwnedSemaphorePermit>,
    /// Room of large values in the text, held until the text has a share of its own.
    _held: Vec<Bytes>,
}

impl Pipeline {
    pub(super) fn new(broker: Broker, budget: Budget, limits: LineLimits) -> Self {
        Self {
            broker,
            budget,
            limits,
            slots: VecDeque::new(),
            first: 0,
            next: 0,
            order: Order::default(),
            shares: 0,
            small_waiting: 0,
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

    /// Takes a large line, with its share of the budget; it is parsed where it holds up nobody.
    pub(super) fn push_large(&mut self, line: Bytes, share: Option<OwnedSemaphorePermit>) {
        let number = self.first + self.slots.len() as u64;
        // It may turn out to touch anything.
        self.slots.push_back(Slot {
            touches: Touches::All,
            state: State::Parsing,
        });
        // The share goes along: if the client leaves, the line is there until it is parsed.
        let parsing = spawn_blocking(move || {
            let command = (!is_blank(&line)).then(|| Command::parse(&line));
            (command, share)
        });
        let parsed = async move {
            let (command, share) = parsing.await.unwrap_or_else(|error| {
                let why = SyntaxError(format!("the line could not be parsed: {error}"));
                (Some(Err(why)), None)
            });
            Ended::Parsed(Parsed {
                number,
                command: command.map(|command| command.map_err(Response::from)),
                share,
            })
        };
        self.running.push(parsed.boxed());
    }

    /// The slot of a response that holds no share.
    fn answered(&mut self, response: &Response) -> Slot {
        let state = State::Done(response.to_text(), None);
        self.count(&state);
        Slot {
            touches: Touches::Nothing,
            state,
        }
    }

    /// Counts a response in that begins to wait in its slot.
    fn count(&mut self, state: &State) {
        match state {
            State::Done(_, Some(_)) => self.shares += 1,
            State::Done(text, None) => self.small_waiting += text.len(),
            _ => {}
        }
    }

    /// Whether responses that wait to be written hold a share.
    pub(super) fn holds_share(&self) -> bool {
        self.shares > 0
    }

    /// Takes a response that needs no work.
    pub(super) fn push_response(&mut self, response: &Response) {
        let slot = self.answered(response);
        self.slots.push_back(slot);
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
                match share {
                    Some(_) => self.shares -= 1,
                    None => self.small_waiting -= text.len(),
                }
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
            let (part, wait) = (&self.budget.first_replies, self.limits.room_wait);
            self.room = Some(room_in(part, *bytes, wait));
        }
    }

    /// Offers the order what it was not offered yet, and starts what may run.
    fn start_ready(&mut self) {
        self.next = self.next.max(self.first);
        while let Some(slot) = self.slots.get(self.at(self.next)) {
            match slot.state {
                State::Parsing => break,
                State::Waiting(..) => match self.order.admit(self.next, &slot.touches) {
                    Admission::Runs => self.start_waiting(self.next),
                    Admission::Waits => {}
                    Admission::Barred => break,
                },
                State::Running | State::Again(..) | State::Done(..) => {}
            }
            self.next += 1;
        }
    }

    fn start_waiting(&mut self, number: u64) {
        let at = self.at(number);
        let state = std::mem::replace(&mut self.slots[at].state, State::Running);
        if let State::Waiting(command, share) = state {
            self.start(number, command, share, None);
        }
    }

    /// Takes what has ended by now: what ended together is answered together, with one write.
    pub(super) fn take_ended(&mut self) {
        while let Some(Some(ended)) = self.running.next().now_or_never() {
            self.on_ended(ended);
        }
    }

    fn on_ended(&mut self, ended: Ended) {
        match ended {
            Ended::Parsed(parsed) => self.on_parsed(parsed),
            Ended::Ran(ran) => self.on_ran(ran),
        }
    }

    /// The place of a slot that is not answered yet.
    fn at(&self, number: u64) -> usize {
        usize::try_from(number - self.first).expect("slots are few")
    }

    fn start(
        &mut self,
        number: u64,
        command: Command,
        line: Option<OwnedSemaphorePermit>,
        share: Option<OwnedSemaphorePermit>,
    ) {
        let broker = self.broker.clone();
        let again = command.only_reads().then(|| command.clone());
        let ran = async move {
            let response = command.execute(&broker).await;
            let text = response.to_text();
            drop(line);
            Ended::Ran(Ran {
                number,
                again,
                text,
                share,
                _held: response.held,
            })
        };
        self.running.push(ran.boxed());
    }

    /// Waits until something happens: commands end, or there is room for the first response.
    /// Cancel-safe. Never ends while nothing can happen.
    pub(super) async fn progress(&mut self) {
        tokio::select! {
            biased;
            Some(ended) = self.running.next() => {
                self.on_ended(ended);
                self.take_ended();
            }
            Some(room) = until_room(&mut self.room) => {
                self.room = None;
                self.on_room(room);
            }
            else => std::future::pending().await,
        }
    }

    fn slot(&mut self, number: u64) -> &mut Slot {
        let at = self.at(number);
        &mut self.slots[at]
    }

    fn on_parsed(&mut self, parsed: Parsed) {
        *self.slot(parsed.number) = match parsed.command {
            Some(Ok(command)) => Slot {
                touches: command.touches(),
                state: State::Waiting(command, parsed.share),
            },
            Some(Err(response)) => self.answered(&response),
            // A blank line has no response.
            None => Slot {
                touches: Touches::Nothing,
                state: State::Done(String::new(), None),
            },
        };
    }

    fn on_ran(&mut self, ran: Ran) {
        let bytes = ran.text.len();
        // Small ones that wait together are large, too.
        let is_large = self.small_waiting + bytes > self.limits.small_bytes;
        let state = match (ran.share, ran.again) {
            (None, Some(again)) if is_large => {
                let part = &self.budget.later_replies;
                match Arc::clone(&part.room).try_acquire_many_owned(part.share(bytes)) {
                    Ok(share) => State::Done(ran.text, Some(share)),
                    Err(_) => State::Again(again, bytes),
                }
            }
            // The value grew while there was waited for room.
            (Some(share), Some(again)) if !self.budget.first_replies.covers(&share, bytes) => {
                State::Again(again, bytes)
            }
            (share, _) => State::Done(ran.text, share),
        };
        self.ended(ran.number, state);
    }

    /// A command that the order let in has run, to its end or until there is room.
    fn ended(&mut self, number: u64, state: State) {
        let is_done = matches!(state, State::Done(..));
        self.count(&state);
        let slot = self.slot(number);
        slot.state = state;
        if !is_done {
            return;
        }
        let touches = std::mem::replace(&mut slot.touches, Touches::Nothing);
        if let Some(next) = self.order.ended(&touches) {
            self.start_waiting(next);
        }
    }

    fn on_room(&mut self, room: Option<OwnedSemaphorePermit>) {
        let wait_ms = self.limits.room_wait.as_millis();
        let Some(slot) = self.slots.front_mut() else {
            return;
        };
        let State::Again(command, bytes) = std::mem::replace(&mut slot.state, State::Running)
        else {
            return;
        };
        let first = self.first;
        if room.is_some() {
            return self.start(first, command, None, room);
        }
        let why = format!(
            "no room for a reply of {bytes} bytes within {wait_ms} ms: replies to other clients \
             hold it; try again"
        );
        let text = Response::of(End::NotDone(why)).to_text();
        self.ended(first, State::Done(text, None));
    }
}
