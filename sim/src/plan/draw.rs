//! Drawing a plan from a seed, swarm style: each seed leaves most kinds of fault out and draws the
//! rest at rates of its own, so that runs differ in kind and not only in detail (Groce et al.,
//! "Swarm Testing", ISSTA 2012).

use kvcore::{
    placement::Quorums,
    status::{StorageMode, SyncMode},
};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use super::{Act, Ask, Incident, Network, Plan, Shape, Step, What};

/// Members, copies, quorums; ordinary ones more often.
const SHAPES: [(usize, u8, Quorums); 12] = [
    (3, 3, MAJORITY),
    (3, 3, MAJORITY),
    (3, 3, MAJORITY),
    (5, 3, MAJORITY),
    (5, 3, MAJORITY),
    (4, 3, MAJORITY),
    (5, 5, MAJORITY),
    (3, 2, MAJORITY),
    (1, 1, MAJORITY),
    (3, 3, of(3, 1)),
    (3, 3, of(1, 3)),
    (3, 3, of(1, 1)),
];

const MAJORITY: Quorums = Quorums {
    read: None,
    write: None,
};

const fn of(read: u8, write: u8) -> Quorums {
    Quorums {
        read: Some(read),
        write: Some(write),
    }
}

/// Beyond what any check of clocks lets pass, in milliseconds.
const FAR_MS: i64 = 400_000;

/// Somewhat beyond the skew that is allowed, in milliseconds: set back from there, a clock may be
/// taken for right too early.
const BEYOND_MS: i64 = 90_000;

/// Values larger than a chunk, in bytes.
const LARGE_BYTES: std::ops::Range<u32> = 262_145..700_000;

pub(super) fn draw(seed: u64) -> Plan {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut shape = shape(&mut dice);
    let acts = dice.random_range(1..=3);
    let work = Work::draw(&mut dice);
    if work.large {
        // Chunks that are lost before their record comes take a restart at the right moment.
        shape.network.late_permille = 250;
    }
    let mut drawing = Drawing {
        work,
        dice,
        shape: &shape,
        number: 0,
    };
    let acts = (0..acts).map(|_| drawing.act()).collect();
    Plan {
        seed,
        shape,
        loud: false,
        acts,
    }
}

fn shape(dice: &mut StdRng) -> Shape {
    let &(members, copies, quorums) = SHAPES.choose(dice).expect("there are shapes");
    let brokers = dice.random_range(1..=3);
    let sync = match dice.random_range(0..10) {
        0 => SyncMode::Interval,
        1 => SyncMode::Never,
        _ => SyncMode::Always,
    };
    let mode = if dice.random_bool(0.5) {
        StorageMode::Memory
    } else {
        StorageMode::Disk
    };
    let rough = dice.random_bool(0.6);
    let mut permille = |most: u32| {
        if rough && dice.random_bool(0.6) {
            dice.random_range(0..=most)
        } else {
            0
        }
    };
    let (lost_permille, twice_permille, late_permille) =
        (permille(40), permille(100), permille(60));
    let network = Network {
        latency_us: (100, dice.random_range(300..4_000)),
        lost_permille,
        twice_permille,
        late_permille,
        noticed_ms: dice.random_range(100..3_000),
    };
    let skewed = dice.random_bool(0.4);
    let skews_ms = (0..members + brokers).map(|_| if skewed { skew(dice) } else { 0 });
    let skews_ms = skews_ms.collect();
    Shape {
        members,
        copies,
        quorums,
        brokers,
        sync,
        mode,
        segment_bytes: *[4_096, 8_192, 32_768, 1 << 20]
            .choose(dice)
            .expect("not empty"),
        keys: *[1, 3, 12, 60].choose(dice).expect("not empty"),
        deadline_ms: *[400, 1_500, 5_000].choose(dice).expect("not empty"),
        network,
        skews_ms,
    }
}

/// Half of the skew that is allowed between any two clocks.
fn skew(dice: &mut StdRng) -> i64 {
    dice.random_range(-29_000..=29_000)
}

/// What clients do in this run.
struct Work {
    /// Operations an act.
    operations: usize,
    /// Weights of put, delete, get, available get, scan.
    weights: [u32; 5],
    expires: bool,
    large: bool,
    act_ms: u64,
}

impl Work {
    fn draw(dice: &mut StdRng) -> Self {
        let large = dice.random_bool(0.12);
        Self {
            operations: if large {
                dice.random_range(10..60)
            } else {
                dice.random_range(30..400)
            },
            weights: [
                dice.random_range(2..10),
                dice.random_range(0..5),
                dice.random_range(1..10),
                dice.random_range(0..2),
                dice.random_range(0..2),
            ],
            expires: dice.random_bool(0.3),
            large,
            act_ms: dice.random_range(2_000..20_000),
        }
    }
}

struct Drawing<'a> {
    dice: StdRng,
    shape: &'a Shape,
    work: Work,
    number: usize,
}

impl Drawing<'_> {
    fn act(&mut self) -> Act {
        let mut whats: Vec<(u64, What)> = Vec::new();
        for _ in 0..self.work.operations {
            let at = self.dice.random_range(0..self.work.act_ms);
            let broker = self.dice.random_range(0..self.shape.brokers);
            whats.push((at, What::Ask(broker, self.ask())));
        }
        let bad = self.bad_disks();
        for kind in 0..KINDS {
            let ends_processes = kind < 2 && self.work.large;
            let (share, most) = if ends_processes { (0.9, 12) } else { (0.35, 5) };
            if !self.dice.random_bool(share) {
                continue;
            }
            for _ in 0..self.dice.random_range(1..=most) {
                let at = self.dice.random_range(0..self.work.act_ms);
                if let Some(incident) = self.incident(kind, &bad) {
                    whats.push((at, What::Incident(incident)));
                }
            }
        }
        whats.sort_by_key(|(at, _)| *at);
        let steps = whats.into_iter().map(|(at_ms, what)| {
            self.number += 1;
            Step {
                number: self.number,
                at_ms,
                what,
            }
        });
        Act {
            steps: steps.collect(),
        }
    }

    fn ask(&mut self) -> Ask {
        let key = self.dice.random_range(0..self.shape.keys);
        let total: u32 = self.work.weights.iter().sum();
        let mut left = self.dice.random_range(0..total);
        let kind = self.work.weights.iter().position(|&weight| {
            let here = left < weight;
            left = left.wrapping_sub(weight);
            here
        });
        match kind {
            Some(0) => self.put(key),
            Some(1) => Ask::Delete(key),
            Some(2) => Ask::Get(key),
            Some(3) => Ask::GetAvailable(key),
            _ => Ask::Scan {
                limit: self.dice.random_range(1..=self.shape.keys),
            },
        }
    }

    fn put(&mut self, key: u16) -> Ask {
        let bytes = if self.work.large && self.dice.random_bool(0.2) {
            self.dice.random_range(LARGE_BYTES)
        } else {
            self.dice.random_range(8..600)
        };
        let expires = self.work.expires && self.dice.random_bool(0.4);
        Ask::Put {
            key,
            bytes,
            expires_ms: expires.then(|| self.dice.random_range(0..self.work.act_ms)),
        }
    }

    /// The members whose disks may lose what was acknowledged in this act: fewer than a write
    /// quorum. Where those of an earlier act have not got it back yet, the world spares them.
    fn bad_disks(&mut self) -> Vec<usize> {
        let mut bad = Vec::new();
        while bad.len() + 1 < self.shape.write_quorum() {
            let member = self.dice.random_range(0..self.shape.members);
            if !bad.contains(&member) {
                bad.push(member);
            }
        }
        bad
    }

    fn end_ms(&mut self) -> u64 {
        let most = if self.dice.random_bool(0.8) {
            1_500
        } else {
            8_000
        };
        self.dice.random_range(10..most)
    }

    /// One incident of a kind; `None` where it cannot be in this cluster.
    fn incident(&mut self, kind: usize, bad: &[usize]) -> Option<Incident> {
        let member = self.dice.random_range(0..self.shape.members);
        let end = self.dice.random_range(0..self.shape.ends());
        let ms = self.end_ms();
        let bad = bad.choose(&mut self.dice).copied();
        // See `Incident::loses`.
        let synced = self.shape.sync == SyncMode::Always;
        let doubtful = if synced { Some(member) } else { bad };
        Some(match kind {
            0 => Incident::Kill {
                member,
                down_ms: ms,
            },
            1 => Incident::PowerLoss {
                member: doubtful?,
                changes: self.dice.random_range(0..12),
                down_ms: ms,
            },
            2 => Incident::Pause { member, ms },
            3 => Incident::Cut {
                from: end,
                to: self.dice.random_range(0..self.shape.ends()),
                ms,
            },
            4 => Incident::Isolate { end, ms },
            5 => Incident::Slow {
                member,
                by_ms: self.dice.random_range(20..800),
                ms,
            },
            6 => Incident::Jump {
                end,
                skew_ms: match self.dice.random_range(0..10) {
                    0 => self.dice.random_range(-FAR_MS..=FAR_MS),
                    1 | 2 => self.dice.random_range(-BEYOND_MS..=BEYOND_MS),
                    _ => skew(&mut self.dice),
                },
            },
            7 => Incident::FillDisk {
                member,
                room: self.dice.random_range(0..5_000),
                ms,
            },
            8 => Incident::FailSync {
                member: doubtful?,
                after: self.dice.random_range(0..6),
                down_ms: ms,
            },
            9 => Incident::Rot {
                member: bad?,
                dice: self.dice.random(),
            },
            10 => Incident::Wipe {
                member: bad.filter(|_| self.dice.random_bool(0.2))?,
            },
            11 => Incident::NewBroker {
                broker: self.dice.random_range(0..self.shape.brokers),
            },
            12 => Incident::NewEpoch {
                told: self.dice.random(),
            },
            _ => Incident::Unreadable {
                member: bad?,
                dice: self.dice.random(),
            },
        })
    }
}

/// Kinds of incidents.
const KINDS: usize = 14;
