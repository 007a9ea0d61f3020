//! Between acts: all incidents end, and what was promised for such times is demanded. Members
//! come to vote for all their slots and have equal copies; everything can be read.

use kvcore::{key::Key, placement::MemberIndex, slot::Slot, wire::Standing};

use super::{
    Event, MS, World,
    front::{Front, key_of},
};
use crate::{
    checker::{Kind, Violation},
    plan::Ask,
    rare::Rare,
};

/// How long members may take to become equal, in simulated time.
const CONVERGE_US: u64 = 120_000 * MS;

/// How often a key is tried to be read.
const TRIES_MAX: u32 = 5;

/// How often it is looked at.
const LOOK_US: u64 = 100 * MS;

impl World<'_> {
    /// Ends all incidents, waits until the copies are equal, and reads everything.
    pub(super) fn calm(&mut self) -> Result<(), Violation> {
        self.links.set_calm(true);
        self.skews_ms.clone_from(&self.plan.shape.skews_ms);
        for node in 0..self.nodes.len() {
            self.heal(node);
        }
        self.finish_operations()?;
        self.converge()?;
        self.check_copies()?;
        self.read_everything()?;
        self.links.set_calm(false);
        Ok(())
    }

    fn heal(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        this.paused_until_us = 0;
        this.slow = (0, 0);
        this.disk.memory.set_room(None);
        this.disk.memory.fail_sync_after(None);
        if this.disk.is_off() {
            self.lose_power(node);
        }
        self.nodes[node].disk.stay_on();
        self.restart_failed(node);
    }

    /// Starts a member that is down, and one whose log takes no writes until then: it may meet a
    /// sector that cannot be read only now.
    fn restart_failed(&mut self, node: usize) {
        let failed = |process: &super::node::Process| process.writer.poisoned().is_some();
        if self.nodes[node].process.as_ref().is_some_and(failed) {
            self.kill(node);
        }
        if self.nodes[node].process.is_none() {
            let life = self.nodes[node].life;
            self.schedule_in(0, Event::Start { node, life });
        }
    }

    /// Lets every operation come to its end, which its deadline bounds.
    fn finish_operations(&mut self) -> Result<(), Violation> {
        // A scan may end with reads of single keys, which are operations of their own.
        let limit = self.now_us + (2 * self.plan.shape.deadline_ms + 10) * MS;
        while self.fronts.iter().any(Front::has_operations) {
            self.run_until(self.now_us + LOOK_US.min(limit - self.now_us))?;
            if self.now_us >= limit {
                let open = "operations are open although their deadline is over";
                return Err(self.violation(Kind::Deadline, open.to_owned()));
            }
        }
        Ok(())
    }

    /// A member whose log has nothing left that can be read stays down until a person replaces it.
    fn give_up(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].is_given_up() && !self.nodes[node].is_blank {
                self.note(Rare::GivenUp);
                self.nodes[node].is_blank = true;
            }
        }
    }

    fn converge(&mut self) -> Result<(), Violation> {
        let limit = self.now_us + CONVERGE_US;
        loop {
            self.give_up();
            for node in 0..self.nodes.len() {
                if self.nodes[node].process.is_some() {
                    self.restart_failed(node);
                }
            }
            let Some(why) = self.difference() else {
                return Ok(());
            };
            if self.now_us >= limit {
                return Err(self.violation(Kind::NotConverged, why));
            }
            self.run_until(self.now_us + LOOK_US)?;
        }
    }

    pub(super) fn violation(&self, kind: Kind, what: String) -> Violation {
        Violation {
            at_us: self.now_us,
            kind,
            what,
        }
    }

    /// The first difference between copies, if there is one.
    fn difference(&self) -> Option<String> {
        for (number, node) in self.nodes.iter().enumerate() {
            if node.process.is_none() && !node.is_given_up() {
                let error = node.last_error.as_deref().unwrap_or("no error");
                return Some(format!("member {number} does not start: {error}"));
            }
        }
        Slot::all().find_map(|slot| {
            let set = self.placement.slot(slot).current().members();
            let digests = set.iter().filter_map(|&index| self.digest(index, slot));
            let digests: Vec<_> = digests.collect();
            let first = digests.first()?;
            // Beside a blank member there may be too few to sync from until it is replaced.
            let must_vote = digests.len() == set.len();
            let differs = digests.iter().any(|(_, digest, standing)| {
                *digest != first.1 || must_vote && *standing != Standing::Voter
            });
            differs.then(|| format!("slot {slot}: members, digests, standings {digests:?}"))
        })
    }

    /// A copy's digest; `None` for a blank member.
    fn digest(&self, index: MemberIndex, slot: Slot) -> Option<(usize, u64, Standing)> {
        let node = &self.nodes[index.get()];
        let process = node.process.as_ref().filter(|_| !node.is_blank)?;
        let digest = process.store.digest(slot);
        Some((index.get(), digest.digest, digest.standing))
    }

    /// No copy has less than was acknowledged or read, or what nobody wrote.
    fn check_copies(&mut self) -> Result<(), Violation> {
        for number in 0..self.plan.shape.keys {
            let key = key_of(number);
            let set = self.placement.slot(key.slot()).current().clone();
            for &index in set.members() {
                self.check_copy(number, &key, index.get())?;
            }
        }
        Ok(())
    }

    fn check_copy(&mut self, number: u16, key: &Key, node: usize) -> Result<(), Violation> {
        let this = &self.nodes[node];
        let Some(process) = this.process.as_ref().filter(|_| !this.is_blank) else {
            return Ok(());
        };
        let version = process.store.known_version(key);
        let floor = self.checker.floor(number);
        if version < floor {
            let what = format!("member {node}, key {number}: has {version:?}, known {floor:?}");
            return Err(self.violation(Kind::Lost, what));
        }
        Ok(())
    }

    /// Reads every key through some broker, where a read quorum votes.
    fn read_everything(&mut self) -> Result<(), Violation> {
        for number in 0..self.plan.shape.keys {
            let mut tries = 0;
            while !self.read_one(number)? {
                tries += 1;
                if tries > TRIES_MAX {
                    let what = format!("key {number} cannot be read");
                    return Err(self.violation(Kind::Unavailable, what));
                }
                // Reading may find damage that nobody had met before.
                self.converge()?;
            }
        }
        Ok(())
    }

    /// Reads one key; true when that succeeded or cannot be expected.
    fn read_one(&mut self, number: u16) -> Result<bool, Violation> {
        let slot = key_of(number).slot();
        let set = self.placement.slot(slot).current().clone();
        let voters = set.members().iter().filter(|&&index| {
            let digest = self.digest(index, slot);
            digest.is_some_and(|(_, _, standing)| standing == Standing::Voter)
        });
        // What a read finds has to be known to a write quorum before it is answered (R11).
        let shape = &self.plan.shape;
        if voters.count() < shape.read_quorum().max(shape.write_quorum()) {
            return Ok(true);
        }
        let failed = self.failed;
        let broker = usize::from(number) % self.plan.shape.brokers;
        self.ask(broker, Ask::Get(number));
        self.finish_operations()?;
        Ok(self.failed == failed)
    }
}
