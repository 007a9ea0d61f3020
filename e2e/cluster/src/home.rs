//! Where a cluster keeps what it has. One directory holds everything but the built programs.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use crate::{
    error::{Doing, Error, Result},
    limits::LOCK_MAX,
    topology::NodeNumber,
    wait::{Look, wait_for},
};

/// Names the directory of the cluster.
pub const HOME_VARIABLE: &str = "KVASIR_CLUSTER_HOME";

/// Names the directory of built programs.
pub const TOOLS_VARIABLE: &str = "KVASIR_CLUSTER_TOOLS";

/// The directories of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
    tools: PathBuf,
}

impl Home {
    /// `~/.cache/kvasir/cluster` and `~/.cache/kvasir/cluster-tools`, unless the variables say otherwise.
    pub fn from_environment() -> Result<Self> {
        let place = |variable, name| {
            let given = env::var_os(variable).filter(|value| !value.is_empty());
            let cache = || {
                Some(
                    PathBuf::from(env::var_os("HOME")?)
                        .join(".cache/kvasir")
                        .join(name),
                )
            };
            given.map(PathBuf::from).or_else(cache).ok_or_else(|| {
                Error::Refused(format!("HOME is not set: name a directory in {variable}"))
            })
        };
        Ok(Self {
            root: place(HOME_VARIABLE, "cluster")?,
            tools: place(TOOLS_VARIABLE, "cluster-tools")?,
        })
    }

    /// The same with another directory for the cluster.
    #[must_use]
    pub fn with_root(mut self, root: PathBuf) -> Self {
        self.root = root;
        self
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where built programs are, each module in a directory of its own.
    pub fn tools(&self) -> &Path {
        &self.tools
    }

    /// How clients reach the API server.
    pub fn kubeconfig(&self) -> PathBuf {
        self.pki("admin.kubeconfig")
    }

    /// What processes say, but for those of nodes.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// What service accounts asked the API server for.
    pub(crate) fn audit_log(&self) -> PathBuf {
        self.log("audit")
    }

    /// The same with the files before it, oldest first. Each line is an `Event` of `audit.k8s.io/v1`.
    pub fn audit_logs(&self) -> Result<Vec<PathBuf>> {
        let doing = || format!("list {}", self.logs().display());
        let mut found = Vec::new();
        for entry in fs::read_dir(self.logs()).doing(doing)? {
            let path = entry.doing(doing)?.path();
            let name = path.file_stem().and_then(|name| name.to_str());
            let is_log = path.extension().is_some_and(|extension| extension == "log");
            if is_log && name.is_some_and(|name| name.starts_with("audit")) {
                found.push(path);
            }
        }
        // A file that was put aside has its time behind a hyphen, which comes before the dot.
        found.sort();
        Ok(found)
    }

    pub(crate) fn pki(&self, file: &str) -> PathBuf {
        self.root.join("pki").join(file)
    }

    pub(crate) fn pki_directory(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// What is true only while it runs: process numbers, how the machine was before.
    pub(crate) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    pub(crate) fn run_file(&self, name: &str) -> PathBuf {
        self.run().join(name)
    }

    pub(crate) fn etc(&self, file: &str) -> PathBuf {
        self.root.join("etc").join(file)
    }

    pub(crate) fn etcd(&self) -> PathBuf {
        self.root.join("etcd")
    }

    /// Archives that every node imports when it starts.
    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    pub(crate) fn nodes(&self) -> PathBuf {
        self.root.join("nodes")
    }

    /// A node's disk and configuration.
    pub(crate) fn node(&self, node: NodeNumber) -> PathBuf {
        self.nodes().join(node.name())
    }

    /// Makes all directories that do not belong to one node.
    pub(crate) fn make(&self) -> Result<()> {
        for directory in [
            self.root.clone(),
            self.pki_directory(),
            self.run(),
            self.logs(),
            self.root.join("etc"),
            self.images(),
            self.nodes(),
        ] {
            make_directory(&directory)?;
        }
        Ok(())
    }

    /// The same, but waits for whoever holds it.
    pub(crate) fn wait_for_lock(&self) -> Result<fs::File> {
        wait_for("others to start or stop the cluster", LOCK_MAX, || {
            Ok(match self.lock() {
                Ok(lock) => Look::Seen(lock),
                Err(Error::Refused(why)) => Look::NotYet(why),
                Err(error) => return Err(error),
            })
        })
    }

    /// Keeps a second command out while one starts or stops things; let go when dropped.
    pub(crate) fn lock(&self) -> Result<fs::File> {
        make_directory(&self.root)?;
        let path = self.root.join("lock");
        let file = fs::File::create(&path).doing(|| format!("open {}", path.display()))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            Error::Refused(format!(
                "another command starts or stops this cluster right now ({} is locked): try again \
                 when it is done",
                path.display()
            ))
        })?;
        Ok(file)
    }
}

/// Makes a directory and those above it.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    fs::create_dir_all(path).doing(|| format!("make the directory {}", path.display()))
}

/// Writes a file in one step: a reader sees the old text or the new one.
pub(crate) fn write_file(path: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    let doing = || format!("write {}", path.display());
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).doing(doing)?;
    std::io::Write::write_all(&mut file, text.as_ref()).doing(doing)?;
    file.persist(path).doing(doing)?;
    Ok(())
}

/// Writes into a file that is there, as files of the kernel want it.
pub(crate) fn write_in_place(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).doing(|| format!("write {text:?} into {}", path.display()))
}

/// Reads a text file.
pub(crate) fn read_file(path: &Path) -> Result<String> {
    fs::read_to_string(path).doing(|| format!("read {}", path.display()))
}

/// Removes a file or a directory with everything in it, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(root: &Path) -> Home {
        Home {
            root: root.to_owned(),
            tools: root.join("tools"),
        }
    }

    #[test]
    fn only_one_command_at_a_time_holds_it() {
        let directory = tempfile::tempdir().unwrap();
        let home = home(directory.path());
        let held = home.lock().unwrap();
        let said = home.lock().unwrap_err().to_string();
        assert!(said.contains("another command"), "{said}");
        drop(held);
        assert!(home.lock().is_ok());
    }

    #[test]
    fn audit_logs_are_found_in_their_order() {
        let directory = tempfile::tempdir().unwrap();
        let home = home(directory.path());
        make_directory(&home.logs()).unwrap();
        let old = home.log("audit-2026-01-02T03-04-05.678");
        for path in [&home.audit_log(), &old, &home.log("etcd")] {
            write_file(path, "").unwrap();
        }
        assert_eq!(home.audit_logs().unwrap(), [old, home.audit_log()]);
    }

    #[test]
    fn files_are_replaced_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a");
        write_file(&file, "one").unwrap();
        write_file(&file, "two").unwrap();
        assert_eq!(read_file(&file).unwrap(), "two");
        remove(&file).unwrap();
        remove(&file).unwrap();
        assert!(read_file(&file).unwrap_err().to_string().contains("read "));
    }
}
