//! Moves that begin: which slots are not where they are to be, and which of them come first.

use super::{
    super::{Holders, MemberIndex, MoveStage, Quorums, ReplicaSet, SlotPlacement, moves},
    Reason, Scene, Waiting, Wanted, names, slot_at,
};

/// Why a slot is to move, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// It has fewer copies than are wanted; this many live ones.
    Short { live: usize },
    /// A member is drained, or not wanted any more.
    Drain,
    /// Its quorums are to change.
    Quorums,
    /// It has more copies than are wanted.
    Surplus,
    /// Another member has too few slots.
    Balance,
}

/// A move that might begin.
struct Candidate {
    urgency: Urgency,
    /// The slot's place.
    at: usize,
    next: Holders,
}

/// Begins what may begin now.
pub(super) fn begin(scene: &Scene<'_>, slots: &mut [SlotPlacement]) -> Vec<Waiting> {
    let Some(target) = scene.target else {
        return Vec::new();
    };
    let mut waits = Vec::new();
    let mut candidates: Vec<_> = slots
        .iter()
        .enumerate()
        // What has just come to its end is told first.
        .filter(|(_, placed)| placed.open().is_none() && placed.since() < scene.epoch)
        .filter_map(|(at, placed)| scene.candidate(at, placed, &target[at]))
        .collect();
    candidates.sort_by_key(|candidate| (candidate.urgency, candidate.at));
    let is_short = slots.iter().any(|placed| scene.is_short(placed));
    let mut load = Load::of(scene, slots);
    let mut blocked = Vec::new();
    for candidate in candidates {
        let placed = &slots[candidate.at];
        let may = scene.may_begin(&candidate, placed, is_short);
        let may = may.and_then(|()| load.take(scene, placed, &candidate.next));
        match may {
            Ok(()) => slots[candidate.at] = copying(scene, placed, candidate.next),
            Err(reason) => {
                if let (Reason::Limit { .. }, Urgency::Short { .. }) = (&reason, candidate.urgency)
                {
                    blocked.push(parties(scene, placed.current(), &candidate.next));
                }
                waits.push(Waiting::slot(slot_at(candidate.at), reason));
            }
        }
    }
    make_way(scene, slots, &blocked);
    waits.extend(scene.losses(slots));
    waits
}

fn copying(scene: &Scene<'_>, placed: &SlotPlacement, next: Holders) -> SlotPlacement {
    let current = placed.current().clone();
    SlotPlacement::moving(scene.epoch, MoveStage::Copying, current, next)
}

/// Copies for the sake of balance give way to those that bring copies back.
fn make_way(scene: &Scene<'_>, slots: &mut [SlotPlacement], blocked: &[Vec<MemberIndex>]) {
    if blocked.is_empty() {
        return;
    }
    for placed in slots {
        let Some(next) = placed.next() else { continue };
        // Those of this very decision began because there was room for them.
        let is_older = placed.since() < scene.epoch;
        if placed.stage() != Some(MoveStage::Copying) || !is_older {
            continue;
        }
        let takes = parties(scene, placed.current(), next);
        let is_in_the_way = blocked.iter().flatten().any(|party| takes.contains(party));
        if is_in_the_way && scene.urgency(placed.current(), &next.set) == Urgency::Balance {
            *placed = placed.stepped(moves::Step::Revert, scene.epoch);
        }
    }
}

/// Everyone who has work with a move: who copies, who gives, who hands over. A leaver that is away
/// has none.
fn parties(scene: &Scene<'_>, current: &Holders, next: &Holders) -> Vec<MemberIndex> {
    if current.set == next.set {
        // Quorums change; nothing is copied.
        return Vec::new();
    }
    let both = ReplicaSet::new(current.members().iter().chain(next.members()).copied());
    let members = both.members().iter().copied();
    members
        .filter(|&member| scene.known.is_here(member))
        .collect()
}

/// How many moves each member takes part in.
struct Load(Vec<usize>);

impl Load {
    fn of(scene: &Scene<'_>, slots: &[SlotPlacement]) -> Self {
        let mut load = Self(vec![0; scene.members.len()]);
        for placed in slots {
            let Some(next) = placed.next() else { continue };
            // Past copying, what waits for somebody who is away is no work for anybody.
            let is_copied = placed.stage() == Some(MoveStage::Copying);
            let here = scene.known.count_here(placed.current().members());
            if is_copied || here == placed.current().copies() {
                for party in parties(scene, placed.current(), next) {
                    load.0[party.get()] += 1;
                }
            }
        }
        load
    }

    fn take(
        &mut self,
        scene: &Scene<'_>,
        placed: &SlotPlacement,
        next: &Holders,
    ) -> Result<(), Reason> {
        let parties = parties(scene, placed.current(), next);
        let moves_per_member = scene.limits.moves_per_member;
        if parties
            .iter()
            .any(|party| self.0[party.get()] >= moves_per_member)
        {
            return Err(Reason::Limit { moves_per_member });
        }
        for party in parties {
            self.0[party.get()] += 1;
        }
        Ok(())
    }
}

impl Scene<'_> {
    /// The next change of one replica that brings a stable slot nearer to its target.
    fn candidate(
        &self,
        at: usize,
        placed: &SlotPlacement,
        target: &ReplicaSet,
    ) -> Option<Candidate> {
        let current = placed.current();
        let mut leavers: Vec<_> = current.set.without(target).collect();
        // What is gone goes first: it takes nothing away.
        leavers.sort_by_key(|&leaver| (!self.known.is_lost(leaver), self.known.is_here(leaver)));
        let mut joiners: Vec<_> = target.without(&current.set).collect();
        joiners.sort_by_key(|&joiner| !self.known.is_here(joiner));
        let copies = usize::from(self.wanted.copies);
        let has = current.copies();
        let joiner = joiners.first().filter(|_| has <= copies);
        let leaver = leavers.first().filter(|_| has >= copies);
        let stays = current
            .members()
            .iter()
            .filter(|&member| Some(member) != leaver);
        let set = ReplicaSet::new(stays.chain(joiner).copied());
        let quorums = quorums_of(self.wanted, current, set.members().len());
        let next = Holders::new(set, quorums);
        let is_same = next.set == current.set
            && next.read_quorum() == current.read_quorum()
            && next.write_quorum() == current.write_quorum();
        (!is_same && !next.members().is_empty()).then(|| Candidate {
            urgency: self.urgency(current, &next.set),
            at,
            next,
        })
    }

    /// Why a slot goes from one set to the other.
    fn urgency(&self, current: &Holders, next: &ReplicaSet) -> Urgency {
        let live = self.known.count_here(current.members());
        if self.lasting(current) < usize::from(self.wanted.copies) {
            return Urgency::Short { live };
        }
        if current.set == *next {
            return Urgency::Quorums;
        }
        let leaver = current.set.without(next).next();
        let is_unwanted = |leaver: MemberIndex| {
            let id = self.members[leaver.get()].id;
            let is_wanted = self.wanted.members.iter().any(|member| member.id == id);
            self.wanted.drained.contains(&id) || !is_wanted
        };
        if leaver.is_some_and(is_unwanted) {
            return Urgency::Drain;
        }
        if current.copies() > usize::from(self.wanted.copies) {
            return Urgency::Surplus;
        }
        Urgency::Balance
    }

    /// Members of a set that are not lost.
    fn lasting(&self, holders: &Holders) -> usize {
        let members = holders.members().iter();
        members
            .filter(|&&member| !self.known.is_lost(member))
            .count()
    }

    /// Whether a slot has fewer copies than are wanted, and one from which there could be more.
    fn is_short(&self, placed: &SlotPlacement) -> bool {
        let lasting = self.lasting(placed.read_set());
        lasting > 0 && lasting < usize::from(self.wanted.copies)
    }

    fn may_begin(
        &self,
        candidate: &Candidate,
        placed: &SlotPlacement,
        is_short: bool,
    ) -> Result<(), Reason> {
        let (current, next) = (placed.current(), &candidate.next);
        let joiner = next.set.without(&current.set).next();
        if let Some(joiner) = joiner.filter(|&joiner| !self.known.is_here(joiner)) {
            return Err(Reason::JoinerAway {
                joiner: self.members[joiner.get()].id,
            });
        }
        let leaver = current.set.without(&next.set).next();
        if let Some(leaver) = leaver.filter(|&leaver| !self.known.is_lost(leaver)) {
            if is_short && !matches!(candidate.urgency, Urgency::Short { .. }) {
                return Err(Reason::ShortFirst);
            }
            self.others_are_whole(current, leaver)?;
        }
        self.has_sources(current, next)?;
        if !self.can_serve(next) {
            let members = next.members().iter().copied();
            let away = members.filter(|&member| !self.known.is_here(member));
            return Err(Reason::NextCannotServe {
                away: self.names(away),
            });
        }
        Ok(())
    }

    fn others_are_whole(&self, current: &Holders, leaver: MemberIndex) -> Result<(), Reason> {
        let others = current.members().iter().copied();
        let others = others.filter(|&member| member != leaver);
        let missing: Vec<_> = others
            .filter(|&member| !self.known.is_caught_up(member))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing = self.names(missing);
        Err(Reason::OtherCopies { missing })
    }

    /// Whether there are members enough to copy from.
    fn has_sources(&self, current: &Holders, next: &Holders) -> Result<(), Reason> {
        let left = current.members().iter().copied();
        let left: Vec<_> = left
            .filter(|&member| !self.known.is_destroyed(member))
            .collect();
        let needed = moves::sources(current, next).min(left.len());
        let is_missing = |member: &MemberIndex| !self.known.is_caught_up(*member);
        let missing: Vec<_> = left.iter().copied().filter(is_missing).collect();
        if left.len() - missing.len() >= needed && needed > 0 {
            return Ok(());
        }
        let missing = self.names(missing);
        Err(Reason::Sources { missing, needed })
    }

    /// Slots without any copy, and members that are away and not replaced yet.
    fn losses(&self, slots: &[SlotPlacement]) -> Vec<Waiting> {
        let mut waits = Vec::new();
        for (at, placed) in slots.iter().enumerate() {
            let members = placed.last().members();
            if members
                .iter()
                .all(|&member| self.known.is_destroyed(member))
            {
                waits.push(Waiting::slot(slot_at(at), Reason::AllCopiesLost));
            }
            let away = members.iter().filter(|&&member| {
                self.known.away_ms(member).is_some() && !self.known.is_lost(member)
            });
            for member in away {
                let member = self.members[member.get()].id;
                waits.push(Waiting::slot(slot_at(at), Reason::Away { member }));
            }
        }
        waits
    }

    pub(super) fn names(
        &self,
        members: impl IntoIterator<Item = MemberIndex>,
    ) -> Vec<super::MemberId> {
        names(&ReplicaSet::new(members), self.members)
    }
}

/// The quorums of a set of so many members on the way from one set to what is wanted.
///
/// With as many members as are wanted it is what was asked for. On the way there a write needs what
/// it needed before or will need, whichever is more, and reads meet writes where they do so then.
pub(super) fn quorums_of(wanted: &Wanted, current: &Holders, copies: usize) -> Quorums {
    let goal = usize::from(wanted.copies);
    if copies == goal || wanted.quorums == Quorums::default() {
        return wanted.quorums;
    }
    let asked = (wanted.quorums.read_of(goal), wanted.quorums.write_of(goal));
    let write = asked.1.max(current.write_quorum()).min(copies);
    let meets = asked.0 + asked.1 > goal;
    let read = if meets {
        asked.0.max(copies - write + 1)
    } else {
        asked.0
    };
    let number = |quorum: usize| Some(u8::try_from(quorum.min(copies)).expect("sets are small"));
    Quorums {
        read: number(read),
        write: number(write),
    }
}
