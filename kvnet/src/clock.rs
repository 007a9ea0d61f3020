//! The machine's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use kvcore::{time::Clock, version::UnixMillis};

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    /// A clock before 1970 reads as 1970: servers then refuse what is written by it.
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
