//! What goes into a machine and what comes out.

use kvcore::{
    placement::{MemberId, MemberIndex, Placement},
    record::UploadId,
    version::{UnixMillis, Version},
    wire::{Reply, Request},
};
use smallvec::SmallVec;

/// Ties an answer to what was sent within one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u64);

/// Gives out tags, each once.
#[derive(Debug, Default)]
pub struct Tags(u64);

impl Tags {
    /// The next tag.
    pub fn issue(&mut self) -> Tag {
        self.0 += 1;
        Tag(self.0)
    }
}

/// The time, as one operation sees it.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Time of day, for versions and expiry.
    pub wall: UnixMillis,
    /// Milliseconds since the operation began by a clock that never goes back, for deadlines.
    pub elapsed_ms: u64,
}

/// Something for the shell to do.
///
/// Kept by value although a placement is much smaller than a request: both are moved once.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask a member, and report the answer with this tag.
    Send {
        /// Whom.
        to: MemberId,
        /// Comes back with the answer.
        tag: Tag,
        /// What.
        request: Request,
    },
    /// A value of so many bytes is about to come in chunks: make room for it before what was
    /// asked for is sent.
    Expect {
        /// The value's length.
        bytes: usize,
    },
    /// Take this placement if it is newer than the one in use, then step with
    /// [`Event::PlacementChanged`].
    Learn(Placement),
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A member answered.
    Reply {
        /// What it answers.
        tag: Tag,
        /// Its answer.
        reply: Reply,
    },
    /// A request certainly did not reach its member.
    NotSent {
        /// Which one.
        tag: Tag,
        /// Why.
        why: String,
    },
    /// A request may or may not have reached its member.
    Lost {
        /// Which one.
        tag: Tag,
        /// Why.
        why: String,
    },
    /// The placement in the context is newer than before.
    PlacementChanged,
    /// The time the machine asked to be woken at has come.
    Wake,
}

impl Event {
    /// What the event answers, if it answers something.
    pub fn tag(&self) -> Option<Tag> {
        match self {
            Self::Reply { tag, .. } | Self::NotSent { tag, .. } | Self::Lost { tag, .. } => {
                Some(*tag)
            }
            Self::PlacementChanged | Self::Wake => None,
        }
    }
}

/// Issues versions to all operations of one broker, each version once.
///
/// Behind a reference that is shared, so that a step which copies a large value keeps nobody else
/// from theirs.
pub trait VersionSource {
    /// A version for a write that knows nothing of what it overwrites.
    fn fresh(&self, now: UnixMillis) -> Option<Version>;

    /// A version above a stored one.
    fn above(&self, seen: Version, now: UnixMillis) -> Option<Version>;
}

/// What a machine may look at during one step, and where its effects go.
pub struct Context<'a> {
    /// The time of this step.
    pub now: Now,
    /// When the client's operation began, by this broker's clock.
    pub began_at: UnixMillis,
    /// The placement in force.
    pub placement: &'a Placement,
    /// Which members can be asked now; indexed by member.
    pub live: &'a [bool],
    /// Issues versions.
    pub clock: &'a dyn VersionSource,
    /// A random number of this operation: names uploads, spreads reads over members.
    pub random: u128,
    /// Issues tags.
    pub tags: &'a mut Tags,
    /// What the shell is to do after the step.
    pub effects: &'a mut Vec<Effect>,
}

impl Context<'_> {
    /// Asks a member; the answer comes with the tag.
    pub fn send(&mut self, to: MemberIndex, request: Request) -> Tag {
        let tag = self.tags.issue();
        let to = self.placement.member(to).id;
        self.effects.push(Effect::Send { to, tag, request });
        tag
    }

    /// Whether the member can be asked now.
    pub fn is_live(&self, member: MemberIndex) -> bool {
        self.live.get(member.get()).copied().unwrap_or(false)
    }

    /// A name for a set of chunks, the same each time within one operation.
    pub fn upload(&self) -> UploadId {
        UploadId(self.random)
    }

    /// Members in an order that differs from operation to operation, live ones first.
    pub fn spread(&self, members: &[MemberIndex]) -> SmallVec<[MemberIndex; 8]> {
        let mut order = SmallVec::from_slice(members);
        if !order.is_empty() {
            let by = (self.random % order.len() as u128) as usize;
            order.rotate_left(by);
        }
        // Stable: live ones keep their order among themselves.
        order.sort_by_key(|&member| !self.is_live(member));
        order
    }
}

/// Whether a machine has come to its end.
#[derive(Debug, PartialEq)]
pub enum Progress<T> {
    /// It waits for events.
    Pending,
    /// It is over; further events are ignored.
    Ended(T),
}
