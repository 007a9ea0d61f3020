//! The network: how long messages take, which are lost, come twice or late, and who is cut off.

use broker::machine;
use kvcore::{
    placement::MemberId,
    wire::{Reply, Request},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{Answer, Caller, Event, MS, World};
use crate::{plan::Network, rare::Rare};

/// The links from every end to every other.
pub(super) struct Links {
    ends: usize,
    network: Network,
    /// Whether messages are lost, late or doubled at all.
    is_calm: bool,
    /// Dice of their own, so that leaving a step out disturbs other links little.
    dice: Vec<StdRng>,
    cuts: Vec<Cut>,
    /// Until when a broken connection is not made anew.
    down_until_us: Vec<u64>,
}

struct Cut {
    from: usize,
    to: usize,
    until_us: u64,
}

/// What becomes of a message.
enum Fate {
    Lost,
    /// Microseconds it takes, and those of its double.
    Arrives(u64, Option<u64>),
}

impl Links {
    pub(super) fn new(seed: u64, ends: usize, network: Network) -> Self {
        let dice = (0..ends * ends).map(|link| {
            StdRng::seed_from_u64(seed.wrapping_mul(0x9E37_79B9).wrapping_add(link as u64))
        });
        Self {
            ends,
            network,
            is_calm: false,
            dice: dice.collect(),
            cuts: Vec::new(),
            down_until_us: vec![0; ends * ends],
        }
    }

    pub(super) fn cut(&mut self, from: usize, to: usize, until_us: u64) {
        self.cuts.push(Cut { from, to, until_us });
    }

    pub(super) fn isolate(&mut self, end: usize, until_us: u64) {
        for other in 0..self.ends {
            self.cut(end, other, until_us);
            self.cut(other, end, until_us);
        }
    }

    /// All faults of the network end, or may begin again.
    pub(super) fn set_calm(&mut self, is_calm: bool) {
        self.is_calm = is_calm;
        self.cuts.clear();
        self.down_until_us.fill(0);
    }

    /// Whether all faults are over.
    pub(super) fn is_calm(&self) -> bool {
        self.is_calm
    }

    fn link(&self, from: usize, to: usize) -> usize {
        from * self.ends + to
    }

    fn fate(&mut self, from: usize, to: usize, now_us: u64) -> Fate {
        let link = self.link(from, to);
        self.cuts.retain(|cut| cut.until_us > now_us);
        let is_cut = self.cuts.iter().any(|cut| cut.from == from && cut.to == to);
        let Network {
            latency_us: (least, ordinary),
            lost_permille,
            twice_permille,
            late_permille,
            ..
        } = self.network;
        let dice = &mut self.dice[link];
        let ordinary = dice.random_range(least..=ordinary);
        let mut rolls = |permille: u32| dice.random_range(0..1000) < permille;
        let (lost, twice, late) = (
            rolls(lost_permille),
            rolls(twice_permille),
            rolls(late_permille),
        );
        let again = dice.random_range(0..2_000 * MS);
        if is_cut {
            return Fate::Lost;
        }
        if self.is_calm {
            return Fate::Arrives(ordinary, None);
        }
        if lost {
            return Fate::Lost;
        }
        let takes = if late { ordinary + again / 2 } else { ordinary };
        Fate::Arrives(takes, twice.then_some(takes + again))
    }

    /// After how long a loss is noticed; the connection stays down for a while then.
    fn noticed_us(&mut self, from: usize, to: usize, now_us: u64) -> u64 {
        let link = self.link(from, to);
        let noticed = self.network.noticed_ms * MS;
        let pause = self.dice[link].random_range(20 * MS..1_000 * MS);
        self.down_until_us[link] = now_us + noticed + pause;
        noticed
    }
}

/// Which machine and tag an answer goes to.
fn waits(caller: Caller) -> Option<(usize, u64, u64, machine::Tag)> {
    match caller {
        Caller::Run {
            broker,
            life,
            run,
            tag,
        } => Some((broker, life, run, tag)),
        _ => None,
    }
}

impl World<'_> {
    /// Whether an end has a connection to a member.
    pub(super) fn is_connected(&self, from: usize, to: MemberId) -> bool {
        let Some(member) = self.members.iter().position(|member| member.id == to) else {
            return false;
        };
        let link = self.links.link(from, member);
        self.members[member].process.is_some() && self.links.down_until_us[link] <= self.now_us
    }

    /// Sends a request to a member.
    pub(super) fn call(&mut self, caller: Caller, from: usize, to: MemberId, request: Request) {
        if !self.is_connected(from, to) {
            self.note(Rare::NotSent);
            return self.give(caller, 50, Answer::NotSent);
        }
        let member = self.members.iter().position(|member| member.id == to);
        let member = member.expect("it is connected");
        let arrive = |caller, request: Request| Event::Arrive {
            member,
            id: to,
            caller,
            request: Box::new(request),
        };
        match self.links.fate(from, member, self.now_us) {
            Fate::Lost => {
                self.note(Rare::LostMessage);
                let noticed = self.links.noticed_us(from, member, self.now_us);
                self.give(caller, noticed, Answer::Lost);
            }
            Fate::Arrives(takes, twice) => {
                if let (Some(twice), Some(waits)) = (twice, waits(caller)) {
                    let copy = self.scheduled;
                    self.copied.insert(waits, copy);
                    let event = arrive(Caller::Again(copy), request.clone());
                    self.schedule_in(twice, event);
                }
                self.schedule_in(takes, arrive(caller, request));
            }
        }
    }

    /// Sends an answer back.
    pub(super) fn reply(&mut self, member: usize, caller: Caller, answer: Answer) {
        let to = match caller {
            Caller::Run { broker, .. } => self.end_of(broker),
            Caller::Pass { member: asker, .. } if asker == member => {
                return self.give(caller, 1, answer);
            }
            Caller::Pass { member, .. } => member,
            Caller::Again(_) | Caller::Nobody => return,
        };
        self.note_carried_out(caller, &answer);
        let slow = self.members[member].slow_us(self.now_us);
        match self.links.fate(member, to, self.now_us) {
            Fate::Lost => {
                self.note(Rare::LostMessage);
                // Who waits has the connection.
                let noticed = self.links.noticed_us(to, member, self.now_us);
                self.give(caller, noticed, Answer::Lost);
            }
            Fate::Arrives(takes, _) => self.give(caller, takes + slow, answer),
        }
    }

    /// A connection carries a request once, so a refusal is the last word on it. A second copy
    /// stands for one that is carried out again, and changes nothing then.
    fn note_carried_out(&mut self, caller: Caller, answer: &Answer) {
        let Some(copy) = waits(caller).and_then(|waits| self.copied.remove(&waits)) else {
            return;
        };
        if let Answer::Reply(reply) = answer
            && !matches!(reply, Reply::Refused(_) | Reply::Uncertain(_))
        {
            self.repeatable.insert(copy);
        }
    }

    /// Gives an answer after a while, whatever the network does.
    pub(super) fn give(&mut self, caller: Caller, us: u64, answer: Answer) {
        let answer = Box::new(answer);
        self.schedule_in(us, Event::Answer { caller, answer });
    }
}
