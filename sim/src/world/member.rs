//! One member: kvserver's judgement, store and log over a simulated disk.

use std::sync::Arc;

use kvcore::{
    placement::{MemberId, Placement},
    status::SyncMode,
    wire::{Refusal, Reply, Request, Standing},
};
use kvserver::{
    authority::{Authority, Offer},
    catch_up::round::CatchUp,
    log::OpenError,
    server::work::{Work, judge},
    store::{Opened, Opening, Store, StoreOptions, ValidFrom, open, writer::Write, writer::Writer},
};
use rand::RngExt;

use super::{Answer, Caller, Event, MS, World, exchange::Running};
use crate::{checker::Kind, disk::SimDisk, rare::Rare};

/// Writes of one commit.
const BATCH_MAX: usize = 64;

/// What a member's disk may have lost of what was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// Nothing.
    None,
    /// Something, and the member may not have met it yet.
    Hidden,
    /// Something; the member knows it when it starts.
    Met,
    /// What it lost it has again from the others.
    Repaired,
}

/// A member: its disk, and its process while it runs.
pub(super) struct Member {
    pub(super) id: MemberId,
    pub(super) disk: SimDisk,
    /// The placement file: durable when it is in force.
    placement: Option<Placement>,
    /// Starts and ends of the process so far.
    pub(super) life: u64,
    pub(super) process: Option<Process>,
    pub(super) paused_until_us: u64,
    /// Until when, and by how much, its answers are late.
    pub(super) slow: (u64, u64),
    /// Its disk came back blank: it is another member.
    pub(super) is_blank: bool,
    pub(super) loss: Loss,
    /// How long it stays down when its power goes.
    pub(super) down_us: u64,
    /// Why it did not start, the last time.
    pub(super) last_error: Option<String>,
    /// Whether that was since nothing of its log can be read.
    is_unreadable: bool,
}

/// What lives in memory.
pub(super) struct Process {
    pub(super) store: Store<SimDisk>,
    pub(super) writer: Writer<SimDisk>,
    pub(super) authority: Authority,
    queue: Vec<(Caller, Write)>,
    is_commit_due: bool,
    is_tidy_due: bool,
    pub(super) catch_up: CatchUp,
    pub(super) running: Option<Running>,
    pub(super) passes: u64,
    segments: usize,
}

impl Member {
    pub(super) fn new(id: MemberId, placement: &Placement) -> Self {
        Self {
            id,
            disk: SimDisk::default(),
            placement: Some(placement.clone()),
            life: 0,
            process: None,
            paused_until_us: 0,
            slow: (0, 0),
            is_blank: false,
            loss: Loss::None,
            down_us: 100 * MS,
            last_error: None,
            is_unreadable: false,
        }
    }

    /// Makes the disk blank and the member another one.
    pub(super) fn wipe(&mut self, id: MemberId) {
        self.id = id;
        self.disk = SimDisk::default();
        self.placement = None;
        self.is_blank = true;
    }

    /// Whether it may lack what was acknowledged.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.is_blank || matches!(self.loss, Loss::Hidden | Loss::Met)
    }

    /// Whether it does not start for good.
    pub(super) fn is_given_up(&self) -> bool {
        self.process.is_none() && self.is_unreadable
    }

    pub(super) fn slow_us(&self, now_us: u64) -> u64 {
        if self.slow.0 > now_us { self.slow.1 } else { 0 }
    }
}

impl World<'_> {
    /// Starts a member's process.
    pub(super) fn start(&mut self, member: usize) {
        let shape = &self.plan.shape;
        let options = StoreOptions {
            mode: shape.mode,
            sync: shape.sync,
            memory_limit: None,
            segment_bytes: shape.segment_bytes,
            // One thread, as all of the simulation.
            opening: Opening::Alone,
        };
        let this = &mut self.members[member];
        let log_id = this.id.0.as_u128();
        this.life += 1;
        let life = this.life;
        let opened = open(
            Arc::new(this.disk.clone()),
            options,
            log_id,
            &ValidFrom::default(),
        );
        let again = self.dice.random_range(50 * MS..300 * MS);
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                if self.members[member].disk.is_off() {
                    self.lose_power(member);
                }
                self.note(Rare::OpenFailed);
                self.members[member].is_unreadable = is_unreadable(&error);
                self.members[member].last_error = Some(error.to_string());
                let life = self.members[member].life;
                return self.schedule_in(again, Event::Start { member, life });
            }
        };
        if self.members[member].disk.is_off() {
            self.lose_power(member);
            let life = self.members[member].life;
            return self.schedule_in(again, Event::Start { member, life });
        }
        self.note_recovery(&opened);
        let this = &mut self.members[member];
        let segments = opened.writer.log_stats().segments;
        this.process = Some(Process {
            store: opened.store,
            writer: opened.writer,
            authority: Authority::new(this.id, this.placement.clone()),
            queue: Vec::new(),
            is_commit_due: false,
            is_tidy_due: false,
            catch_up: CatchUp::new(this.id),
            running: None,
            passes: 0,
            segments,
        });
        let first = self.dice.random_range(0..100 * MS);
        self.schedule_in(first, Event::Round { member, life });
    }

    fn note_recovery(&mut self, opened: &Opened<SimDisk>) {
        let recovery = &opened.recovery;
        for (is, rare) in [
            (recovery.torn_bytes > 0, Rare::TornTail),
            (recovery.is_unwritten && recovery.intact, Rare::TornIntoRoom),
            (!recovery.damaged.is_empty(), Rare::DamageAtStart),
            (!recovery.intact, Rare::NotIntact),
            (recovery.from_hints > 0, Rare::Hints),
        ] {
            if is {
                self.note(rare);
            }
        }
    }

    /// Ends a member's process; who waits for it hears that the connection broke.
    pub(super) fn kill(&mut self, member: usize) {
        let this = &mut self.members[member];
        this.life += 1;
        this.paused_until_us = 0;
        if let Some(process) = this.process.take() {
            for (caller, _) in process.queue {
                self.give(caller, 100, Answer::Lost);
            }
        }
    }

    /// The machine loses power, and what was not synced.
    pub(super) fn lose_power(&mut self, member: usize) {
        let seed = self.dice.random();
        self.kill(member);
        self.members[member].disk.lose_power(seed);
    }

    /// After anything that touched the disk: whether the power went meanwhile. Then nobody has
    /// seen what the process believes, and it starts again some time later.
    pub(super) fn is_powerless(&mut self, member: usize) -> bool {
        if !self.members[member].disk.is_off() {
            return false;
        }
        self.note(Rare::PowerInTheMiddle);
        self.lose_power(member);
        let life = self.members[member].life;
        let down = self.members[member].down_us;
        self.schedule_in(down, Event::Start { member, life });
        true
    }

    /// A request reaches a member's machine.
    pub(super) fn arrive(
        &mut self,
        member: usize,
        id: MemberId,
        caller: Caller,
        request: Box<Request>,
    ) {
        let this = &self.members[member];
        if this.id != id || this.process.is_none() {
            return self.give(caller, 100, Answer::Lost);
        }
        if this.paused_until_us > self.now_us {
            let at = this.paused_until_us;
            return self.schedule(
                at,
                Event::Arrive {
                    member,
                    id,
                    caller,
                    request,
                },
            );
        }
        if let Caller::Again(copy) = caller {
            if !self.repeatable.remove(&copy) {
                return;
            }
            self.note(Rare::Twice);
        }
        self.serve(member, caller, *request);
    }

    /// Carries a request out, as kvserver's socket task would.
    pub(super) fn serve(&mut self, member: usize, caller: Caller, request: Request) {
        let now = self.wall(member);
        let Some(process) = &mut self.members[member].process else {
            return;
        };
        let reply = match request {
            Request::Ping => Reply::Pong {
                epoch: process.authority.epoch(),
            },
            Request::FetchPlacement => Reply::Placement(process.authority.placement().cloned()),
            Request::Adopt(placement) => return self.adopt(member, caller, placement),
            request => match judge(&process.authority, request, now) {
                Err(refusal) => Reply::Refused(refusal),
                Ok(Work::Read(read, _)) => {
                    let answer = read.carry_out(&process.store);
                    answer.unwrap_or_else(Reply::Refused)
                }
                Ok(Work::Write(write)) => {
                    process.queue.push((caller, write));
                    return self.commit_soon(member);
                }
            },
        };
        if !self.is_powerless(member) {
            self.note_reply(&reply);
            self.reply(member, caller, Answer::Reply(reply));
        }
    }

    fn commit_soon(&mut self, member: usize) {
        let Some(process) = &mut self.members[member].process else {
            return;
        };
        if !std::mem::replace(&mut process.is_commit_due, true) {
            let life = self.members[member].life;
            let takes = self.dice.random_range(20..2_000);
            self.schedule_in(takes, Event::Commit { member, life });
        }
    }

    /// Commits what is queued as one batch, as kvserver's writer thread would.
    pub(super) fn commit(&mut self, member: usize, life: u64) {
        if self.is_elsewhere(member, life, Event::Commit { member, life }) {
            return;
        }
        self.commit_batch(member);
        if let Some(process) = &mut self.members[member].process {
            process.is_commit_due = false;
            if !process.queue.is_empty() {
                return self.commit_soon(member);
            }
            self.tidy_soon(member, 100 * MS);
        }
    }

    fn commit_batch(&mut self, member: usize) {
        let now = self.wall(member);
        let Some(process) = &mut self.members[member].process else {
            return;
        };
        let batch = process.queue.len().min(BATCH_MAX);
        let batch = process.queue.drain(..batch);
        let (callers, writes): (Vec<_>, Vec<_>) = batch.unzip();
        let replies = process.writer.commit(writes, now);
        if self.is_powerless(member) {
            for caller in callers {
                self.give(caller, 100, Answer::Lost);
            }
            return;
        }
        for (caller, reply) in callers.into_iter().zip(replies) {
            self.note_reply(&reply);
            self.reply(member, caller, Answer::Reply(reply));
        }
    }

    fn tidy_soon(&mut self, member: usize, us: u64) {
        let Some(process) = &mut self.members[member].process else {
            return;
        };
        if !std::mem::replace(&mut process.is_tidy_due, true) {
            let life = self.members[member].life;
            self.schedule_in(us, Event::Tidy { member, life });
        }
    }

    /// What the writer does when nothing waits.
    pub(super) fn tidy(&mut self, member: usize, life: u64) {
        if self.is_elsewhere(member, life, Event::Tidy { member, life }) {
            return;
        }
        let now = self.wall(member);
        let sync = self.plan.shape.sync;
        let Some(process) = &mut self.members[member].process else {
            return;
        };
        process.is_tidy_due = false;
        let more = process.writer.tidy(now);
        if !more && sync != SyncMode::Never && process.writer.poisoned().is_none() {
            // A failure poisons the log, which later replies say.
            let _ = process.writer.sync();
        }
        let segments = process.writer.log_stats().segments;
        let fewer = segments < process.segments;
        process.segments = segments;
        if fewer {
            self.note(Rare::Compaction);
        }
        if !self.is_powerless(member) && more {
            self.tidy_soon(member, MS);
        }
    }

    /// Takes a placement if it is newer: durable, in force, older writes done, then the reply.
    pub(super) fn adopt(&mut self, member: usize, caller: Caller, offered: Placement) {
        while let Some(process) = &self.members[member].process
            && !process.queue.is_empty()
        {
            self.commit_batch(member);
        }
        let this = &mut self.members[member];
        let Some(process) = &mut this.process else {
            return self.give(caller, 100, Answer::Lost);
        };
        let reply = match process.authority.judge(&offered) {
            Offer::Refuse(refusal) => Reply::Refused(refusal),
            offer => {
                if offer == Offer::Take {
                    this.placement = Some(offered.clone());
                    process.authority.put_in_force(offered);
                }
                let placement = process.authority.placement().expect("one is in force");
                Reply::Adopted {
                    epoch: placement.epoch(),
                    digest: placement.digest(),
                }
            }
        };
        self.reply(member, caller, Answer::Reply(reply));
    }

    /// Whether an event of a process has nowhere to go now: the process ended, or stands still
    /// and takes it later.
    pub(super) fn is_elsewhere(&mut self, member: usize, life: u64, event: Event) -> bool {
        let this = &self.members[member];
        if this.life != life || this.process.is_none() {
            return true;
        }
        let paused = this.paused_until_us > self.now_us;
        if paused {
            self.schedule(this.paused_until_us, event);
        }
        paused
    }

    fn note_reply(&mut self, reply: &Reply) {
        let rare = match reply {
            Reply::Superseded { .. } => Rare::Superseded,
            Reply::Uncertain(_) => Rare::Uncertain,
            Reply::Record { standing, .. }
            | Reply::Version { standing, .. }
            | Reply::Stored { standing }
                if *standing != Standing::Voter =>
            {
                Rare::UnsyncedAnswer
            }
            Reply::Refused(refusal) => match refusal {
                Refusal::StaleEpoch(_) => Rare::StaleEpoch,
                Refusal::BehindEpoch { .. } => Rare::BehindEpoch,
                Refusal::Damaged(_) => Rare::DamagedRefusal,
                Refusal::DiskFull => Rare::DiskFull,
                Refusal::LogFailed(_) => Rare::LogFailed,
                Refusal::TooFarAhead { .. } => Rare::TooFarAhead,
                Refusal::ChunksMissing => Rare::ChunksMissing,
                Refusal::Invalid(why) => {
                    let what = format!("a member calls a request invalid: {why}");
                    return self.hold(Err((Kind::Corrupt, what)));
                }
                _ => return,
            },
            _ => return,
        };
        self.note(rare);
    }
}

/// Whether nothing of the log can be read: bad heads, and no record to tell whose it is.
fn is_unreadable(error: &OpenError) -> bool {
    match error {
        OpenError::Unreadable { .. } => true,
        OpenError::Io { action, .. } => *action == "read the head of",
        _ => false,
    }
}
