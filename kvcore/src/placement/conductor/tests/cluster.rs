//! A cluster of members that do what they are told at once, unless said otherwise.

use uuid::Uuid;

use super::super::{
    super::{AuthorId, ClusterId, Holders, MoveStage, planner::plan},
    *,
};

pub(super) fn member(number: u128) -> Member {
    Member {
        id: MemberId(Uuid::from_u128(number)),
        address: format!("host-{number}:7400"),
        zone: String::new(),
        weight: 1,
    }
}

pub(super) fn members(numbers: impl IntoIterator<Item = u128>) -> Vec<Member> {
    numbers.into_iter().map(member).collect()
}

pub(super) fn id(number: u128) -> MemberId {
    MemberId(Uuid::from_u128(number))
}

/// An author and its members, who are here unless said otherwise and do at once what they can.
pub(super) struct Cluster {
    pub(super) conductor: Conductor,
    pub(super) placement: Placement,
    pub(super) wanted: Wanted,
    pub(super) limits: Limits,
    pub(super) sightings: Sightings,
    /// Copies of each slot, as far as members have pulled them.
    pub(super) replicas_copied: usize,
    pub(super) most_open: usize,
}

impl Cluster {
    pub(super) fn new(count: u128, copies: u8) -> Self {
        let all = members(1..=count);
        let sets = plan(&all, usize::from(copies), None).expect("enough members");
        let quorums = Quorums::default();
        let placement = Placement::new(Parts {
            cluster: ClusterId(Uuid::from_u128(1)),
            epoch: Epoch(1),
            author: AuthorId(Uuid::from_u128(2)),
            address_revision: 0,
            copies,
            quorums,
            members: all.clone(),
            slots: SlotPlacement::all_stable(sets, Epoch(1), quorums),
        });
        let mut cluster = Self {
            conductor: Conductor::default(),
            placement: placement.expect("valid"),
            wanted: Wanted {
                members: all.clone(),
                drained: BTreeSet::new(),
                copies,
                quorums,
            },
            limits: Limits::default(),
            sightings: Sightings::new(),
            replicas_copied: 0,
            most_open: 0,
        };
        for member in all {
            cluster.arrive(member.id);
        }
        cluster
    }

    pub(super) fn arrive(&mut self, member: MemberId) {
        let seen = self.sightings.entry(member).or_default();
        seen.away_ms = 0;
        seen.report = Some(Report {
            is_caught_up: true,
            ..Report::default()
        });
        self.report();
    }

    pub(super) fn want(&mut self, number: u128) {
        self.wanted.members.push(member(number));
        self.arrive(id(number));
    }

    pub(super) fn away(&mut self, number: u128, ms: u64) {
        self.sightings.get_mut(&id(number)).expect("known").away_ms = ms;
    }

    pub(super) fn decide(&mut self) -> Decision {
        self.conductor
            .decide(&self.placement, &self.wanted, &self.sightings, &self.limits)
    }

    /// Everyone who is here takes the placement, and does what its stages ask of it.
    pub(super) fn report(&mut self) {
        let placement = self.placement.clone();
        let here: BTreeSet<_> = self
            .sightings
            .iter()
            .filter(|(_, seen)| seen.is_here())
            .map(|(&member, _)| member)
            .collect();
        for (member, seen) in &mut self.sightings {
            let Some(report) = seen.report.as_mut().filter(|_| here.contains(member)) else {
                continue;
            };
            report.epoch = placement.epoch();
            report.digest = Some(placement.digest());
            report.sessions = sessions(&placement, *member, &here);
        }
    }

    /// One step; false when there is none.
    pub(super) fn step(&mut self) -> bool {
        let decision = self.decide();
        let Some(next) = decision.next else {
            return false;
        };
        self.check(&next);
        self.placement = next;
        self.report();
        true
    }

    pub(super) fn settle(&mut self) -> Vec<Waiting> {
        for _ in 0..20_000 {
            if !self.step() {
                return self.decide().waits;
            }
        }
        panic!("it does not come to an end: {:?}", self.decide().waits);
    }

    /// What must hold of every step.
    pub(super) fn check(&mut self, next: &Placement) {
        let mut load = BTreeMap::<MemberId, usize>::new();
        // A member that comes back may find more moves than begin.
        let mut begun = BTreeSet::new();
        for slot in Slot::all() {
            let (before, after) = (self.placement.slot(slot), next.slot(slot));
            let ids = |placement: &Placement, holders: &Holders| {
                let ids = holders.members().iter().map(|&m| placement.member(m).id);
                ids.collect::<BTreeSet<_>>()
            };
            let was = ids(&self.placement, before.current());
            let had_next = before.next().map(|next| ids(&self.placement, next));
            let is = ids(next, after.current());
            match (before.stage(), after.stage()) {
                (None, None | Some(MoveStage::Copying))
                | (
                    Some(MoveStage::Copying),
                    None | Some(MoveStage::Copying | MoveStage::Switching),
                )
                | (Some(MoveStage::Switching), Some(MoveStage::Switching | MoveStage::Leaving))
                | (Some(MoveStage::Leaving), Some(MoveStage::Leaving)) => assert_eq!(was, is),
                (Some(MoveStage::Switching | MoveStage::Leaving), None) => {
                    assert_eq!(had_next, Some(is.clone()));
                }
                other => panic!("slot {slot} went {other:?}"),
            }
            let is_as_before = had_next == after.next().map(|going| ids(next, going))
                && before.stage() == after.stage();
            let since = if is_as_before {
                before.since()
            } else {
                next.epoch()
            };
            assert_eq!(after.since(), since, "slot {slot}");
            if before.stage() == Some(MoveStage::Copying)
                && after.stage().is_some_and(|s| s > MoveStage::Copying)
            {
                self.replicas_copied += usize::from(after.joiner().is_some());
            }
            let Some(going) = after
                .next()
                .filter(|going| going.set != after.current().set)
            else {
                continue;
            };
            let parties = is.union(&ids(next, going)).copied().collect::<Vec<_>>();
            for party in parties {
                if self.sightings.get(&party).is_some_and(Sighting::is_here) {
                    *load.entry(party).or_default() += 1;
                    begun.extend(before.open().is_none().then_some(party));
                }
            }
        }
        load.retain(|party, _| begun.contains(party));
        let most = load.values().copied().max().unwrap_or(0);
        assert!(
            most <= self.limits.moves_per_member,
            "{most} moves of one member"
        );
        self.most_open = self.most_open.max(most);
    }

    /// How many slots each member holds.
    pub(super) fn slots_held(&self) -> BTreeMap<MemberId, usize> {
        let mut held = BTreeMap::new();
        for slot in Slot::all() {
            let placed = self.placement.slot(slot);
            assert_eq!(placed.open(), None, "slot {slot} still moves");
            for &member in placed.current().members() {
                *held.entry(self.placement.member(member).id).or_default() += 1;
            }
        }
        held
    }
}

/// What a member that does everything at once says of the slots that move.
pub(super) fn sessions(
    placement: &Placement,
    member: MemberId,
    here: &BTreeSet<MemberId>,
) -> BTreeMap<Slot, Session> {
    let Some(me) = placement.index_of(member) else {
        return BTreeMap::new();
    };
    let of = |slot: Slot| {
        let placed = placement.slot(slot);
        let stage = placed.stage().filter(|_| placed.names(me))?;
        let sources = placed.current().members().iter();
        let sources = sources.map(|&source| placement.member(source).id);
        let session = Session {
            epoch: placed.since(),
            pulled: sources.filter(|source| here.contains(source)).collect(),
            given: BTreeSet::new(),
            handed_over: stage == MoveStage::Leaving,
        };
        Some((slot, session))
    };
    Slot::all().filter_map(of).collect()
}
