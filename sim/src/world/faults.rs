//! Carrying incidents out.

use kvcore::{
    placement::{Epoch, MemberId, MemberIndex, Parts, Placement},
    wire::Request,
};
use kvserver::log::disk::Disk;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use uuid::Uuid;

use super::{Caller, Event, MS, World, broker::Broker, member::Loss};
use crate::{plan::Incident, rare::Rare};

impl World<'_> {
    /// Something goes wrong, unless it would take more than what is promised to be survived.
    pub(super) fn befall(&mut self, incident: Incident) {
        if let Some(member) = incident.loses(self.plan.shape.sync) {
            if !self.may_lose(member) {
                return self.note(Rare::Spared);
            }
            self.note_loss(member, incident);
        }
        self.carry_out_incident(incident);
    }

    /// Whether the member's disk may lose what was acknowledged: fewer than a write quorum of each
    /// of its sets may do so before they have it again from the others.
    fn may_lose(&self, member: usize) -> bool {
        let index = MemberIndex(u16::try_from(member).expect("members are few"));
        let slots = self.placement.slots_of(index);
        slots.iter().all(|slot| {
            let set = self.placement.slot(slot).current().members();
            let others = set.iter().filter(|&&other| other != index);
            let in_doubt = others.filter(|other| self.members[other.get()].is_in_doubt());
            in_doubt.count() + 1 < self.plan.shape.write_quorum()
        })
    }

    fn note_loss(&mut self, member: usize, incident: Incident) {
        let others = self.members.iter().enumerate();
        let mut others = others.filter(|&(other, _)| other != member);
        if others.any(|(_, member)| member.loss == Loss::Repaired) {
            self.note(Rare::NextDisk);
        }
        let this = &mut self.members[member];
        this.loss = match incident {
            Incident::Rot { .. } | Incident::Unreadable { .. } => Loss::Hidden,
            // What is damaged stays damaged when the power goes.
            _ if this.loss == Loss::Hidden => Loss::Hidden,
            _ => Loss::Met,
        };
    }

    fn carry_out_incident(&mut self, incident: Incident) {
        let now_us = self.now_us;
        match incident {
            Incident::Kill { member, down_ms } => {
                self.kill(member);
                self.start_later(member, down_ms);
            }
            Incident::PowerLoss {
                member,
                changes,
                down_ms,
            } => self.power_loss(member, changes, down_ms),
            Incident::Pause { member, ms } => {
                let this = &mut self.members[member];
                this.paused_until_us = this.paused_until_us.max(now_us + ms * MS);
            }
            Incident::Cut { from, to, ms } => self.links.cut(from, to, now_us + ms * MS),
            Incident::Isolate { end, ms } => self.links.isolate(end, now_us + ms * MS),
            Incident::Slow { member, by_ms, ms } => {
                self.members[member].slow = (now_us + ms * MS, by_ms * MS);
            }
            Incident::Jump { end, skew_ms } => self.skews_ms[end] = skew_ms,
            Incident::FillDisk { member, room, ms } => {
                self.members[member].disk.memory.set_room(Some(room));
                self.schedule_in(ms * MS, Event::FreeDisk { member });
            }
            Incident::FailSync {
                member,
                after,
                down_ms,
            } => {
                let this = &self.members[member];
                this.disk.memory.fail_sync_after(Some(after));
                let life = this.life;
                self.schedule_in((down_ms + 500) * MS, Event::Restart { member, life });
            }
            Incident::Rot { member, dice } => self.rot(member, dice),
            Incident::Unreadable { member, dice } => {
                if let Some((name, byte, _)) = self.somewhere(member, dice) {
                    self.members[member].disk.memory.lose(&name, byte);
                }
            }
            Incident::Wipe { member } => self.wipe(member),
            Incident::NewBroker { broker } => self.new_broker(broker),
            Incident::NewEpoch { told } => self.new_epoch(told),
        }
    }

    fn start_later(&mut self, member: usize, down_ms: u64) {
        let life = self.members[member].life;
        self.schedule_in(down_ms * MS, Event::Start { member, life });
    }

    fn power_loss(&mut self, member: usize, changes: u32, down_ms: u64) {
        if changes > 0 && self.members[member].process.is_some() {
            // When the disk is changed for that many times more; if ever.
            self.members[member].down_us = down_ms * MS;
            self.members[member].disk.turn_off_after(changes);
            return;
        }
        self.lose_power(member);
        self.start_later(member, down_ms);
    }

    /// Flips one bit somewhere in the member's files.
    fn rot(&mut self, member: usize, dice: u64) {
        if let Some((name, byte, bit)) = self.somewhere(member, dice) {
            self.members[member].disk.memory.flip(&name, byte, bit);
        }
    }

    /// A file of the member, a byte of it, and a bit of that.
    fn somewhere(&self, member: usize, dice: u64) -> Option<(String, usize, u8)> {
        let memory = &self.members[member].disk.memory;
        let mut dice = StdRng::seed_from_u64(dice);
        let names = memory.list().unwrap_or_default();
        let name = names.choose(&mut dice)?;
        let length = memory.contents(name).map_or(0, |bytes| bytes.len());
        let byte = (length > 0).then(|| dice.random_range(0..length))?;
        Some((name.clone(), byte, dice.random_range(0..8)))
    }

    fn wipe(&mut self, member: usize) {
        self.note(Rare::Blank);
        self.kill(member);
        let id = MemberId(Uuid::from_u128(0x1_0000 + u128::from(self.scheduled)));
        self.members[member].wipe(id);
        self.start_later(member, 100);
    }

    /// The same sets under a new epoch.
    fn new_epoch(&mut self, told: u32) {
        let parts = self.placement.parts().clone();
        let epoch = Epoch(parts.epoch.0 + 1);
        let parts = Parts {
            epoch,
            // Requests are held against the last change of their slot.
            slots: parts.slots.iter().map(|slot| slot.again(epoch)).collect(),
            ..parts
        };
        self.placement = Placement::new(parts).expect("it was valid before");
        for member in 0..self.members.len() {
            if told >> member & 1 == 1 && self.members[member].process.is_some() {
                let request = Request::Adopt(self.placement.clone());
                if !self.members[member].is_blank {
                    self.serve(member, Caller::Nobody, request);
                }
            }
        }
    }

    fn new_broker(&mut self, broker: usize) {
        if self.brokers[broker].has_operations() {
            self.note(Rare::BrokerLost);
        }
        self.abandon_operations(broker);
        let life = self.brokers[broker].life + 1;
        // It learns what the members have when it first asks them.
        let placement = self.brokers[broker].placement.clone();
        self.brokers[broker] = Broker::new(placement, &mut self.dice);
        self.brokers[broker].life = life;
    }
}
