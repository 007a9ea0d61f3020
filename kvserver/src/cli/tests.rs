//! Which of the command line, the file and the defaults wins, and what is refused.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use clap::CommandFactory;
use tempfile::TempDir;

use super::*;

/// A directory with a secret file.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let secret = directory.path().join("secret");
    fs::write(&secret, "a secret of thirty-two bytes and more").expect("allowed");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("allowed");
    directory
}

fn parse(directory: &Path, file: Option<&str>, more: &[&str]) -> Result<ServerOptions> {
    let secret = directory.join("secret").display().to_string();
    let mut line = vec!["kvserver".to_owned(), "--secret-file".to_owned(), secret];
    if let Some(text) = file {
        let path = directory.join("config.yaml");
        fs::write(&path, text)?;
        line.extend(["--config".to_owned(), path.display().to_string()]);
    }
    line.extend(more.iter().map(|&word| word.to_owned()));
    options(Args::try_parse_from(line)?)
}

#[test]
fn the_command_line_is_sound_and_its_help_teaches() {
    Args::command().debug_assert();
    let help = Args::command().render_long_help().to_string();
    for taught in [
        "--data-dir",
        "--memory-limit",
        "--secret-file",
        "always",
        "7400",
        "KVSERVER_",
        "Examples:",
    ] {
        assert!(help.contains(taught), "{taught} is not in:\n{help}");
    }
}

#[test]
fn defaults_are_loopback_memory_and_always() {
    let directory = directory();
    let options = parse(directory.path(), None, &[]).expect("enough");
    assert_eq!(options.peer.as_deref(), Some("127.0.0.1:7400"));
    assert_eq!(options.admin.as_deref(), Some("127.0.0.1:7401"));
    assert_eq!(options.data_dir, Path::new("kvserver-data"));
    assert_eq!(options.store.mode, StorageMode::Memory);
    assert_eq!(options.store.sync, SyncMode::Always);
    assert_eq!(options.store.memory_limit, None);
}

#[test]
fn the_command_line_wins_over_the_file_and_the_file_over_defaults() {
    let directory = directory();
    let file = "\
address: 127.0.0.9
port: 7500
data_dir: /from/file
mode: disk
sync: never
memory_limit: 512MiB
";
    let options = parse(directory.path(), Some(file), &[]).expect("good");
    assert_eq!(options.peer.as_deref(), Some("127.0.0.9:7500"));
    assert_eq!(options.admin.as_deref(), Some("127.0.0.9:7401"));
    assert_eq!(options.data_dir, Path::new("/from/file"));
    assert_eq!(options.store.mode, StorageMode::Disk);
    assert_eq!(options.store.sync, SyncMode::Never);
    assert_eq!(options.store.memory_limit, Some(512 << 20));
    let line = [
        "-a",
        "::1",
        "-p",
        "7600",
        "--admin",
        "[::1]:1",
        "--data-dir",
        "d",
        "--mode",
        "memory",
        "--sync",
        "interval",
        "--memory-limit",
        "1GiB",
    ];
    let options = parse(directory.path(), Some(file), &line).expect("good");
    assert_eq!(options.peer.as_deref(), Some("[::1]:7600"));
    assert_eq!(options.admin.as_deref(), Some("[::1]:1"));
    assert_eq!(options.data_dir, Path::new("d"));
    assert_eq!(options.store.mode, StorageMode::Memory);
    assert_eq!(options.store.sync, SyncMode::Interval);
    assert_eq!(options.store.memory_limit, Some(1 << 30));
    // An empty file says nothing.
    assert!(parse(directory.path(), Some(""), &[]).is_ok());
}

#[test]
fn what_is_wrong_is_named() {
    let directory = directory();
    let refused = |file: Option<&str>, line: &[&str]| {
        let refused = parse(directory.path(), file, line).expect_err("wrong");
        format!("{refused:#}")
    };
    let cases = [
        (Some("memory_limits: 3"), &[][..], "memory_limits"),
        (Some("memory_limit: a lot"), &[], "memory_limit"),
        (Some("memory_limit: -5"), &[], "memory_limit"),
        (Some("mode: cache"), &[], "cache"),
        (Some("port: 70000"), &[], "port"),
        (Some("- a\n- list"), &[], "config.yaml"),
        (Some("port: [1"), &[], "config.yaml"),
        (None, &["--memory-limit", "12 parsecs"], "12 parsecs"),
        (None, &["--memory-limit=-1"], "-1"),
        (None, &["-p", "70000"], "70000"),
        (None, &["-a", "localhost"], "localhost"),
        (None, &["--sync", "sometimes"], "sometimes"),
        (None, &["--config", "/none/such.yaml"], "/none/such.yaml"),
    ];
    for (file, line, named) in cases {
        let said = refused(file, line);
        assert!(said.contains(named), "{file:?} {line:?}: {said}");
    }
    let no_secret = options(Args::try_parse_from(["kvserver"]).expect("parses"));
    let said = format!("{:#}", no_secret.expect_err("no secret"));
    assert!(said.contains("--secret-file"), "{said}");
}
