//! Runs the README's tour: its commands as they stand, and what they print where that is the same
//! on every machine. The package index is replaced by the slice that comes with the repository.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// One command of the tour and what the README says it prints.
#[derive(Debug)]
struct Step {
    command: String,
    printed: Vec<String>,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a workspace")
        .to_owned()
}

/// The `$` lines of all `console` blocks.
fn steps() -> Vec<Step> {
    let readme = fs::read_to_string(repository().join("README.md")).expect("there is a README");
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let (true, Some(command)) = (inside, line.strip_prefix("$ ")) {
            steps.push(Step {
                command: command.to_owned(),
                printed: Vec::new(),
            });
        } else if let (true, Some(step)) = (inside, steps.last_mut()) {
            step.printed.push(line.to_owned());
        }
    }
    steps
}

/// Whether the output is the same everywhere: it holds no process number, size, time or key count.
fn is_the_same_everywhere(command: &str) -> bool {
    [
        "kvctl query",
        "kvctl get",
        "kvctl scan",
        "RUST_LOG=off kvctl broker",
    ]
    .iter()
    .any(|start| command.starts_with(start))
}

/// A shell with the built programs, in a directory of its own.
struct Shell {
    directory: tempfile::TempDir,
}

impl Shell {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let slice = repository().join("examples/packages-slice.ndjson");
        fs::copy(slice, directory.path().join("packages.ndjson")).expect("there is a slice");
        Self { directory }
    }

    /// Runs one command; gives whether it succeeded and everything it printed.
    fn run(&self, command: &str) -> (bool, String) {
        let programs = Path::new(env!("CARGO_BIN_EXE_kvctl"))
            .parent()
            .expect("a directory");
        let path = std::env::var("PATH").unwrap_or_default();
        // What goes to standard error comes in its place, as a reader sees it.
        let output = Command::new("bash")
            .args(["-c", &format!("exec 2>&1; {command}")])
            .current_dir(self.directory.path())
            .env("PATH", format!("{}:{path}", programs.display()))
            .env_remove("KVASIR_DATA_DIR")
            .env_remove("KVASIR_BROKER")
            .stdin(Stdio::null())
            .output()
            .expect("bash runs");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.run("kvctl down");
    }
}

/// The KEYS column of a status.
fn keys_of(status: &str) -> Vec<u64> {
    let rows = status.lines().filter(|line| line.contains("127.0.0.1:74"));
    rows.map(|row| {
        row.split_whitespace()
            .nth(4)
            .expect("KEYS")
            .parse()
            .expect("a number")
    })
    .collect()
}

#[test]
fn the_readme_says_what_happens() {
    let steps = steps();
    assert!(steps.len() > 10, "the README has a tour: {steps:?}");
    let shell = Shell::new();
    for Step { command, printed } in steps {
        let (succeeded, output) = shell.run(&command);
        assert!(succeeded, "`{command}` failed and printed:\n{output}");
        if is_the_same_everywhere(&command) {
            let lines: Vec<_> = output.lines().map(str::to_owned).collect();
            assert_eq!(lines, printed, "`{command}`");
        }
        if command == "kvctl status" {
            let slice = shell.directory.path().join("packages.ndjson");
            let records = fs::read_to_string(slice).expect("copied").lines().count() as u64;
            // The greeting was deleted again: its tombstone is no key.
            assert_eq!(
                keys_of(&output).iter().sum::<u64>(),
                3 * records,
                "{output}"
            );
            assert!(output.contains("1024 satisfied, 0 short"), "{output}");
        }
    }
}

#[test]
fn the_package_script_makes_nested_records() {
    let index = "Package: a.b\nVersion: 1\nSize: 12\nDepends: libc6 (>= 2.36), x | y:any\n\
                 Description: short\n more\n\nPackage: a.b\nVersion: 2\n";
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("index");
    fs::write(&file, index).expect("written");
    let output = Command::new("python3")
        .arg(repository().join("examples/debian-packages.py"))
        .stdin(fs::File::open(file).expect("just written"))
        .output()
        .expect("python3 runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let expected = concat!(
        r#"{"key": "a.b", "value": {"Version": "1", "Size": 12, "Depends": "#,
        r#"[[{"name": "libc6", "relation": ">=", "version": "2.36"}], "#,
        r#"[{"name": "x"}, {"name": "y", "architecture": "any"}]], "#,
        r#""Description": "short\nmore"}}"#,
        "\n"
    );
    assert_eq!(text, expected);
}
