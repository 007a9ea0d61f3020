//! Trie servers started one by one, as people do who read the papers.

use std::time::Duration;

use rustix::process::Signal;

use crate::{
    call::{Call, Running, Said},
    cluster::Cluster,
};

/// A process ends within ten seconds of a signal.
pub(crate) const STOP_MAX: Duration = Duration::from_secs(10);

/// Servers by hand, each with a directory below one of the test's; brokers use its files.
pub(crate) struct ByHand {
    pub(crate) cluster: Cluster,
    servers: Vec<Option<Running>>,
}

impl ByHand {
    pub(crate) fn start(count: u16) -> Self {
        let cluster = Cluster::new();
        let secret = cluster.file("secret", "0123456789abcdef0123456789abcdef\n");
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(secret, owner_only).expect("ours");
        let ports = cluster.ports.layout();
        let lines = (1..=count).map(|number| format!("127.0.0.1 {}\n", ports.peer(number)));
        cluster.file("servers.txt", lines.collect::<String>());
        let mut by_hand = Self {
            cluster,
            servers: Vec::new(),
        };
        by_hand.servers.extend((0..count).map(|_| None));
        for number in 1..=count {
            by_hand.start_server(number);
        }
        by_hand
    }

    pub(crate) fn start_server(&mut self, number: u16) {
        let ports = self.cluster.ports.layout();
        let (port, admin) = (
            ports.peer(number).to_string(),
            format!("127.0.0.1:{}", ports.admin(number)),
        );
        let directory = format!("s{number}");
        let arguments = [
            "server",
            "-a",
            "127.0.0.1",
            "-p",
            &port,
            "--admin",
            &admin,
            "--data-dir",
            &directory,
        ];
        let server = self.call(&arguments).start();
        server.remarks("serving");
        self.servers[usize::from(number) - 1] = Some(server);
    }

    pub(crate) fn kill_server(&mut self, number: u16) {
        let server = self.servers[usize::from(number) - 1]
            .take()
            .expect("it runs");
        server.signal(Signal::KILL);
        server.end(STOP_MAX);
    }

    /// The server's address, as everybody names it.
    pub(crate) fn address(&self, number: u16) -> String {
        format!("127.0.0.1:{}", self.cluster.ports.layout().peer(number))
    }

    pub(crate) fn call(&self, arguments: &[&str]) -> Call {
        let home = self.cluster.home();
        Call::new(arguments).with(|command| {
            command
                .current_dir(home)
                .env("KVASIR_SECRET_FILE", "secret");
        })
    }

    /// `broker -s servers.txt`, listening where nobody else does.
    pub(crate) fn broker(&self, arguments: &[&str]) -> Call {
        let local = [
            "broker",
            "-s",
            "servers.txt",
            "--line",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
        ];
        self.call(&[&local[..], arguments].concat())
    }

    #[track_caller]
    pub(crate) fn say(&self, arguments: &[&str], commands: &str, code: i32) -> Said {
        self.broker(arguments).input(commands).code(code)
    }
}
