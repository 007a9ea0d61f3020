//! The file that holds the cluster's secret.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use kvcore::wire::{Secret, secret::SECRET_BYTES_MAX};
use rand::RngExt;

/// Why no secret could be had from a file.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It cannot be read or written.
    #[error("secret file {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others may read it.
    #[error("secret file {path} can be read by others (mode {mode:o}): chmod 600 {path}")]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Its content is no secret.
    #[error("secret file {path}: {reason}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Reads the secret; refuses a file that other users may read.
///
/// A file that only the group may read is fine: Kubernetes mounts Secrets so for a non-root pod.
pub fn read(path: &Path) -> Result<Secret, SecretFileError> {
    let io = |source| SecretFileError::Io {
        path: path.to_owned(),
        source,
    };
    let metadata = fs::metadata(path).map_err(io)?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        return Err(SecretFileError::Open {
            path: path.to_owned(),
            mode,
        });
    }
    let content = |reason| SecretFileError::Content {
        path: path.to_owned(),
        reason,
    };
    if metadata.len() > 2 * SECRET_BYTES_MAX as u64 {
        return Err(content(format!(
            "it has {} bytes, too many for a secret",
            metadata.len()
        )));
    }
    Secret::new(&fs::read(path).map_err(io)?).map_err(|error| content(error.to_string()))
}

/// Reads the secret, making a random one (256 bits, mode 0600) where there is no file.
pub fn read_or_create(path: &Path) -> Result<Secret, SecretFileError> {
    let mut random = rand::rng();
    let text = format!(
        "{:032x}{:032x}",
        random.random::<u128>(),
        random.random::<u128>()
    );
    let created = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match created {
        Ok(mut file) => {
            let written = writeln!(file, "{text}").and_then(|()| file.sync_all());
            written.map_err(|source| SecretFileError::Io {
                path: path.to_owned(),
                source,
            })?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => {
            return Err(SecretFileError::Io {
                path: path.to_owned(),
                source,
            });
        }
    }
    read(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_only_for_its_owner() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("secret");
        let first = read_or_create(&path).expect("made");
        let again = read_or_create(&path).expect("read");
        assert_eq!(first.proof(&[b"x"]), again.proof(&[b"x"]));
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("allowed");
        assert!(read(&path).unwrap_err().to_string().contains("chmod 600"));
        assert!(
            read(&directory.path().join("none"))
                .unwrap_err()
                .to_string()
                .contains("none")
        );
    }
}
