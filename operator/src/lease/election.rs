//! The rules of leader election, pure: Leases as they are seen and a monotonic clock go in, what to
//! write comes out.
//!
//! The same scheme as Kubernetes' own components use: whoever finds that nobody has written the
//! Lease for its duration takes it, on condition that it is still what was read; who holds it
//! writes it more often, and stops on its own well before it runs out for others.

use std::time::{Duration, Instant};

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long others wait for a renewal before they take over.
    pub duration: Duration,
    /// How long the holder goes on without having renewed: shorter, so that two never lead.
    pub renew_within: Duration,
    /// Pause between two renewals.
    pub renew_every: Duration,
    /// Pause between two looks at a Lease of somebody else, or after a failure.
    pub look_every: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_within: Duration::from_secs(10),
            renew_every: Duration::from_secs(5),
            look_every: Duration::from_secs(1),
        }
    }
}

/// A Lease as it was read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Who holds it; empty when it was given up.
    pub holder: String,
    /// Version of the object: another one means that it was written.
    pub version: String,
    /// How long its holder asked others to wait.
    pub duration: Option<Duration>,
    /// How often it changed hands.
    pub transitions: i32,
}

/// What to do about the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing: somebody else holds it.
    Wait,
    /// Make it.
    Create,
    /// Write it, if it is still what was read.
    Write,
}

/// One candidate.
#[derive(Debug, Clone)]
pub struct Election {
    me: String,
    terms: Terms,
    /// The Lease as last seen, and since when it has looked like that.
    last: Option<(Seen, Instant)>,
    /// When the Lease was last written by this candidate: counted from before the request.
    renewed: Option<Instant>,
    asked: Option<Instant>,
    /// Since when there is no Lease.
    gone: Option<Instant>,
    gives_up: bool,
}

impl Election {
    /// A candidate of this name.
    pub fn new(me: String, terms: Terms) -> Self {
        Self {
            me,
            terms,
            last: None,
            renewed: None,
            asked: None,
            gone: None,
            gives_up: false,
        }
    }

    /// How long things take.
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// The Lease was read, `None` when there is none.
    pub fn look(&mut self, lease: Option<Seen>, now: Instant) -> Act {
        // From before the write: that it takes long must not make leadership longer.
        self.asked = Some(now);
        let Some(lease) = lease else {
            return self.look_at_none(now);
        };
        self.gone = None;
        let since = match &self.last {
            Some((last, since)) if *last == lease => *since,
            _ => now,
        };
        let is_mine = lease.holder == self.me;
        let waited = lease.duration.unwrap_or(self.terms.duration);
        let is_free = lease.holder.is_empty() || now.duration_since(since) >= waited;
        self.last = Some((lease, since));
        match (is_mine, self.gives_up) {
            (true, _) => Act::Write,
            (false, false) if is_free => Act::Write,
            (false, _) => Act::Wait,
        }
    }

    /// There is no Lease. If there was one, whoever held it may not know yet: it is waited for as if it were
    /// still there.
    fn look_at_none(&mut self, now: Instant) -> Act {
        let since = *self.gone.get_or_insert(now);
        let held = self
            .last
            .as_ref()
            .filter(|(last, _)| !last.holder.is_empty() && last.holder != self.me);
        let wait = held.map_or(Duration::ZERO, |(last, _)| {
            last.duration.unwrap_or(self.terms.duration)
        });
        if self.gives_up || now.duration_since(since) < wait {
            Act::Wait
        } else {
            Act::Create
        }
    }

    /// The Lease was written.
    pub fn wrote(&mut self, lease: Seen, now: Instant) {
        self.renewed = if lease.holder == self.me {
            self.asked
        } else {
            None
        };
        self.last = Some((lease, now));
    }

    /// Whether this candidate leads: it has renewed lately, and nobody else was seen to hold it.
    pub fn is_leader(&self, now: Instant) -> bool {
        self.leads_until().is_some_and(|until| now < until)
    }

    /// Until when this candidate leads if nothing more is heard, `None` when it does not.
    pub fn leads_until(&self) -> Option<Instant> {
        let renewed = self.renewed.filter(|_| self.other_holder().is_none())?;
        Some(renewed + self.terms.renew_within)
    }

    /// Somebody else who was seen to hold the Lease.
    pub fn other_holder(&self) -> Option<&str> {
        let (last, _) = self.last.as_ref()?;
        Some(last.holder.as_str()).filter(|holder| !holder.is_empty() && *holder != self.me)
    }

    /// How long to wait before the next look.
    pub fn pause(&self) -> Duration {
        let is_fresh = self.renewed.is_some() && self.renewed == self.asked;
        if is_fresh {
            self.terms.renew_every
        } else {
            self.terms.look_every
        }
    }

    /// The next write gives the Lease up.
    pub fn give_up(&mut self) {
        self.gives_up = true;
    }

    /// Who stands in the Lease when it is written.
    pub fn holder_to_write(&self) -> &str {
        if self.gives_up { "" } else { &self.me }
    }
}

#[cfg(test)]
mod tests;
