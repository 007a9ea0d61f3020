//! What a seed draws: the shape of a cluster, what clients ask of it, and what befalls it. Data
//! alone, so that a plan can be printed, run again, and run with steps left out.

mod draw;

use std::fmt;

use kvcore::{
    placement::Quorums,
    status::{StorageMode, SyncMode},
};

/// All of one run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What it was drawn from; also seeds the network's dice.
    pub seed: u64,
    /// The cluster.
    pub shape: Shape,
    /// Whether everything that happens is printed, for people who look for a bug.
    pub loud: bool,
    /// What happens; between two acts all incidents end and the copies must become equal.
    pub acts: Vec<Act>,
}

/// The cluster of a run.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Members.
    pub members: usize,
    /// Copies of each slot.
    pub copies: u8,
    /// Read and write quorums.
    pub quorums: Quorums,
    /// Brokers.
    pub brokers: usize,
    /// When a write is acknowledged.
    pub sync: SyncMode,
    /// Where values live.
    pub mode: StorageMode,
    /// Size of a log segment, in bytes.
    pub segment_bytes: u32,
    /// Distinct keys.
    pub keys: u16,
    /// Longest time of an operation, in milliseconds.
    pub deadline_ms: u64,
    /// How the network behaves.
    pub network: Network,
    /// By how much each wall clock is off at the start, members first, in milliseconds.
    pub skews_ms: Vec<i64>,
}

impl Shape {
    /// Members of a write quorum.
    pub fn write_quorum(&self) -> usize {
        self.quorums.write_of(usize::from(self.copies))
    }

    /// Members of a read quorum.
    pub fn read_quorum(&self) -> usize {
        self.quorums.read_of(usize::from(self.copies))
    }

    /// Whether every read quorum meets every write quorum, so that reads never run backwards.
    pub fn reads_meet_writes(&self) -> bool {
        self.read_quorum() + self.write_quorum() > usize::from(self.copies)
    }

    /// Everything with an end of a link: members, then brokers.
    pub fn ends(&self) -> usize {
        self.members + self.brokers
    }
}

/// How messages travel.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    /// Least and ordinary latency, in microseconds.
    pub latency_us: (u64, u64),
    /// Messages of a thousand that are lost.
    pub lost_permille: u32,
    /// Requests of a thousand that arrive twice.
    pub twice_permille: u32,
    /// Messages of a thousand that take up to a second.
    pub late_permille: u32,
    /// After how long a lost message is noticed, in milliseconds.
    pub noticed_ms: u64,
}

/// Some steps, then calm.
#[derive(Debug, Clone, Default)]
pub struct Act {
    /// In order of time.
    pub steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its number in the plan, for leaving it out.
    pub number: usize,
    /// When, in milliseconds since the act began.
    pub at_ms: u64,
    /// What.
    pub what: What,
}

/// What happens.
#[derive(Debug, Clone)]
pub enum What {
    /// A client asks a broker.
    Ask(usize, Ask),
    /// Something goes wrong.
    Incident(Incident),
}

/// What a client asks.
#[derive(Debug, Clone, Copy)]
pub enum Ask {
    /// Store a value of this many bytes, that may expire so many milliseconds from now.
    Put {
        /// Which key.
        key: u16,
        /// Bytes of the value.
        bytes: u32,
        /// Milliseconds until it expires.
        expires_ms: Option<u64>,
    },
    /// Delete a key.
    Delete(u16),
    /// Read a key by a read quorum.
    Get(u16),
    /// Read a key from whatever copies can be had.
    GetAvailable(u16),
    /// Read all keys, page by page.
    Scan {
        /// Keys of a page.
        limit: u16,
    },
}

/// What goes wrong, and for how long. Every incident ends by itself or with the act.
#[derive(Debug, Clone, Copy)]
pub enum Incident {
    /// A member's process is killed, and started again.
    Kill {
        /// Which member.
        member: usize,
        /// Until it is started again, in milliseconds.
        down_ms: u64,
    },
    /// A member's machine loses power and what it had not synced.
    PowerLoss {
        /// Which member.
        member: usize,
        /// Changes of its disk until then: power goes in the middle of things.
        changes: u32,
        /// Until it is started again, in milliseconds.
        down_ms: u64,
    },
    /// A member stands still.
    Pause {
        /// Which member.
        member: usize,
        /// For how long, in milliseconds.
        ms: u64,
    },
    /// Nothing gets from one end to another; the other way it does.
    Cut {
        /// From whom.
        from: usize,
        /// To whom.
        to: usize,
        /// For how long, in milliseconds.
        ms: u64,
    },
    /// Nothing gets from or to one end.
    Isolate {
        /// Whom.
        end: usize,
        /// For how long, in milliseconds.
        ms: u64,
    },
    /// A member answers slowly.
    Slow {
        /// Which member.
        member: usize,
        /// Added to each answer, in milliseconds.
        by_ms: u64,
        /// For how long, in milliseconds.
        ms: u64,
    },
    /// A wall clock jumps.
    Jump {
        /// Whose.
        end: usize,
        /// To so many milliseconds off the true time.
        skew_ms: i64,
    },
    /// A member's disk has room for so many bytes more.
    FillDisk {
        /// Which member.
        member: usize,
        /// Bytes left.
        room: u64,
        /// For how long, in milliseconds.
        ms: u64,
    },
    /// A sync of a member fails; it is restarted later.
    FailSync {
        /// Which member.
        member: usize,
        /// The sync after so many more.
        after: u32,
        /// Until it is restarted, in milliseconds.
        down_ms: u64,
    },
    /// Bits of a member's files flip.
    Rot {
        /// Which member.
        member: usize,
        /// Chooses file and bit.
        dice: u64,
    },
    /// A sector of a member's files cannot be read any more.
    Unreadable {
        /// Which member.
        member: usize,
        /// Chooses file and sector.
        dice: u64,
    },
    /// A member's disk comes back blank: another member under the old address.
    Wipe {
        /// Which member.
        member: usize,
    },
    /// A broker is killed, and another started in its place.
    NewBroker {
        /// Which broker.
        broker: usize,
    },
    /// The author publishes the same sets under a new epoch.
    NewEpoch {
        /// Bit by bit, which members hear of it at once.
        told: u32,
    },
}

impl Incident {
    /// The member whose disk may lose by it what was acknowledged.
    pub fn loses(self, sync: SyncMode) -> Option<usize> {
        match self {
            Self::Rot { member, .. } | Self::Unreadable { member, .. } | Self::Wipe { member } => {
                Some(member)
            }
            // Without a sync before each acknowledgement, a power loss is a lost disk.
            Self::PowerLoss { member, .. } | Self::FailSync { member, .. } => {
                (sync != SyncMode::Always).then_some(member)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:<4} {:>6} ms  ", self.number, self.at_ms)?;
        match &self.what {
            What::Ask(broker, ask) => write!(f, "broker {broker} is asked {ask:?}"),
            What::Incident(incident) => write!(f, "{incident:?}"),
        }
    }
}

impl Plan {
    /// The plan of a seed: every seed draws its own mix of faults and work.
    pub fn draw(seed: u64) -> Self {
        draw::draw(seed)
    }

    /// The numbers of all steps.
    pub fn numbers(&self) -> Vec<usize> {
        let steps = self.acts.iter().flat_map(|act| &act.steps);
        steps.map(|step| step.number).collect()
    }

    /// The same plan with these steps alone.
    #[must_use]
    pub fn only(&self, numbers: &[usize]) -> Self {
        let mut plan = self.clone();
        for act in &mut plan.acts {
            act.steps.retain(|step| numbers.contains(&step.number));
        }
        plan
    }
}
