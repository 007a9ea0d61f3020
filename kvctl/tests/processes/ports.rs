//! Ports that nobody else has, neither another test nor another process of this machine.

use std::{
    fs::{self, File},
    net::TcpListener,
    process,
    sync::atomic::{AtomicU16, Ordering},
};

use kvctl::cluster::layout::Ports as Layout;

/// Clusters that share a thousand ports: servers, brokers and HTTP of one are far apart, those of
/// the next cluster lie between them.
const IN_A_THOUSAND: u16 = 12;

/// Ports between those of two clusters.
const STRIDE: u16 = 16;

/// Most servers of a test's cluster: two ports each.
const SERVERS_MAX: u16 = STRIDE / 2;

/// Thousands below the ports that the system gives out by itself.
const THOUSANDS: std::ops::Range<u16> = 10..31;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A claim on the ports of one cluster, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Ports {
    base: u16,
    _claim: File,
}

impl Ports {
    pub(crate) fn claim() -> Self {
        let count = u16::try_from(THOUSANDS.len()).expect("few") * IN_A_THOUSAND;
        let directory = std::env::temp_dir().join("kvctl-test-ports");
        fs::create_dir_all(&directory).expect("the temporary directory is writable");
        // Another start for each process, so that they seldom meet.
        let start = u16::try_from(process::id() * 37 % u32::from(count)).expect("below the count");
        for _ in 0..count {
            let at = (start + NEXT.fetch_add(1, Ordering::Relaxed)) % count;
            let base = (THOUSANDS.start + at / IN_A_THOUSAND) * 1000 + at % IN_A_THOUSAND * STRIDE;
            let file = directory.join(base.to_string());
            let claim = File::create(&file).expect("the temporary directory is writable");
            if claim.try_lock().is_ok() && are_free(base) {
                return Self {
                    base,
                    _claim: claim,
                };
            }
        }
        panic!("no cluster's worth of ports is free");
    }

    pub(crate) fn base(&self) -> u16 {
        self.base
    }

    /// Where the ports of a cluster are that starts at this base.
    pub(crate) fn layout(&self) -> Layout {
        Layout::new(self.base)
    }
}

fn are_free(base: u16) -> bool {
    let ports = Layout::new(base);
    let servers = (1..=SERVERS_MAX).flat_map(|number| [ports.peer(number), ports.admin(number)]);
    let brokers = (1..=3).flat_map(|number| [ports.line(number), ports.http(number)]);
    let mut all = servers.chain(brokers);
    all.all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
}
