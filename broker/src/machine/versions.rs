//! The version clock of a broker that starts.

use kvcore::version::{VersionClock, WriterId};

/// A clock whose two lanes have writer ids that no broker had before: random ones.
pub fn versions(random: &mut dyn FnMut() -> u64) -> VersionClock {
    let fresh = WriterId::from_random(random());
    let mut beyond = fresh;
    while beyond == fresh {
        beyond = WriterId::from_random(random());
    }
    VersionClock::new(fresh, beyond)
}
