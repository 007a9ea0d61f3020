//! `cargo xtask bench`: Kvasir beside its peers, in a crate of its own.

use std::path::Path;

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;

use crate::{
    command::{Command, is_on_path},
    image,
};

/// Benches that run on Kubernetes, and so need root, images, and the program that measures there.
const ON_KUBERNETES: [&str; 6] = [
    "kubernetes-ready",
    "operator",
    "operator-many",
    "service-path",
    "disruption",
    "all",
];

/// Builds Kvasir's programs and the benches, and runs those that are asked for.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    // The client of etcd generates its messages while it is built.
    if !is_on_path("protoc") {
        bail!(
            "the benches need `protoc`: as root, `apt-get install protobuf-compiler \
             libprotobuf-dev`; all they compare with: `apt-get install etcd-server memcached \
             redis-server wamerican-huge protobuf-compiler libprotobuf-dev`"
        );
    }
    let build = ["build", "--quiet", "--release", "--locked", "-p", "kvctl"];
    Command::new(root, "cargo", &build).run()?;
    let metadata = MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .exec()
        .context("cannot ask cargo where it builds")?;
    let programs = metadata.target_directory.join("release");
    let images = if is_on_kubernetes(arguments) {
        let build = ["build", "--quiet", "--release", "--locked", "-p", "e2e"];
        Command::new(root, "cargo", &build).run()?;
        vec![
            "--images".to_owned(),
            image::make(root)?.display().to_string(),
        ]
    } else {
        Vec::new()
    };
    let run = [
        "run",
        "--quiet",
        "--release",
        // Not locked: what a member newly depends on is added to the lock file of the benches.
        "--manifest-path",
        "bench/Cargo.toml",
        "--",
        "--programs",
        programs.as_str(),
    ];
    let arguments = images.iter().chain(arguments).map(String::as_str);
    let arguments: Vec<_> = run.into_iter().chain(arguments).collect();
    Command::new(root, "cargo", &arguments).run()
}

fn is_on_kubernetes(arguments: &[String]) -> bool {
    let mut arguments = arguments.iter();
    arguments.any(|argument| ON_KUBERNETES.contains(&argument.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_made_for_benches_on_kubernetes_alone() {
        let needs = |argument: &str| is_on_kubernetes(&["--quick".to_owned(), argument.to_owned()]);
        assert!(needs("disruption") && needs("all"));
        assert!(!needs("quorum"));
    }
}
