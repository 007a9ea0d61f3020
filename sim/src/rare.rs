//! Which rare paths a run saw. A green run means something only if it went where things are hard.

use std::collections::BTreeMap;

macro_rules! paths {
    ($($(#[doc = $doc:literal])* $name:ident => $text:literal,)*) => {
        /// A path that is seldom taken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rare {
            $($(#[doc = $doc])* $name,)*
        }

        impl Rare {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// In words.
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}
paths! {
    /// A member had a newer version.
    Superseded => "superseded write",
    /// A write may or may not have happened.
    UnknownWrite => "write of unknown outcome",
    /// A write certainly did not happen.
    WriteNotDone => "write not done",
    /// A read failed.
    ReadNotDone => "read not done",
    /// More members were asked since answers were slow.
    HedgedRead => "hedged read",
    /// A read spread what it found.
    ReadRepair => "read that wrote back",
    /// A read from fewer than a quorum.
    PartialRead => "partial read",
    /// A value was found expired.
    Expired => "expired value",
    /// A key was answered absent with a tombstone's version.
    Tombstone => "tombstone read",
    /// A value in chunks was written.
    ChunkedWrite => "value in chunks written",
    /// A value in chunks was read.
    ChunkedRead => "value in chunks read",
    /// A page of a scan.
    ScanPage => "scanned page",
    /// A scan went on with another page.
    NextPage => "scan of several pages",
    /// A key of a page had to be read by itself.
    ScanAsk => "scanned key read by itself",
    /// A member refused an older epoch.
    StaleEpoch => "refusal of an older epoch",
    /// A member was behind the request's epoch.
    BehindEpoch => "refusal of a newer epoch",
    /// A broker learned a placement.
    PlacementLearned => "placement learned from a refusal",
    /// An operation had an older placement than its broker.
    PlacementLearnedLater => "placement learned that the broker had already",
    /// A damaged slot refused.
    DamagedRefusal => "refusal of a damaged slot",
    /// An answer that counts in no quorum.
    UnsyncedAnswer => "answer of an unsynced slot",
    /// A full disk refused.
    DiskFull => "refusal by a full disk",
    /// A poisoned log refused.
    LogFailed => "refusal by a failed log",
    /// A commit failed half way.
    Uncertain => "uncertain reply",
    /// A fresh version lay too far ahead.
    TooFarAhead => "version too far ahead",
    /// A chunk was missing.
    ChunksMissing => "chunks missing",
    /// A request arrived twice.
    Twice => "request that arrived twice",
    /// A message was lost.
    LostMessage => "lost message",
    /// A request went nowhere.
    NotSent => "request not sent",
    /// Power went in the middle of a change.
    PowerInTheMiddle => "power lost in the middle of a commit",
    /// Recovery cut a torn tail.
    TornTail => "torn tail",
    /// Recovery cut a commit of which a part was never written, and took the log for intact.
    TornIntoRoom => "torn commit in room made ahead, log intact",
    /// Recovery found damage.
    DamageAtStart => "damage found at start",
    /// A log that may lack what it acknowledged.
    NotIntact => "start with a doubtful log",
    /// A segment was read from its hints.
    Hints => "start from hints",
    /// A segment was retired.
    Compaction => "segment retired by compaction",
    /// A member did not start because of its files.
    OpenFailed => "member unable to open its log",
    /// A member's log had nothing left that could be read.
    GivenUp => "member with nothing left to read",
    /// Catching up brought a record.
    Exchanged => "record brought by catching up",
    /// Slots vote again.
    Promoted => "slots promoted to vote again",
    /// A log was marked repaired.
    Repaired => "log marked repaired",
    /// A broker went with operations under way.
    BrokerLost => "broker killed with operations under way",
    /// A member stayed outside.
    Blank => "blank member",
    /// A disk lost something after another one's member had got back what it had lost.
    NextDisk => "disk that lost something after another was repaired",
    /// A disk was spared, since too many others of its sets had lost something.
    Spared => "disk spared beside others in doubt",
    /// A write went on beyond its quorum.
    Aftermath => "write finished beyond its quorum",
}

/// How often each was seen.
#[derive(Debug, Clone, Default)]
pub struct Seen(BTreeMap<Rare, u64>);

impl Seen {
    /// Notes one.
    pub fn note(&mut self, rare: Rare) {
        *self.0.entry(rare).or_default() += 1;
    }

    /// Adds what another run saw; counts runs, not times.
    pub fn add_run(&mut self, other: &Self) {
        for rare in other.0.keys() {
            self.note(*rare);
        }
    }

    /// Adds up counts.
    pub fn add(&mut self, other: &Self) {
        for (rare, count) in &other.0 {
            *self.0.entry(*rare).or_default() += count;
        }
    }

    /// How often.
    pub fn count(&self, rare: Rare) -> u64 {
        self.0.get(&rare).copied().unwrap_or(0)
    }

    /// Those never seen.
    pub fn missing(&self) -> Vec<Rare> {
        let unseen = |rare: &Rare| self.count(*rare) == 0;
        Rare::ALL.iter().copied().filter(unseen).collect()
    }
}
