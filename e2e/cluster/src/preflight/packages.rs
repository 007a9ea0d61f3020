//! The programs that come from Debian, each with the package that brings it.

use std::{path::Path, time::Duration};

use super::Problem;
use crate::{command::Command, error::Result};

/// What a package is known by: any of these files.
struct Package {
    name: &'static str,
    files: &'static [&'static str],
}

const fn package(name: &'static str, files: &'static [&'static str]) -> Package {
    Package { name, files }
}

/// Everything that nodes and the control plane need beside what is built.
const PACKAGES: &[Package] = &[
    package("busybox", &["/usr/bin/busybox", "/bin/busybox"]),
    package("conntrack", &["/usr/sbin/conntrack"]),
    package("containerd", &["/usr/bin/containerd"]),
    package("containernetworking-plugins", &["/usr/lib/cni/bridge"]),
    package("curl", &["/usr/bin/curl"]),
    package("e2fsprogs", &["/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"]),
    package("etcd-server", &["/usr/bin/etcd"]),
    package("ethtool", &["/usr/sbin/ethtool", "/sbin/ethtool"]),
    package(
        "iproute2",
        &["/usr/bin/ip", "/bin/ip", "/usr/sbin/ip", "/sbin/ip"],
    ),
    package("iptables", &["/usr/sbin/iptables", "/sbin/iptables"]),
    package("mount", &["/usr/bin/mount", "/bin/mount"]),
    package("runc", &["/usr/sbin/runc", "/usr/bin/runc"]),
    package("socat", &["/usr/bin/socat"]),
    package("umoci", &["/usr/bin/umoci"]),
    package("util-linux", &["/usr/bin/nsenter"]),
];

/// How long apt may take: it downloads.
const INSTALL_MAX: Duration = Duration::from_mins(15);

/// Packages that are not there.
pub(super) fn missing() -> Vec<&'static str> {
    let missing = PACKAGES
        .iter()
        .filter(|package| !package.files.iter().any(|file| Path::new(file).exists()));
    missing.map(|package| package.name).collect()
}

/// One line that installs all of them.
pub(super) fn judge(missing: &[&str]) -> Option<Problem> {
    (!missing.is_empty()).then(|| {
        Problem::new(
            format!(
                "{} Debian packages are missing: {}",
                missing.len(),
                missing.join(", ")
            ),
            format!(
                "as root: {} (or add --install to the command)",
                install_words(missing).join(" ")
            ),
        )
    })
}

fn install_words<'a>(missing: &[&'a str]) -> Vec<&'a str> {
    [
        &["apt-get", "install", "--yes", "--no-install-recommends"],
        missing,
    ]
    .concat()
}

/// Installs what is missing.
pub(super) fn install() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let apt = |words: &[&str]| {
        let command = Command::new(words[0])
            .args(&words[1..])
            .env("DEBIAN_FRONTEND", "noninteractive");
        command.limit(INSTALL_MAX).run()
    };
    apt(&["apt-get", "update", "--quiet=2"])?;
    apt(&install_words(&missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_brings_all_that_is_missing() {
        assert_eq!(judge(&[]), None);
        let cure = judge(&["runc", "socat"]).unwrap().cure;
        assert!(
            cure.contains("apt-get install --yes --no-install-recommends runc socat"),
            "{cure}"
        );
    }

    #[test]
    fn packages_are_named_once_and_in_order() {
        let names: Vec<&str> = PACKAGES.iter().map(|package| package.name).collect();
        assert!(names.is_sorted() && names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
