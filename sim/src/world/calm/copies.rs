//! What the copies have once all faults are over: the same, all of it, and nothing else.

use bytes::{Bytes, BytesMut};
use kvcore::{
    key::Key,
    limits::CHUNK_BYTES,
    placement::MemberIndex,
    record::{Body, Payload, ValueMeta},
    slot::Slot,
    version::Version,
    wire::Standing,
};
use kvserver::store::{ReadFailure, Store};

use super::{TRIES_MAX, World};
use crate::{
    checker::{Content, Kind, Violation},
    disk::SimDisk,
    world::broker::key_of,
};

/// What a member has of one slot.
#[derive(Debug)]
struct Copied {
    #[expect(dead_code, reason = "people read it")]
    member: usize,
    digest: u64,
    standing: Standing,
}

/// What a member has under one key.
type Held = Option<(Version, Option<(ValueMeta, Bytes)>)>;

impl World<'_> {
    /// The first difference between copies, if there is one.
    pub(super) fn difference(&self) -> Option<String> {
        for (number, member) in self.members.iter().enumerate() {
            if member.process.is_none() && !member.is_given_up() {
                let error = member.last_error.as_deref().unwrap_or("no error");
                return Some(format!("member {number} does not start: {error}"));
            }
        }
        Slot::all().find_map(|slot| {
            let set = self.placement.slot(slot).current().members();
            let copies = set.iter().filter_map(|&index| self.copied(index, slot));
            let copies: Vec<_> = copies.collect();
            let first = copies.first()?;
            let votes = |copied: &&Copied| copied.standing == Standing::Voter;
            // Each acknowledged write is on one of so many others. Beside blank members there may
            // be fewer to sync from, until those are replaced.
            let enough = set.len() - self.plan.shape.write_quorum() + 1;
            let must_vote =
                copies.len() == set.len() || copies.iter().filter(votes).count() >= enough;
            let differs = copies
                .iter()
                .any(|copied| copied.digest != first.digest || must_vote && !votes(&copied));
            differs.then(|| format!("slot {slot}: {copies:?}"))
        })
    }

    /// What a member has of a slot; `None` for a blank one.
    fn copied(&self, index: MemberIndex, slot: Slot) -> Option<Copied> {
        let digest = self.store(index.get())?.digest(slot);
        Some(Copied {
            member: index.get(),
            digest: digest.digest,
            standing: digest.standing,
        })
    }

    /// The store of a member that runs and is not blank.
    fn store(&self, member: usize) -> Option<&Store<SimDisk>> {
        let member = &self.members[member];
        let process = member.process.as_ref().filter(|_| !member.is_blank)?;
        Some(&process.store)
    }

    /// The members of the key's slot that vote.
    pub(super) fn voters(&self, slot: Slot) -> usize {
        let set = self.placement.slot(slot).current().members();
        let copies = set.iter().filter_map(|&index| self.copied(index, slot));
        copies
            .filter(|copied| copied.standing == Standing::Voter)
            .count()
    }

    /// Whether a member votes for all its slots.
    pub(super) fn votes_everywhere(&self, member: usize) -> bool {
        let index = MemberIndex(u16::try_from(member).expect("members are few"));
        let slots = self.placement.slots_of(index);
        self.store(member).is_some_and(|store| {
            let votes = |slot| store.standing(slot) == Standing::Voter;
            slots.iter().all(votes)
        })
    }

    /// No copy has less than was acknowledged or read, or what nobody wrote, or other bytes.
    pub(super) fn check_copies(&mut self) -> Result<(), Violation> {
        for _ in 0..TRIES_MAX {
            let mut damage = None;
            for number in 0..self.plan.shape.keys {
                let key = key_of(number);
                let set = self.placement.slot(key.slot()).current().clone();
                for &index in set.members() {
                    damage = self.check_copy(number, &key, index.get())?.or(damage);
                }
            }
            if damage.is_none() {
                return Ok(());
            }
            // Reading has met damage that nobody had met before.
            self.converge()?;
        }
        let what = "copies cannot be read, however often they are repaired";
        Err(self.violation(Kind::Unavailable, what.to_owned()))
    }

    /// Checks one copy of a key; gives the damage that was met.
    fn check_copy(
        &mut self,
        number: u16,
        key: &Key,
        member: usize,
    ) -> Result<Option<ReadFailure>, Violation> {
        let Some(store) = self.store(member) else {
            return Ok(None);
        };
        let voted = store.standing(key.slot()) == Standing::Voter;
        let held = match held(store, key) {
            Ok(held) => held,
            Err(failure) => return Ok(voted.then_some(failure)),
        };
        let version = held.as_ref().map(|(version, _)| *version);
        // The copies are equal: each has what was acknowledged, also where a read need not meet it.
        let known = self.checker.known(number);
        if version < known {
            let what = format!("member {member}, key {number}: has {version:?}, known {known:?}");
            return Err(self.violation(Kind::Lost, what));
        }
        if let Some((version, value)) = held {
            let content = match &value {
                Some((meta, bytes)) => Content::Value(meta, bytes),
                None => Content::Tombstone,
            };
            let seen = self.checker.seen(number, version, content);
            seen.map_err(|(kind, what)| self.violation(kind, format!("member {member}: {what}")))?;
        }
        Ok(None)
    }
}

/// What a member has under a key, with all of its bytes.
fn held(store: &Store<SimDisk>, key: &Key) -> Result<Held, ReadFailure> {
    let (_, record) = store.get(key)?;
    let Some(record) = record else {
        return Ok(None);
    };
    let value = match record.body {
        Body::Tombstone => None,
        Body::Value {
            meta,
            payload: Payload::Whole(bytes),
        } => Some((meta, bytes)),
        Body::Value {
            meta,
            payload: Payload::Chunked(_),
        } => {
            let chunks = (meta.length as usize).div_ceil(CHUNK_BYTES);
            let mut bytes = BytesMut::with_capacity(meta.length as usize);
            for chunk in 0..u32::try_from(chunks).expect("values are limited") {
                bytes.extend_from_slice(&store.chunk(key, record.version, chunk)?);
            }
            Some((meta, bytes.freeze()))
        }
    };
    Ok(Some((record.version, value)))
}
