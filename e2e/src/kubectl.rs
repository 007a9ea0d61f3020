//! `kubectl` and `helm`, as a user would call them.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A program that talks to the cluster.
#[derive(Debug, Clone)]
pub(crate) struct Kubectl {
    program: PathBuf,
    helm: PathBuf,
    kubeconfig: Option<PathBuf>,
    namespace: Option<String>,
}

impl Kubectl {
    /// These programs, on this cluster; without a kubeconfig, the one that the environment names.
    pub(crate) fn new(program: PathBuf, helm: PathBuf, kubeconfig: Option<PathBuf>) -> Self {
        Self {
            program,
            helm,
            kubeconfig,
            namespace: None,
        }
    }

    /// The same in a namespace.
    pub(crate) fn within(&self, namespace: &str) -> Self {
        Self {
            namespace: Some(namespace.to_owned()),
            ..self.clone()
        }
    }

    /// What it prints; an error with what it said if it fails.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.output(arguments, None)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("kubectl {}: {}", arguments.join(" "), said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What it says when it refuses; an error if it does not.
    pub(crate) fn refused(&self, arguments: &[&str], input: &str) -> Result<String> {
        let output = self.output(arguments, Some(input))?;
        if output.status.success() {
            bail!("kubectl {}: it was not refused", arguments.join(" "));
        }
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Applies YAML.
    pub(crate) fn apply(&self, yaml: &str) -> Result<()> {
        self.takes(&["apply", "-f", "-"], yaml)
    }

    /// The same for what is too large to be copied into an annotation of its own.
    pub(crate) fn apply_server_side(&self, yaml: &str) -> Result<()> {
        self.takes(&["apply", "--server-side", "-f", "-"], yaml)
    }

    /// Deletes what stands in YAML.
    pub(crate) fn delete(&self, yaml: &str) -> Result<()> {
        self.takes(&["delete", "--ignore-not-found", "-f", "-"], yaml)
    }

    fn takes(&self, arguments: &[&str], yaml: &str) -> Result<()> {
        let output = self.output(arguments, Some(yaml))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("kubectl {}: {}", arguments.join(" "), said.trim());
        }
        Ok(())
    }

    /// Changes an object, `kind name`, by a merge patch.
    pub(crate) fn patch(&self, what: &[&str], patch: &str) -> Result<()> {
        let arguments = ["--type=merge", "--patch", patch];
        self.run(&[&["patch"], what, &arguments].concat())?;
        Ok(())
    }

    /// An object, or a list of them, as JSON.
    pub(crate) fn get(&self, what: &[&str]) -> Result<Value> {
        let text = self.run(&[&["get"], what, &["-o", "json"]].concat())?;
        serde_json::from_str(&text).context("kubectl printed no JSON")
    }

    /// An object, `None` where there is none.
    pub(crate) fn find(&self, what: &[&str]) -> Result<Option<Value>> {
        let text = self.run(&[&["get"], what, &["-o", "json", "--ignore-not-found"]].concat())?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&text)
            .map(Some)
            .context("kubectl printed no JSON")
    }

    /// The items of a list.
    pub(crate) fn list(&self, what: &[&str]) -> Result<Vec<Value>> {
        let list = self.get(what)?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// `helm` with these arguments.
    pub(crate) fn helm(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command(&self.helm);
        let output = command
            .args(arguments)
            .output()
            .context("cannot start helm")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("helm {}: {}", arguments.join(" "), said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts it; its output is the caller's to read.
    pub(crate) fn start(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = self.command(&self.program);
        command.args(arguments).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().context("cannot start kubectl")
    }

    /// The programs' directories, for scripts that call them by name.
    pub(crate) fn directories(&self) -> Vec<&Path> {
        let programs = [&self.program, &self.helm];
        programs.iter().filter_map(|path| path.parent()).collect()
    }

    fn output(&self, arguments: &[&str], input: Option<&str>) -> Result<Output> {
        let mut command = self.command(&self.program);
        command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        let mut child = command.spawn().context("cannot start kubectl")?;
        if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
            stdin
                .write_all(input.as_bytes())
                .context("kubectl reads nothing")?;
        }
        child.wait_with_output().context("kubectl was lost")
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some(kubeconfig) = &self.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        if let Some(namespace) = &self.namespace {
            command.arg("--namespace").arg(namespace);
        }
        command
    }
}
