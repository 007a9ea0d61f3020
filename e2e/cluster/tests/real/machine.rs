//! The machine's state that a cluster could leave changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

/// Programs of which none may be left.
const PROGRAMS: [&str; 9] = [
    "containerd",
    "containerd-shim",
    "coredns",
    "etcd",
    "kube-",
    "kubelet",
    "local-path-prov",
    "runc",
    "unshare",
];

/// Directories that programs of Kubernetes make where they are let.
const PLACES: [&str; 7] = [
    "/etc/cni",
    "/opt/cni",
    "/opt/local-path-provisioner",
    "/usr/libexec/kubernetes",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/pods",
];

/// What is there, by what it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    facts: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Machine {
    pub(crate) fn now() -> Self {
        let facts = [
            ("mounts", lines(&read("/proc/self/mountinfo"))),
            ("links", names("/sys/class/net")),
            ("routes", lines(&read("/proc/net/route"))),
            ("cgroups", cgroups()),
            ("sysctls", sysctls()),
            ("processes", processes()),
            ("loop devices", loops()),
            ("packet filters", filters()),
            (
                "places",
                PLACES
                    .iter()
                    .filter(|place| Path::new(place).exists())
                    .map(|&place| place.into())
                    .collect(),
            ),
        ];
        Self {
            facts: facts.into(),
        }
    }

    pub(crate) fn assert_same_as(&self, before: &Self) {
        for (what, now) in &self.facts {
            let before = &before.facts[what];
            let left: Vec<_> = now.difference(before).collect();
            let gone: Vec<_> = before.difference(now).collect();
            assert!(
                left.is_empty() && gone.is_empty(),
                "{what}: left {left:#?}, gone {gone:#?}"
            );
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}

fn names(directory: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

fn cgroups() -> BTreeSet<String> {
    let hierarchies = names("/sys/fs/cgroup").into_iter();
    let all = hierarchies.flat_map(|hierarchy| {
        let path = format!("/sys/fs/cgroup/{hierarchy}");
        names(&path)
            .into_iter()
            .map(move |name| format!("{path}/{name}"))
    });
    all.filter(|path| Path::new(path).is_dir()).collect()
}

fn sysctls() -> BTreeSet<String> {
    let names = [
        "vm/overcommit_memory",
        "kernel/panic",
        "kernel/panic_on_oops",
        "net/ipv4/ip_forward",
    ];
    names
        .map(|name| format!("{name} = {}", read(&format!("/proc/sys/{name}")).trim()))
        .into()
}

fn processes() -> BTreeSet<String> {
    let pids = names("/proc").into_iter().filter(|name| {
        // What has ended and waits for init(1) to ask how is not there any more.
        name.parse::<i32>().is_ok() && !read(&format!("/proc/{name}/stat")).contains(") Z ")
    });
    let named = pids.map(|pid| format!("{} {pid}", read(&format!("/proc/{pid}/comm")).trim()));
    named
        .filter(|name| PROGRAMS.iter().any(|program| name.starts_with(program)))
        .collect()
}

fn loops() -> BTreeSet<String> {
    let devices = names("/sys/block").into_iter();
    let used = devices.map(|device| read(&format!("/sys/block/{device}/loop/backing_file")));
    used.filter(|file| !file.is_empty()).collect()
}

fn filters() -> BTreeSet<String> {
    let saved = Command::new("iptables-save")
        .output()
        .expect("iptables is there");
    let text = String::from_utf8_lossy(&saved.stdout).into_owned();
    text.lines()
        .filter(|line| line.starts_with("-A"))
        .map(str::to_owned)
        .collect()
}
