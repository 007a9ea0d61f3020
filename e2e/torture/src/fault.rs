//! What can happen, drawn from the seed.

use std::{fmt, time::Duration};

use rand::{RngExt, rngs::ChaCha8Rng};

/// One fault; servers, brokers and disks count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL, started again after a while.
    Kill(Who),
    /// SIGSTOP, and SIGCONT after a while.
    Freeze(Who),
    /// A small disk has no room for a while.
    FullDisk(usize),
    /// Bytes in the victim's log are altered while it is down.
    Damage,
    /// The victim comes back with an empty directory.
    Wipe,
}

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Server(usize),
    Broker(usize),
}

/// How many there are of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers {
    pub servers: usize,
    pub brokers: usize,
    pub disks: usize,
    /// The one server whose disk may lose data.
    pub victim: usize,
}

impl Fault {
    /// The next one, and how long it lasts. Never a wipe: that comes once, at its time.
    pub(crate) fn draw(random: &mut ChaCha8Rng, numbers: Numbers) -> (Self, Duration) {
        let disks = u32::from(numbers.disks > 0);
        let weights = [4, 2, 3, 2, 2 * disks, 2];
        let mut roll = random.random_range(0..weights.iter().sum());
        let mut kind = 0;
        while roll >= weights[kind] {
            roll -= weights[kind];
            kind += 1;
        }
        let server = Who::Server(random.random_range(0..numbers.servers));
        let broker = Who::Broker(random.random_range(0..numbers.brokers));
        let (fault, longest_ms) = match kind {
            0 => (Self::Kill(server), 3_000),
            1 => (Self::Kill(broker), 2_000),
            2 => (Self::Freeze(server), 4_000),
            // Operations of a broker that is frozen last longer by that time.
            3 => (Self::Freeze(broker), 3_000),
            4 => (Self::FullDisk(random.random_range(0..numbers.disks)), 4_000),
            _ => (Self::Damage, 1_000),
        };
        let lasts = Duration::from_millis(random.random_range(100..longest_ms));
        (fault, lasts)
    }

    /// The process that it takes away for a while.
    pub(crate) fn who(self, victim: usize) -> Option<Who> {
        match self {
            Self::Kill(who) | Self::Freeze(who) => Some(who),
            Self::Damage | Self::Wipe => Some(Who::Server(victim)),
            Self::FullDisk(_) => None,
        }
    }

    /// Its name in the summary.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Kill(Who::Server(_)) => "servers killed",
            Self::Kill(Who::Broker(_)) => "brokers killed",
            Self::Freeze(Who::Server(_)) => "servers frozen",
            Self::Freeze(Who::Broker(_)) => "brokers frozen",
            Self::FullDisk(_) => "disks full",
            Self::Damage => "logs damaged",
            Self::Wipe => "disks wiped",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(who) => write!(f, "kill {who}"),
            Self::Freeze(who) => write!(f, "freeze {who}"),
            Self::FullDisk(disk) => write!(f, "full disk of {}", Who::Server(*disk)),
            Self::Damage => f.write_str("damage the victim's log"),
            Self::Wipe => f.write_str("wipe the victim's disk"),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(at) => write!(f, "server-{}", at + 1),
            Self::Broker(at) => write!(f, "broker-{}", at + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_and_every_kind_comes() {
        let numbers = Numbers {
            servers: 5,
            brokers: 3,
            disks: 2,
            victim: 4,
        };
        let draw = |seed| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let faults = (0..200).map(|_| Fault::draw(&mut random, numbers));
            faults.collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let mut kinds: Vec<_> = draw(1).iter().map(|(fault, _)| fault.kind()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), 6, "{kinds:?}");
        let without = Numbers {
            disks: 0,
            ..numbers
        };
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut faults = (0..200).map(|_| Fault::draw(&mut random, without).0);
        assert!(faults.all(|fault| !matches!(fault, Fault::FullDisk(_))));
    }
}
