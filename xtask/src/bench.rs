//! `cargo xtask bench`: Kvasir beside its peers, in a crate of its own.

use std::path::Path;

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;

use crate::command::{Command, is_on_path};

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
    let arguments = arguments.iter().map(String::as_str);
    let arguments: Vec<_> = run.into_iter().chain(arguments).collect();
    Command::new(root, "cargo", &arguments).run()
}
