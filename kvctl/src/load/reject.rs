//! The file of lines that were not loaded; made with the first of them.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

#[derive(Debug)]
pub(super) struct Rejects {
    path: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Rejects {
    pub(super) fn new(input: Option<&Path>, chosen: Option<PathBuf>) -> Self {
        let path = chosen.unwrap_or_else(|| {
            let mut name = input.map_or("stdin".into(), |input| input.as_os_str().to_owned());
            name.push(".rejects");
            name.into()
        });
        Self { path, file: None }
    }

    pub(super) fn keep(&mut self, line: &[u8]) -> Result<()> {
        if self.file.is_none() {
            let file = File::create(&self.path);
            let file = file.with_context(|| format!("cannot write {}", self.path.display()))?;
            self.file = Some(BufWriter::new(file));
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        // Flushed each time: these lines are few, and must survive an interruption.
        file.write_all(line)
            .and_then(|()| file.write_all(b"\n"))
            .and_then(|()| file.flush())
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Where the lines are, if there are any.
    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|_| self.path.as_path())
    }
}
