//! What the tests need of the machine, and how to get it.

use anyhow::{Result, bail};

use crate::command::{is_on_path, is_root};

/// Something the tests need.
#[derive(Debug, Clone, Copy)]
struct Need {
    /// A program that must be on the path.
    program: &'static str,
    /// What it is for.
    purpose: &'static str,
    /// The Debian package that brings it.
    package: &'static str,
    /// Whether only root can use it.
    root: bool,
}

/// Everything the tests need beside cargo. A real cluster is what needs root.
const NEEDS: &[Need] = &[
    Need {
        program: "cc",
        purpose: "links every program",
        package: "gcc libc6-dev",
        root: false,
    },
    cluster("containerd", "containerd"),
    cluster("runc", "runc"),
    cluster("/usr/lib/cni/bridge", "containernetworking-plugins"),
    cluster("etcd", "etcd-server"),
    cluster("ip", "iproute2"),
    cluster("iptables", "iptables"),
    cluster("conntrack", "conntrack"),
    cluster("socat", "socat"),
    cluster("ethtool", "ethtool"),
    cluster("busybox", "busybox"),
    cluster("umoci", "umoci"),
    cluster("mkfs.ext4", "e2fsprogs"),
    cluster("curl", "curl ca-certificates"),
];

/// A program of a real cluster; what builds the rest of it is asked for by the cluster itself.
const fn cluster(program: &'static str, package: &'static str) -> Need {
    Need {
        program,
        purpose: "runs a real Kubernetes",
        package,
        root: true,
    }
}

/// An error that names all that is missing; else what is left out for want of root.
pub(super) fn check(without_root: bool) -> Result<Vec<&'static str>> {
    judge(NEEDS, without_root, is_root(), is_on_path)
}

fn judge(
    needs: &[Need],
    without_root: bool,
    is_root: bool,
    is_there: impl Fn(&str) -> bool,
) -> Result<Vec<&'static str>> {
    let (left_out, wanted): (Vec<&Need>, Vec<&Need>) =
        needs.iter().partition(|need| need.root && without_root);
    let mut missing = Vec::new();
    for need in wanted {
        if !is_there(need.program) {
            missing.push(format!(
                "`{}`, which {}: as root, `apt-get install {}`",
                need.program, need.purpose, need.package
            ));
        } else if need.root && !is_root {
            missing.push(format!(
                "root, for `{}`, which {}: run as root, or leave it out with --without-root",
                need.program, need.purpose
            ));
        }
    }
    if !missing.is_empty() {
        bail!("the tests need\n  {}", missing.join("\n  "));
    }
    let mut purposes: Vec<&str> = left_out.into_iter().map(|need| need.purpose).collect();
    purposes.dedup();
    Ok(purposes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: Need = Need {
        program: "etcd",
        purpose: "runs a cluster",
        package: "etcd-server",
        root: true,
    };

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let error = judge(NEEDS, false, true, |_| false).unwrap_err();
        assert!(
            error.to_string().contains("apt-get install gcc libc6-dev"),
            "{error}"
        );
    }

    #[test]
    fn root_is_left_out_only_when_asked() {
        let error = judge(&[CLUSTER], false, false, |_| true).unwrap_err();
        assert!(error.to_string().contains("--without-root"), "{error}");
        assert_eq!(
            judge(&[CLUSTER], true, false, |_| false).unwrap(),
            ["runs a cluster"]
        );
        assert!(judge(&[CLUSTER], false, true, |_| true).unwrap().is_empty());
    }
}
