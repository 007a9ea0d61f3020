//! The line that is being read: its share of the budget, and the time it has.

use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until},
};

use super::{
    Budget, LineLimits,
    pace::Pace,
    pipeline::{Room, room_in},
};

/// A long line counts as moving while so many bytes of it come within the stall time.
const LINE_PACE_BYTES: u64 = 1024 * 1024;

pub(super) struct Incoming {
    limits: LineLimits,
    budget: Budget,
    share: Option<OwnedSemaphorePermit>,
    /// Length up to which that share is enough, now or once there is room.
    covered: usize,
    room: Option<Room>,
    /// How fast a line that holds a share has to come.
    pace: Pace,
    /// When the line has to have moved on, and how many bytes have to have come by then.
    stall_due: Option<(Instant, u64)>,
    /// Bytes that came over the connection.
    received: u64,
}

/// What became of the line that is being read.
pub(super) enum Event {
    /// There is room for more of it, or there was none within the time for waiting.
    Room(Option<OwnedSemaphorePermit>),
    /// It does not go on.
    Stalled,
    /// It holds a share and comes too slowly.
    Slow,
}

impl Incoming {
    pub(super) fn new(limits: LineLimits, budget: Budget) -> Self {
        Self {
            share: None,
            covered: limits.small_bytes,
            room: None,
            pace: Pace::new(limits.grace, limits.pace),
            stall_due: None,
            received: 0,
            limits,
            budget,
        }
    }

    pub(super) fn holds_share(&self) -> bool {
        self.share.is_some()
    }

    pub(super) fn waits_for_room(&self) -> bool {
        self.room.is_some()
    }

    /// Takes note of bytes that came.
    pub(super) fn received(&mut self, bytes: usize) {
        self.received += bytes as u64;
        self.pace.moved(bytes, Instant::now());
    }

    /// So many bytes of the line are there; asks for room where they are more than is covered.
    pub(super) fn cover(&mut self, bytes: usize) {
        if self.room.is_some() || bytes <= self.covered {
            return;
        }
        // Nobody knows yet how long the line will be; whoever waits for the second part holds
        // some of the first, never the other way round.
        let medium = self.limits.medium_bytes.min(self.limits.line_bytes_max);
        let (part, covered) = if self.covered < medium {
            (&self.budget.medium_lines, medium)
        } else {
            (&self.budget.huge_lines, self.limits.line_bytes_max + 2)
        };
        self.room = Some(room_in(part, covered, self.limits.room_wait));
        self.covered = covered;
    }

    pub(super) fn got_room(&mut self, share: OwnedSemaphorePermit) {
        self.room = None;
        self.share = Some(share);
    }

    /// The line is over: gives its share.
    pub(super) fn end(&mut self) -> Option<OwnedSemaphorePermit> {
        self.covered = self.limits.small_bytes;
        self.room = None;
        self.stall_due = None;
        self.pace.reset();
        self.share.take()
    }

    /// Lets time run for a line that has begun; only while it is being read.
    pub(super) fn note(&mut self, is_being_read: bool) {
        let now = Instant::now();
        self.pace.run(is_being_read && self.share.is_some(), now);
        if !is_being_read {
            self.stall_due = None;
            return;
        }
        if self.stall_due.is_none_or(|(_, due)| self.received >= due) {
            let due = self.received + LINE_PACE_BYTES;
            self.stall_due = Some((now + self.limits.stall, due));
        }
    }

    /// Waits until something becomes of the line. Cancel-safe; never ends while nothing can.
    pub(super) async fn event(&mut self) -> Event {
        let (stall_due, pace_due) = (self.stall_due.map(|(due, _)| due), self.pace.due());
        tokio::select! {
            Some(share) = until_room(&mut self.room) => Event::Room(share),
            Some(()) = sleep(stall_due) => Event::Stalled,
            Some(()) = sleep(pace_due) => Event::Slow,
            else => std::future::pending().await,
        }
    }
}

/// Ends with `None` where no room is waited for.
pub(super) async fn until_room(room: &mut Option<Room>) -> Option<Option<OwnedSemaphorePermit>> {
    match room {
        Some(room) => Some(room.await),
        None => None,
    }
}

/// Ends with `None` where there is no time to wait for.
pub(super) async fn sleep(until: Option<Instant>) -> Option<()> {
    sleep_until(until?).await;
    Some(())
}
