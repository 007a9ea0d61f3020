//! Versions: what orders two writes of one key.
//!
//! A version is a hybrid logical clock reading (Kulkarni et al., "Logical Physical Clocks", 2014)
//! and the id of the writer that issued it. Two writes never carry the same version: a writer id
//! is new at every broker start, and a writer's clock only moves forward.

use std::{fmt, num::NonZeroU64};

use serde::{Deserialize, Serialize};

use crate::planted::{self, Bug};

/// How far a lane may lie ahead of its clock, in milliseconds: it does where the clock was set
/// back. Servers count it as skew, of which two clocks may need nearly all that is allowed
/// ([`crate::limits::CLOCK_SKEW_MS_MAX`]); so it is little, yet more than a clock is stepped back
/// in good order.
const AHEAD_MS_MAX: u64 = 1_000;

/// Milliseconds since 1970-01-01 UTC; 48 bits are used, enough until the year 10889.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// This time plus some milliseconds.
    #[must_use]
    pub fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this time, zero if it is not earlier.
    pub fn since(self, earlier: UnixMillis) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Milliseconds (48 bits) and a counter (16 bits) in one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HybridTime(u64);

impl HybridTime {
    const COUNTER_BITS: u32 = 16;

    /// The first reading of a millisecond; times past 48 bits saturate.
    pub fn at(time: UnixMillis) -> Self {
        Self(time.0.min(u64::MAX >> Self::COUNTER_BITS) << Self::COUNTER_BITS)
    }

    /// The millisecond of this reading.
    pub fn millis(self) -> UnixMillis {
        UnixMillis(self.0 >> Self::COUNTER_BITS)
    }

    /// The next reading, `None` at the very end of time.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }

    /// The raw number, for codecs.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The reading with this raw number.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// Names one issuer of versions. Even: the odd number above it marks the expiry of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriterId(NonZeroU64);

impl WriterId {
    /// A writer id from 63 random bits; the lowest bit is dropped, zero becomes two.
    pub fn from_random(random: u64) -> Self {
        Self(NonZeroU64::new(random & !1).unwrap_or(NonZeroU64::new(2).expect("two is not zero")))
    }

    /// The raw number, for codecs.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// The version of a stored record: totally ordered, never equal for two writes.
///
/// Just above every version lies exactly one more, its [`Version::expiry`], which no writer can
/// issue. Whoever first sees that a value has expired makes the tombstone with that version, so
/// all replicas make the same one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    time: HybridTime,
    /// The writer id; its lowest bit says that this is the expiry of the version below.
    writer: u64,
}

impl Version {
    /// Bytes of the encoded form.
    pub const BYTES: usize = 16;

    /// The version that `writer` issued at `time`.
    pub fn new(time: HybridTime, writer: WriterId) -> Self {
        Self {
            time,
            writer: writer.get(),
        }
    }

    /// The clock reading.
    pub fn time(self) -> HybridTime {
        self.time
    }

    /// The version of the tombstone that the expiry of this value makes.
    #[must_use]
    pub fn expiry(self) -> Self {
        Self {
            time: self.time,
            writer: self.writer | 1,
        }
    }

    /// Whether this is the expiry of the version just below.
    pub fn is_expiry(self) -> bool {
        self.writer & 1 == 1
    }

    /// The version of the value whose expiry this is, if it is one.
    pub fn expired(self) -> Option<Self> {
        self.is_expiry().then_some(Self {
            time: self.time,
            writer: self.writer & !1,
        })
    }

    /// The version as bytes, in an order that sorts as versions do.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.time.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.writer.to_be_bytes());
        bytes
    }

    /// The version that [`Version::to_bytes`] wrote.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let (time, writer) = bytes.split_at(8);
        Self {
            time: HybridTime(u64::from_be_bytes(
                time.try_into().expect("eight of sixteen"),
            )),
            writer: u64::from_be_bytes(writer.try_into().expect("eight of sixteen")),
        }
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counter = self.time.0 & 0xFFFF;
        write!(f, "{}.{counter}@{:016x}", self.time.millis().0, self.writer)
    }
}

/// Issues the versions of one broker; pure, the time is given.
///
/// It has two lanes, each with a writer id of its own and each strictly growing, so that no
/// version is issued twice. The second lane serves keys whose stored version lies beyond the
/// clock: if those moved the first lane, one key with a version from the future would drag every
/// later fresh version there, and servers would refuse them.
#[derive(Debug)]
pub struct VersionClock {
    fresh: Lane,
    beyond: Lane,
}

/// One strictly growing sequence of versions.
#[derive(Debug)]
struct Lane {
    last: HybridTime,
    writer: WriterId,
}

impl Lane {
    /// Begins again at `now` under another writer id when the lane is ahead of that so far that
    /// versions off it might be refused, as when the clock was set back. The new id is made of the old one:
    /// as little likely to be anybody else's.
    fn renew_if_ahead(&mut self, now: UnixMillis) {
        let is_ahead = self.last.millis().since(now) > AHEAD_MS_MAX;
        if is_ahead && !planted::is(Bug::ClockStaysAhead) {
            let random = xxhash_rust::xxh3::xxh3_64_with_seed(
                &self.writer.get().to_le_bytes(),
                self.last.to_bits(),
            );
            self.writer = WriterId::from_random(random);
            self.last = HybridTime::default();
        }
    }

    fn issue(&mut self, at_least: HybridTime) -> Option<Version> {
        self.last = at_least.max(self.last.next()?);
        Some(Version::new(self.last, self.writer))
    }
}

impl VersionClock {
    /// A clock with two different writer ids, both new at this broker start.
    pub fn new(fresh: WriterId, beyond: WriterId) -> Self {
        assert!(
            fresh != beyond,
            "two lanes with one writer id could issue one version twice"
        );
        Self {
            fresh: Lane {
                last: HybridTime::default(),
                writer: fresh,
            },
            beyond: Lane {
                last: HybridTime::default(),
                writer: beyond,
            },
        }
    }

    /// A version for a write that knows nothing of what it overwrites.
    /// `None` only at the end of the 48-bit time.
    pub fn fresh(&mut self, now: UnixMillis) -> Option<Version> {
        self.fresh.renew_if_ahead(now);
        self.fresh.issue(HybridTime::at(now))
    }

    /// A version above `seen`, for a write that was told of a stored version.
    /// `None` when nothing lies above it.
    pub fn above(&mut self, seen: Version, now: UnixMillis) -> Option<Version> {
        let above = seen.time.next()?;
        if above.millis() <= now {
            self.fresh.renew_if_ahead(now);
            self.fresh.issue(above.max(HybridTime::at(now)))
        } else {
            // Nor does one key from the future drag others there that lie a little ahead.
            self.beyond.renew_if_ahead(above.millis());
            self.beyond.issue(above)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clock() -> VersionClock {
        VersionClock::new(WriterId::from_random(10), WriterId::from_random(20))
    }

    #[test]
    fn expiry_lies_just_above() {
        let low = Version::new(HybridTime::from_bits(7), WriterId::from_random(10));
        let next_writer = Version::new(HybridTime::from_bits(7), WriterId::from_random(12));
        assert!(low < low.expiry() && low.expiry() < next_writer);
        assert!(low.expiry().is_expiry() && !low.is_expiry());
        assert_eq!((low.expiry().expired(), low.expired()), (Some(low), None));
    }

    #[test]
    fn a_version_from_the_future_does_not_drag_fresh_ones_along() {
        let mut clock = clock();
        let now = UnixMillis(1_000_000);
        let far = Version::new(
            HybridTime::at(now.plus(3_600_000)),
            WriterId::from_random(4),
        );
        assert!(clock.above(far, now).expect("room above") > far);
        assert_eq!(clock.fresh(now).expect("in time").time().millis(), now);
    }

    #[test]
    fn a_clock_that_was_set_back_issues_versions_of_today_again() {
        let mut clock = clock();
        let now = UnixMillis(10_000_000_000);
        let ahead = clock.fresh(now.plus(3_600_000)).expect("in time");
        let back = clock.fresh(now).expect("in time");
        assert_eq!(back.time().millis(), now);
        assert!(back < ahead);
        // Back at the hour that was ahead: the same reading, yet another version.
        assert_ne!(clock.fresh(now.plus(3_600_000)), Some(ahead));
    }

    #[test]
    fn a_clock_that_was_set_back_a_little_uses_up_little_of_the_allowed_skew() {
        let mut clock = clock();
        let now = UnixMillis(10_000_000_000);
        for back in [500, 5_000, 20_000, 29_000] {
            clock.fresh(now.plus(back)).expect("in time");
            let ahead = clock.fresh(now).expect("in time").time().millis();
            assert!(ahead.since(now) <= AHEAD_MS_MAX, "{back} ms: {ahead:?}");
        }
    }

    #[test]
    fn nothing_from_the_future_spreads_over_writes_that_were_told_of_a_version() {
        let mut clock = clock();
        let now = UnixMillis(10_000_000_000);
        let seen = |at| Version::new(HybridTime::at(at), WriterId::from_random(4));
        // The clock was an hour ahead and was corrected.
        clock.fresh(now.plus(3_600_000)).expect("in time");
        let next = clock.above(seen(now), now).expect("in time");
        assert_eq!(next.time().millis(), now);
        // One key lies an hour ahead, another a little.
        let far = clock.above(seen(now.plus(3_600_000)), now);
        let near = clock.above(seen(now.plus(5)), now).expect("in time");
        assert!(far > Some(near) && near.time().millis() == now.plus(5));
    }

    #[test]
    fn nothing_lies_above_the_end_of_time() {
        let end = Version::new(HybridTime::from_bits(u64::MAX), WriterId::from_random(4));
        assert_eq!(clock().above(end, UnixMillis(1)), None);
    }

    proptest! {
        /// Whatever times and seen versions come, in whatever order, no version comes twice and
        /// each lies above what it was asked to exceed.
        #[test]
        fn versions_are_unique_and_above(steps in prop::collection::vec(
            (0u64..50, prop::option::of((0u64..100, 0u64..5))), 1..200)) {
            let mut clock = clock();
            let mut issued = std::collections::HashSet::new();
            for (now, seen) in steps {
                let now = UnixMillis(now);
                let version = match seen {
                    None => clock.fresh(now),
                    Some((millis, counter)) => {
                        let time = HybridTime::from_bits((millis << 16) + counter);
                        let seen = Version::new(time, WriterId::from_random(u64::MAX));
                        let version = clock.above(seen, now);
                        prop_assert!(version > Some(seen));
                        version
                    }
                };
                prop_assert!(issued.insert(version));
                let version = version.expect("far from the end");
                prop_assert_eq!(Version::from_bytes(version.to_bytes()), version);
            }
        }

        #[test]
        fn bytes_sort_as_versions_do(a in any::<[u8; 16]>(), b in any::<[u8; 16]>()) {
            let (left, right) = (Version::from_bytes(a), Version::from_bytes(b));
            prop_assert_eq!(left.cmp(&right), left.to_bytes().cmp(&right.to_bytes()));
        }
    }
}
