//! Running other programs: shown before they run, their failure told with the way to repeat it.

use std::{env, ffi::OsString, fmt, path::Path, process};

use anyhow::{Context, Result, bail};

/// A program, its arguments and its environment.
#[derive(Debug)]
pub(crate) struct Command {
    shown: String,
    inner: process::Command,
}

impl Command {
    /// `program` with `arguments`, to run in `root`.
    pub(crate) fn new(root: &Path, program: &str, arguments: &[&str]) -> Self {
        let executable = if program == "cargo" {
            cargo()
        } else {
            program.into()
        };
        let mut inner = process::Command::new(executable);
        inner.args(arguments).current_dir(root);
        let shown = [&[program], arguments].concat().join(" ");
        Self { shown, inner }
    }

    /// The same with a variable set.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.inner.env(name, value);
        self.shown = format!("{name}=\"{value}\" {}", self.shown);
        self
    }

    /// The process to be, for callers that read what it prints.
    pub(crate) fn process(&mut self) -> &mut process::Command {
        &mut self.inner
    }

    /// Runs it with our own output; anything but success is an error.
    pub(crate) fn run(mut self) -> Result<()> {
        let status = self
            .inner
            .status()
            .with_context(|| format!("cannot start `{}`", self.shown))?;
        if !status.success() {
            bail!("`{}` failed ({status})", self.shown);
        }
        Ok(())
    }

    /// Runs it and gives what it prints; anything but success is an error with what it complains of.
    pub(crate) fn output(mut self) -> Result<String> {
        let output = self
            .inner
            .output()
            .with_context(|| format!("cannot start `{}`", self.shown))?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            let complaint = complaint.trim();
            bail!("`{}` failed ({}): {complaint}", self.shown, output.status);
        }
        String::from_utf8(output.stdout)
            .with_context(|| format!("`{}` printed what is no text", self.shown))
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The cargo that runs us, or the one on the path.
fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Whether a program of this name is on the path.
pub(crate) fn is_on_path(program: &str) -> bool {
    let Some(path) = env::var_os("PATH") else {
        return false;
    };
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Whether we may do everything.
pub(crate) fn is_root() -> bool {
    let id = process::Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
