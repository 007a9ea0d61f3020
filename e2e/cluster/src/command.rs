//! Running a program of the system: with a deadline, and an error that shows what it said.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{self, Stdio},
    thread,
    time::Duration,
};

use crate::{
    error::{Doing, Error, Result},
    limits::{COMMAND_MAX, SAID_BYTES_MAX},
};

/// A program, its arguments, what it reads and how long it may take.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    words: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    input: Input,
    limit: Duration,
}

/// What a program reads.
#[derive(Debug, Clone)]
enum Input {
    Nothing,
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Command {
    /// `program` without arguments, which may take half a minute.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            words: vec![program.as_ref().to_owned()],
            variables: Vec::new(),
            input: Input::Nothing,
            limit: COMMAND_MAX,
        }
    }

    /// Words of a command line that need no quoting.
    pub(crate) fn line(line: &str) -> Self {
        let mut words = line.split(' ');
        let command = Self::new(words.next().unwrap_or_default());
        command.args(words)
    }

    /// One more argument.
    pub(crate) fn arg(mut self, word: impl AsRef<OsStr>) -> Self {
        self.words.push(word.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub(crate) fn args<W: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        let words = words.into_iter().map(|word| word.as_ref().to_owned());
        self.words.extend(words);
        self
    }

    /// A variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables
            .push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// What it reads; nothing unless given.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(bytes.into());
        self
    }

    /// A file that it reads as its input.
    pub(crate) fn input_file(mut self, path: &Path) -> Self {
        self.input = Input::File(path.to_owned());
        self
    }

    /// How long it may take.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it; the output is an error's text where it failed.
    pub(crate) fn run(&self) -> Result<()> {
        self.output().map(drop)
    }

    /// Runs it and returns what it wrote.
    pub(crate) fn output(&self) -> Result<String> {
        let output = self.finish()?;
        if !output.status.success() {
            let said = [output.stderr, output.stdout].concat();
            return Err(Error::Command {
                command: self.shown(),
                status: outcome(output.status, self.limit),
                said: end_of(&String::from_utf8_lossy(&said)),
            });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Whether it ends well; what it says is dropped.
    pub(crate) fn succeeds(&self) -> bool {
        self.finish().is_ok_and(|output| output.status.success())
    }

    fn finish(&self) -> Result<process::Output> {
        // The deadline is kept by timeout(1), which every Debian has.
        let mut command = process::Command::new("timeout");
        command
            .arg("--kill-after=2")
            .arg(self.limit.as_secs().max(1).to_string());
        command
            .args(&self.words)
            .envs(self.variables.iter().cloned());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(match &self.input {
            Input::Nothing => Stdio::null(),
            Input::Bytes(_) => Stdio::piped(),
            Input::File(path) => {
                let file = fs::File::open(path);
                file.doing(|| format!("read {}", path.display()))?.into()
            }
        });
        let doing = || format!("run `{}`", self.shown());
        let mut child = command.spawn().doing(doing)?;
        let writer = child.stdin.take().map(|mut pipe| {
            let bytes = match &self.input {
                Input::Bytes(bytes) => bytes.clone(),
                Input::Nothing | Input::File(_) => Vec::new(),
            };
            // A program that ends without reading everything says why by itself.
            thread::spawn(move || drop(pipe.write_all(&bytes)))
        });
        let output = child.wait_with_output().doing(doing)?;
        if let Some(writer) = writer {
            let _ = writer.join();
        }
        Ok(output)
    }

    fn shown(&self) -> String {
        let words = self.words.iter().map(|word| word.to_string_lossy());
        words.collect::<Vec<_>>().join(" ")
    }
}

/// How a program ended; timeout(1) has a number of its own for what took too long.
fn outcome(status: process::ExitStatus, limit: Duration) -> String {
    match status.code() {
        Some(124 | 137) => format!("it took longer than {} s", limit.as_secs()),
        _ => status.to_string(),
    }
}

/// The end of a text, cut where it gets long.
pub(crate) fn end_of(text: &str) -> String {
    let text = text.trim();
    let from = text.len().saturating_sub(SAID_BYTES_MAX);
    let from = (from..text.len()).find(|&at| text.is_char_boundary(at));
    text[from.unwrap_or(0)..].to_owned()
}

/// The end of a file, or nothing.
pub(crate) fn end_of_file(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    end_of(&lines[lines.len().saturating_sub(15)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_the_command_and_what_it_said() {
        let command = Command::new("sh").args(["-c", "echo so; echo why >&2; exit 3"]);
        let said = command.output().unwrap_err().to_string();
        assert!(
            said.contains("sh -c") && said.contains("why") && said.contains('3'),
            "{said}"
        );
    }

    #[test]
    fn what_takes_too_long_is_ended() {
        let command = Command::line("sleep 60").limit(Duration::from_secs(1));
        let said = command.run().unwrap_err().to_string();
        assert!(said.contains("longer than 1 s"), "{said}");
    }

    #[test]
    fn input_is_read_and_output_returned() {
        let bytes = vec![b'x'; 300_000];
        let read = Command::line("wc -c").input(bytes).output().unwrap();
        assert_eq!(read.trim(), "300000");
    }

    #[test]
    fn a_long_text_keeps_its_end() {
        let text = format!("{}end", "ä".repeat(SAID_BYTES_MAX));
        let end = end_of(&text);
        assert!(end.len() <= SAID_BYTES_MAX && end.ends_with("end"));
    }
}
