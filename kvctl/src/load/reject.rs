//! The file of lines that were not loaded; made with the first of them.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

#[derive(Debug)]
pub(super) struct Rejects {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    /// Whether lines of an earlier, interrupted load are in it.
    has_earlier: bool,
}

impl Rejects {
    /// `goes_on` keeps the lines of the load that this one goes on with; else a file that an
    /// earlier load left is gone, so that nobody takes its lines for this one's.
    pub(super) fn new(
        input: Option<&Path>,
        chosen: Option<PathBuf>,
        goes_on: bool,
    ) -> Result<Self> {
        let is_chosen = chosen.is_some();
        let path = chosen.unwrap_or_else(|| {
            let mut name = input.map_or("stdin".into(), |input| input.as_os_str().to_owned());
            name.push(".rejects");
            name.into()
        });
        if input.is_some_and(|input| is_same(input, &path)) {
            bail!("--rejects {} is the input itself", path.display());
        }
        let has_earlier = goes_on && path.exists();
        // A file that somebody named is left until there is something to write into it.
        if !goes_on && !is_chosen && path.is_file() {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(Self {
            path,
            file: None,
            has_earlier,
        })
    }

    pub(super) fn keep(&mut self, line: &[u8]) -> Result<()> {
        if self.file.is_none() {
            let file = OpenOptions::new()
                .create(true)
                .write(true)
                .append(self.has_earlier)
                .truncate(!self.has_earlier)
                .open(&self.path);
            let file = file.with_context(|| {
                let path = self.path.display();
                format!("cannot write {path}, where rejected lines go (--rejects FILE: elsewhere)")
            })?;
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
        (self.file.is_some() || self.has_earlier).then_some(self.path.as_path())
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
