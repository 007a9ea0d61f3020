//! Carrying faults out, and taking them back.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use rand::{RngExt, rngs::ChaCha8Rng};
use rustix::process::Signal;

use crate::{
    cluster::Cluster,
    disk,
    fault::{Fault, Numbers, Who},
    room::Room,
    stop::Stop,
};

/// Faults at once: with two, slots lose their quorum now and then, with more hardly anything is
/// ever done.
const AT_ONCE_MAX: usize = 2;

/// Time between beginnings of faults, in milliseconds.
const BETWEEN_MS: std::ops::Range<u64> = 200..1_500;

/// How often the processes are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Throws faults.
pub(crate) struct Nemesis<'a> {
    cluster: &'a mut Cluster,
    random: ChaCha8Rng,
    numbers: Numbers,
    began: Instant,
    ongoing: Vec<(Instant, Fault)>,
    /// Of the small disks, those of the first servers.
    rooms: Vec<Room>,
    /// Whether the victim's disk was wiped.
    pub is_wiped: bool,
    /// Faults by kind.
    pub counts: BTreeMap<&'static str, u32>,
    /// What nobody did: processes that ended by themselves.
    pub problems: Vec<String>,
}

impl<'a> Nemesis<'a> {
    pub(crate) fn new(cluster: &'a mut Cluster, random: ChaCha8Rng, numbers: Numbers) -> Self {
        Self {
            cluster,
            random,
            numbers,
            began: Instant::now(),
            ongoing: Vec::new(),
            rooms: vec![Room::default(); numbers.disks],
            is_wiped: false,
            counts: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Throws faults for this long, then ends them all and looks on for a while.
    pub(crate) fn rage(&mut self, time: Duration, calm: Duration, stop: &Stop) -> Result<()> {
        self.began = Instant::now();
        let until = self.began + time;
        // Late, since slots of the wiped one have a copy less from then on.
        let wipe_at = self.began + time * 7 / 10;
        let mut next_at = self.began;
        while Instant::now() < until {
            self.end_until(Instant::now())?;
            self.look()?;
            let now = Instant::now();
            if !self.is_wiped && now > wipe_at && !self.is_busy(Fault::Wipe) {
                self.begin(Fault::Wipe, Duration::from_millis(500))?;
                self.is_wiped = true;
            } else if now > next_at && self.ongoing.len() < AT_ONCE_MAX {
                let (fault, lasts) = Fault::draw(&mut self.random, self.numbers);
                let is_idle = fault == Fault::Damage && self.is_wiped;
                if !is_idle && !self.is_busy(fault) {
                    self.begin(fault, lasts)?;
                }
                let pause = self.random.random_range(BETWEEN_MS);
                next_at = Instant::now() + Duration::from_millis(pause);
            }
            stop.pass(LOOK)?;
        }
        let last = self.ongoing.iter().map(|&(until, _)| until).max();
        self.end_until(last.unwrap_or(until))?;
        let until = Instant::now() + calm;
        while Instant::now() < until {
            self.look()?;
            stop.pass(LOOK)?;
        }
        self.look()
    }

    /// Whether another fault already has what this one needs.
    fn is_busy(&self, fault: Fault) -> bool {
        let victim = self.numbers.victim;
        let who = fault.who(victim);
        self.ongoing
            .iter()
            .any(|&(_, other)| other == fault || (who.is_some() && other.who(victim) == who))
    }

    fn say(&self, what: &str) {
        println!("{:>8.2} s  {what}", self.began.elapsed().as_secs_f64());
    }

    fn begin(&mut self, fault: Fault, lasts: Duration) -> Result<()> {
        *self.counts.entry(fault.kind()).or_default() += 1;
        self.say(&format!("{fault}, for {} ms", lasts.as_millis()));
        let victim = self.numbers.victim;
        match fault {
            Fault::Kill(who) => self.kill(who)?,
            Fault::Freeze(who) => self.cluster.process(who).signal(Signal::STOP)?,
            Fault::FullDisk(at) => {
                self.cluster.disks[at].fill()?;
                self.rooms[at].take();
            }
            Fault::Damage => {
                self.kill(Who::Server(victim))?;
                let directory = self.cluster.server_directory(victim);
                let where_ = disk::damage(&directory, &mut self.random)?;
                self.say(&where_);
            }
            Fault::Wipe => {
                self.kill(Who::Server(victim))?;
                disk::wipe(&self.cluster.server_directory(victim))?;
            }
        }
        self.ongoing.push((Instant::now() + lasts, fault));
        Ok(())
    }

    fn end_until(&mut self, now: Instant) -> Result<()> {
        let due = |&(until, _): &(Instant, Fault)| until <= now;
        let ended: Vec<_> = self.ongoing.extract_if(.., |fault| due(fault)).collect();
        for (_, fault) in ended {
            self.say(&format!("end of: {fault}"));
            match fault {
                Fault::FullDisk(at) => {
                    self.cluster.disks[at].free()?;
                    self.rooms[at].give_back();
                }
                Fault::Freeze(who) => self.cluster.process(who).signal(Signal::CONT)?,
                _ => {
                    if let Some(who) = fault.who(self.numbers.victim) {
                        self.start(who)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn kill(&mut self, who: Who) -> Result<()> {
        // Else nobody would hear of it: it is started again when the fault ends.
        if !self.cluster.process(who).is_alive() {
            self.note_ended(who);
        }
        self.cluster.process(who).kill()
    }

    fn start(&mut self, who: Who) -> Result<()> {
        if let Who::Server(at) = who
            && let Some(room) = self.rooms.get_mut(at)
        {
            room.begin_life();
        }
        self.cluster.process(who).start()
    }

    /// Notes whoever has ended though nobody ended it, and starts it again. On a full disk a server
    /// may refuse to start, and is started again when there is room.
    fn look(&mut self) -> Result<()> {
        let victim = self.numbers.victim;
        for who in self.cluster.all() {
            let is_taken = |&(_, fault): &(Instant, Fault)| {
                fault.who(victim) == Some(who)
                    || matches!(fault, Fault::FullDisk(at) if who == Who::Server(at))
            };
            if !self.ongoing.iter().any(is_taken) && !self.cluster.process(who).is_alive() {
                self.note_ended(who);
                self.start(who)?;
            }
        }
        Ok(())
    }

    /// Notes that a process has ended by itself, which is a problem unless it found no room.
    fn note_ended(&mut self, who: Who) {
        let process = self.cluster.process(who);
        process.wait_ended(Instant::now());
        let words = process.last_words();
        let last = words.last().map_or("", String::as_str);
        let is_excused = match who {
            Who::Server(at) => {
                let room = self.rooms.get(at).copied().unwrap_or_default();
                room.excuses(last, &self.cluster.server_directory(at))
            }
            Who::Broker(_) => false,
        };
        let what = format!("{who} ended by itself: {}", words.join(" | "));
        self.say(&what);
        if !is_excused {
            self.problems.push(what);
        }
    }
}
