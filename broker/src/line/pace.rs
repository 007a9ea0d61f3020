//! How fast a client has to be while it holds what others wait for.

use std::time::Duration;

use tokio::time::Instant;

/// Time that runs out while bytes stand still and that moving bytes bring back. All in all so
/// many bytes have the grace, and their number divided by the pace.
#[derive(Debug)]
pub(super) struct Pace {
    grace: Duration,
    bytes_per_second: u32,
    /// What was left when the clock was last looked at; never more than the grace, so that
    /// hurrying earns no long rest.
    left: Duration,
    /// When that was; `None` while the clock stands.
    looked_at: Option<Instant>,
}

impl Pace {
    pub(super) fn new(grace: Duration, bytes_per_second: u32) -> Self {
        Self {
            grace,
            bytes_per_second: bytes_per_second.max(1),
            left: grace,
            looked_at: None,
        }
    }

    /// Lets the clock run, or stand while the client cannot do anything.
    pub(super) fn run(&mut self, runs: bool, now: Instant) {
        self.look(now);
        self.looked_at = runs.then_some(now);
    }

    /// The client begins anew.
    pub(super) fn reset(&mut self) {
        self.left = self.grace;
        self.looked_at = None;
    }

    pub(super) fn moved(&mut self, bytes: usize, now: Instant) {
        self.look(now);
        // Nobody moves more than this at once.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let earned = Duration::from_secs(1) * bytes / self.bytes_per_second;
        self.left = (self.left + earned).min(self.grace);
    }

    /// When the client is too slow, while the clock runs.
    pub(super) fn due(&self) -> Option<Instant> {
        Some(self.looked_at? + self.left)
    }

    fn look(&mut self, now: Instant) {
        if let Some(looked_at) = &mut self.looked_at {
            let passed = now.saturating_duration_since(*looked_at);
            self.left = self.left.saturating_sub(passed);
            *looked_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn grace_and_pace_make_the_time() {
        let began = Instant::now();
        let mut pace = Pace::new(10 * SECOND, 1000);
        assert_eq!(pace.due(), None);
        pace.run(true, began);
        assert_eq!(pace.due(), Some(began + 10 * SECOND));
        // A little slower than the pace: each second half a one is lost.
        for second in 1..=10 {
            pace.moved(500, began + second * SECOND);
        }
        assert_eq!(pace.due(), Some(began + 15 * SECOND));
        // Faster than the pace is no more than in time.
        pace.moved(1_000_000, began + 11 * SECOND);
        assert_eq!(pace.due(), Some(began + 21 * SECOND));
    }

    #[test]
    fn time_in_which_the_client_can_do_nothing_does_not_count() {
        let began = Instant::now();
        let mut pace = Pace::new(10 * SECOND, 1000);
        pace.run(true, began);
        pace.run(false, began + 4 * SECOND);
        assert_eq!(pace.due(), None);
        pace.run(true, began + 100 * SECOND);
        assert_eq!(pace.due(), Some(began + 106 * SECOND));
        pace.reset();
        pace.run(true, began + 100 * SECOND);
        assert_eq!(pace.due(), Some(began + 110 * SECOND));
    }
}
