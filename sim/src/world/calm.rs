//! Between acts: all incidents end, and what was promised for such times is demanded. Members
//! come to vote for all their slots and have equal copies; everything can be read and written.

mod clients;
mod copies;

use kvserver::log::{disk::Disk, is_segment};
use rand::RngExt;

use super::{
    Event, MS, World,
    broker::Broker,
    member::{Loss, Process},
};
use crate::{
    checker::{Kind, Violation},
    rare::Rare,
};

/// How long members may take to become equal, in simulated time.
const CONVERGE_US: u64 = 120_000 * MS;

/// How often it is looked at.
const LOOK_US: u64 = 100 * MS;

/// By how much an operation may outlive its deadline: it is woken for it.
const LATE_US: u64 = 10 * MS;

/// How often something is tried that meets damage nobody had met before.
const TRIES_MAX: u32 = 5;

impl World<'_> {
    /// Ends all incidents, waits until the copies are equal, and reads and writes.
    pub(super) fn calm(&mut self) -> Result<(), Violation> {
        self.links.set_calm(true);
        self.wait_for_paused()?;
        self.skews_ms.clone_from(&self.plan.shape.skews_ms);
        for member in 0..self.members.len() {
            self.heal(member);
        }
        self.finish_operations()?;
        self.converge()?;
        self.check_copies()?;
        self.read_everything()?;
        self.write_through_every_broker()?;
        self.take_for_repaired();
        self.links.set_calm(false);
        Ok(())
    }

    /// Lets members go on that stand still: from then on nothing that waits for them is late.
    fn wait_for_paused(&mut self) -> Result<(), Violation> {
        let until_us = self.members.iter().map(|member| member.paused_until_us);
        let until_us = until_us.max().unwrap_or(0);
        self.run_until(until_us.max(self.now_us))
    }

    fn heal(&mut self, member: usize) {
        let this = &mut self.members[member];
        this.slow = (0, 0);
        this.disk.memory.set_room(None);
        this.disk.memory.fail_sync_after(None);
        if this.disk.is_off() {
            self.lose_power(member);
        }
        self.members[member].disk.stay_on();
        if self.members[member].loss == Loss::Hidden && self.dice.random_bool(0.5) {
            self.read_through(member);
        }
        self.restart_failed(member);
    }

    /// Ends a member's process and its log's hints, so that it reads all of its log when it starts
    /// and meets what is damaged there.
    fn read_through(&mut self, member: usize) {
        self.kill(member);
        let disk = &self.members[member].disk.memory;
        for name in disk.list().unwrap_or_default() {
            if !is_segment(&name) {
                disk.remove(&name).expect("it was listed");
            }
        }
        disk.sync_directory().expect("no sync is to fail");
        self.members[member].loss = Loss::Met;
    }

    /// Starts a member that is down, and one whose log takes no writes until then: it may meet a
    /// sector that cannot be read only now.
    fn restart_failed(&mut self, member: usize) {
        let failed = |process: &Process| process.writer.poisoned().is_some();
        if self.members[member].process.as_ref().is_some_and(failed) {
            self.kill(member);
        }
        if self.members[member].process.is_none() {
            let life = self.members[member].life;
            self.schedule_in(0, Event::Start { member, life });
        }
    }

    /// Lets every operation come to its end, which its deadline bounds.
    fn finish_operations(&mut self) -> Result<(), Violation> {
        let limit_us = self.plan.shape.deadline_ms * MS + LATE_US;
        while let Some(oldest_us) = self.brokers.iter().filter_map(Broker::oldest_us).min() {
            if self.now_us > oldest_us + limit_us {
                let open = "an operation is open although its deadline is over";
                return Err(self.violation(Kind::Deadline, open.to_owned()));
            }
            self.run_until(self.now_us + LOOK_US)?;
        }
        Ok(())
    }

    /// A member whose log has nothing left that can be read stays down until a person replaces it.
    fn give_up(&mut self) {
        for member in 0..self.members.len() {
            if self.members[member].is_given_up() && !self.members[member].is_blank {
                self.note(Rare::GivenUp);
                self.members[member].is_blank = true;
            }
        }
    }

    fn converge(&mut self) -> Result<(), Violation> {
        let limit = self.now_us + CONVERGE_US;
        loop {
            self.give_up();
            for member in 0..self.members.len() {
                if self.members[member].process.is_some() {
                    self.restart_failed(member);
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

    /// Notes which members have again what their disks had lost: from now on another disk may lose
    /// as much.
    fn take_for_repaired(&mut self) {
        for member in 0..self.members.len() {
            if self.members[member].loss == Loss::Met && self.votes_everywhere(member) {
                self.members[member].loss = Loss::Repaired;
            }
        }
    }

    pub(super) fn violation(&self, kind: Kind, what: String) -> Violation {
        Violation {
            at_us: self.now_us,
            kind,
            what,
        }
    }
}
