//! Catching up of one member: kvserver's rounds and passes over the simulated network.

use kvcore::{
    placement::{MemberId, Placement},
    wire::Reply,
};
use kvserver::catch_up::{
    pass::{Effect, Event as PassEvent, Pass, Tag},
    round::{Followed, Report},
};
use rand::RngExt;

use super::{Answer, Caller, Event, MS, World};
use crate::rare::Rare;

/// Pause between rounds while there is something to catch up with, and when there is not.
const PAUSES_US: (u64, u64) = (100 * MS, 2_000 * MS);

/// A pass under way.
pub(super) struct Running {
    number: u64,
    pass: Pass,
    with: MemberId,
}

impl World<'_> {
    /// Begins a round.
    pub(super) fn begin_round(&mut self, member: usize, life: u64) {
        if self.is_elsewhere(member, life, Event::Round { member, life }) {
            return;
        }
        let Some(process) = &mut self.members[member].process else {
            return;
        };
        let placement = process.authority.placement().cloned();
        match placement {
            Some(placement) if process.catch_up.begin(&placement, &process.store) => {
                self.next_pass(member);
            }
            _ => self.schedule_in(PAUSES_US.1, Event::Round { member, life }),
        }
    }

    fn next_pass(&mut self, member: usize) {
        let now = self.wall(member);
        let Some(process) = &mut self.members[member].process else {
            return;
        };
        let Some((other, pass)) = process.catch_up.next_pass(&process.store) else {
            let report = process.catch_up.finish(&process.store);
            return self.end_round(member, report);
        };
        process.passes += 1;
        let mut running = Running {
            number: process.passes,
            pass,
            with: other.id,
        };
        let effects = running.pass.start(now);
        process.running = Some(running);
        self.perform_pass(member, effects);
    }

    fn end_round(&mut self, member: usize, report: Option<Report>) {
        let life = self.members[member].life;
        let pause = match report {
            Some(report) => {
                if !self.follow(member, &report.followed) {
                    return;
                }
                if report.waiting_for.is_none() {
                    self.dice.random_range(PAUSES_US.1 / 2..PAUSES_US.1)
                } else {
                    PAUSES_US.0
                }
            }
            None => PAUSES_US.0,
        };
        self.schedule_in(pause, Event::Round { member, life });
    }

    /// Does what follows from a pass; false when the power went meanwhile.
    fn follow(&mut self, member: usize, followed: &Followed) -> bool {
        if followed.promoted > 0 {
            self.note(Rare::Promoted);
        }
        if let Some(losses) = followed.all_vote {
            self.note(Rare::Repaired);
            if let Some(process) = &mut self.members[member].process {
                // A failure poisons the log, which later replies say.
                let _ = process.writer.repaired(losses);
            }
        }
        !self.is_powerless(member)
    }

    /// An answer to a request of a pass.
    pub(super) fn on_pass_answer(
        &mut self,
        member: usize,
        life: u64,
        pass: u64,
        tag: Tag,
        answer: Answer,
    ) {
        let this = &self.members[member];
        if this.life != life {
            return;
        }
        if this.paused_until_us > self.now_us {
            let at = this.paused_until_us;
            let caller = Caller::Pass {
                member,
                life,
                pass,
                tag,
            };
            let answer = Box::new(answer);
            return self.schedule(at, Event::Answer { caller, answer });
        }
        let event = match answer {
            Answer::Reply(reply) => {
                if let Reply::Stored { .. } = reply {
                    self.note(Rare::Exchanged);
                }
                PassEvent::Answer { tag, reply }
            }
            Answer::NotSent => PassEvent::Failed {
                why: "not connected".to_owned(),
            },
            Answer::Lost => PassEvent::Failed {
                why: "the connection broke".to_owned(),
            },
        };
        let now = self.wall(member);
        let Some(process) = &mut self.members[member].process else {
            return;
        };
        let Some(running) = &mut process.running else {
            return;
        };
        if running.number != pass {
            return;
        }
        let effects = running.pass.step(event, now, &process.store);
        self.perform_pass(member, effects);
    }

    fn perform_pass(&mut self, member: usize, effects: Vec<Effect>) {
        let life = self.members[member].life;
        for effect in effects {
            let Some(running) = self.running(member) else {
                return;
            };
            let (pass, with) = (running.number, running.with);
            let caller = |tag| Caller::Pass {
                member,
                life,
                pass,
                tag,
            };
            match effect {
                Effect::Ask { tag, request } => self.call(caller(tag), member, with, request),
                Effect::Apply { tag, request } => self.serve(member, caller(tag), request),
            }
        }
        let Some(end) = self.running(member).and_then(|running| running.pass.end()) else {
            return;
        };
        let Some(process) = &mut self.members[member].process else {
            return;
        };
        process.running = None;
        let followed = process.catch_up.ended(end, &process.store);
        if !self.follow(member, &followed) {
            return;
        }
        match followed.newer {
            Some(newer) => self.take_newer(member, newer),
            None => self.next_pass(member),
        }
    }

    fn running(&self, member: usize) -> Option<&Running> {
        self.members[member].process.as_ref()?.running.as_ref()
    }

    fn take_newer(&mut self, member: usize, newer: Placement) {
        self.adopt(member, Caller::Nobody, newer);
        let life = self.members[member].life;
        self.schedule_in(PAUSES_US.0, Event::Round { member, life });
    }
}
