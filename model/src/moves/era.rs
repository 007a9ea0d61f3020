//! One placement as the model sees it: who is asked and how many must answer, all of it taken
//! from the code's own types.

use std::hash::{Hash, Hasher};

use kvcore::placement::{Epoch, Holders, MemberIndex, MoveStage, ReplicaSet, SlotPlacement};

/// A set of members, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Mask(pub u8);

impl Mask {
    /// The members of a set.
    pub fn of(set: &ReplicaSet) -> Self {
        let members = set.members().iter();
        members.fold(Self(0), |mask, member| mask.with(member.get()))
    }

    /// Whether the member is in it.
    pub fn contains(self, member: usize) -> bool {
        self.0 & (1 << member) != 0
    }

    /// With this member, too.
    #[must_use]
    pub fn with(self, member: usize) -> Self {
        Self(self.0 | 1 << member)
    }

    /// Those in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those in either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// How many they are.
    pub fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// They, in ascending order.
    pub fn members(self) -> impl Iterator<Item = usize> {
        (0..8).filter(move |&member| self.contains(member))
    }

    /// As the code has it.
    pub fn set(self) -> ReplicaSet {
        ReplicaSet::new(self.members().map(index))
    }
}

/// A member as the code numbers it.
pub fn index(member: usize) -> MemberIndex {
    MemberIndex(u16::try_from(member).expect("a handful of members"))
}

/// So many of these must answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quorum {
    /// Who is asked.
    pub of: Mask,
    /// How many must answer.
    pub needed: usize,
}

impl Quorum {
    fn to_write(holders: &Holders) -> Self {
        Self {
            of: Mask::of(&holders.set),
            needed: holders.write_quorum(),
        }
    }

    fn to_read(holders: &Holders) -> Self {
        Self {
            needed: holders.read_quorum(),
            ..Self::to_write(holders)
        }
    }

    /// Whether these are enough.
    pub fn is_reached(self, by: Mask) -> bool {
        by.and(self.of).count() >= self.needed
    }
}

/// A published placement, with what follows from it worked out once.
#[derive(Debug)]
pub struct Era {
    /// The placement's epoch.
    pub number: u8,
    /// The epoch of the slot's last change.
    pub since: u8,
    /// The slot, as the code has it.
    pub slot: SlotPlacement,
    /// Where reads go.
    pub reads: Quorum,
    /// Write quorum of the set that reads go to.
    pub reads_kept: Quorum,
    /// Every live set with its write quorum.
    pub writes: Vec<Quorum>,
    /// Who is in a live set.
    pub live: Mask,
    /// Who is named at all.
    pub named: Mask,
    /// Who comes in.
    pub joiner: Option<usize>,
    /// Who goes out.
    pub leaver: Option<usize>,
    tag: u64,
}

impl Era {
    /// The slot under a placement of this number.
    pub fn new(number: u8, slot: SlotPlacement) -> Self {
        let writes: Vec<_> = slot
            .write_sets()
            .into_iter()
            .map(Quorum::to_write)
            .collect();
        let live = writes.iter().fold(Mask(0), |live, set| live.or(set.of));
        let since = u8::try_from(slot.since().0).expect("few epochs");
        let all = Mask::of(&slot.current().set).or(Mask::of(&slot.last().set));
        Self {
            number,
            since,
            reads: Quorum::to_read(slot.read_set()),
            reads_kept: Quorum::to_write(slot.read_set()),
            writes,
            live,
            named: all,
            joiner: slot.joiner().map(MemberIndex::get),
            leaver: slot.leaver().map(MemberIndex::get),
            tag: tag(number, &slot),
            slot,
        }
    }

    /// How far a move has come.
    pub fn stage(&self) -> Option<MoveStage> {
        self.slot.stage()
    }

    /// The set after the move, or the current one.
    pub fn last(&self) -> Quorum {
        Quorum::to_write(self.slot.last())
    }
}

/// Everything that tells one placement from another, in one word.
fn tag(number: u8, slot: &SlotPlacement) -> u64 {
    let holders = |holders: &Holders| {
        let quorums = holders.read_quorum() << 4 | holders.write_quorum();
        [Mask::of(&holders.set).0, small(quorums)]
    };
    let [current, quorums] = holders(slot.current());
    let [next, next_quorums] = holders(slot.last());
    let stage = slot.stage().map_or(0, |stage| stage as u8);
    let Epoch(since) = slot.since();
    u64::from_le_bytes([
        number,
        u8::try_from(since).expect("few epochs"),
        stage,
        current,
        quorums,
        next,
        next_quorums,
        0,
    ])
}

/// A small number in a byte.
pub fn small(number: usize) -> u8 {
    u8::try_from(number).expect("the model counts no further")
}

impl PartialEq for Era {
    fn eq(&self, other: &Self) -> bool {
        self.tag == other.tag
    }
}

impl Eq for Era {}

impl Hash for Era {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.tag);
    }
}
