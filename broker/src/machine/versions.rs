//! The version clock of a broker that starts.

use kvcore::{
    planted::{self, Bug},
    version::{VersionClock, WriterId},
};

/// A clock whose two lanes have writer ids that no broker had before: random ones.
pub fn versions(random: &mut dyn FnMut() -> u64) -> VersionClock {
    if planted::is(Bug::VersionReused) {
        let always = WriterId::from_random;
        return VersionClock::new(always(10), always(20));
    }
    let fresh = WriterId::from_random(random());
    let mut beyond = fresh;
    while beyond == fresh {
        beyond = WriterId::from_random(random());
    }
    VersionClock::new(fresh, beyond)
}
