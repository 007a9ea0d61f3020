//! The small files beside the log: `member.json` says who this member is, `placement.json` has the
//! placement in force, `slots.json` what the member knows of its slots.
//!
//! Each is written as a whole or not at all.

pub mod slot_table;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use kvcore::placement::{MemberId, Placement};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::slot_table::SlotTable;
use crate::{limits::SLOT_TABLE_BYTES_MAX, store::writer::NotNoted};

const MEMBER: &str = "member.json";
const PLACEMENT: &str = "placement.json";
const SLOTS: &str = "slots.json";

/// `member.json`.
#[derive(Debug, Serialize, Deserialize)]
struct MemberFile {
    /// The member's own name, for the life of the directory.
    id: MemberId,
}

/// Why a file of the member cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MemberFileError {
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It was written, and the directory could not be synced: after a crash it may be the one
    /// before.
    #[error("whether {path} was written is unknown: {source}")]
    Unsure {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Nobody can tell any more what the member has discarded.
    #[error(
        "{path} is damaged or not Kvasir's: {reason}. Without it, records that this member has \
         discarded would come back. Empty the directory to let a new member begin: it copies its \
         slots from the others"
    )]
    SlotTable {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Its content is not what Kvasir writes.
    #[error("{path} is damaged or not Kvasir's: {reason}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There are files but no name for them.
    #[error(
        "{0} has files in it but no {MEMBER}: it is not a whole data directory of Kvasir; give an empty one"
    )]
    NoName(PathBuf),
}

/// Reads who the member is; makes it up, durably, in a directory without a log.
pub fn member_id(directory: &Path) -> Result<MemberId, MemberFileError> {
    if let Some(file) = read::<MemberFile>(&directory.join(MEMBER))? {
        return Ok(file.id);
    }
    check_is_ours(directory)?;
    let id = MemberId(Uuid::new_v4());
    write(directory, MEMBER, &MemberFile { id })?;
    Ok(id)
}

/// An error if the directory holds files but none that says whose. Changes nothing, so that it
/// can be asked before anything is written there; one that is not there yet is nobody else's.
pub fn check_is_ours(directory: &Path) -> Result<(), MemberFileError> {
    if !directory.is_dir() || directory.join(MEMBER).exists() {
        return Ok(());
    }
    let io = |source| MemberFileError::Io {
        path: directory.to_owned(),
        source,
    };
    for entry in fs::read_dir(directory).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        // The lock and unfinished writes of this very file are all that a new directory holds,
        // beside what a file system puts at its top.
        let ours = [
            "lock".to_owned(),
            temporary(MEMBER),
            "lost+found".to_owned(),
        ];
        if !ours.iter().any(|known| name == known.as_str()) {
            return Err(MemberFileError::NoName(directory.to_owned()));
        }
    }
    Ok(())
}

/// Reads the placement, `None` where the member has none yet.
pub fn read_placement(directory: &Path) -> Result<Option<Placement>, MemberFileError> {
    read(&directory.join(PLACEMENT))
}

/// Makes the placement durable.
pub fn write_placement(directory: &Path, placement: &Placement) -> Result<(), MemberFileError> {
    write(directory, PLACEMENT, placement)
}

/// Reads the slot table, an empty one where nothing was ever written.
pub fn read_slot_table(directory: &Path) -> Result<SlotTable, MemberFileError> {
    let path = directory.join(SLOTS);
    let damaged = |path, reason| Err(MemberFileError::SlotTable { path, reason });
    let bytes = fs::metadata(&path).map_or(0, |about| about.len());
    if bytes > SLOT_TABLE_BYTES_MAX as u64 {
        let reason = format!("it has {bytes} bytes, at most {SLOT_TABLE_BYTES_MAX} are possible");
        return damaged(path, reason);
    }
    match read(&path) {
        Ok(table) => Ok(table.unwrap_or_default()),
        Err(MemberFileError::Content { path, reason }) => damaged(path, reason),
        Err(error) => Err(error),
    }
}

/// Makes the slot table durable.
pub fn write_slot_table(directory: &Path, table: &SlotTable) -> Result<(), MemberFileError> {
    write(directory, SLOTS, table)
}

impl From<MemberFileError> for NotNoted {
    fn from(error: MemberFileError) -> Self {
        match error {
            MemberFileError::Unsure { .. } => Self::Unknown(error.to_string()),
            _ => Self::NotDone(error.to_string()),
        }
    }
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, MemberFileError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(MemberFileError::Io {
                path: path.to_owned(),
                source,
            });
        }
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| MemberFileError::Content {
            path: path.to_owned(),
            reason: error.to_string(),
        })
}

fn temporary(name: &str) -> String {
    format!("{name}.new")
}

/// All or nothing: written beside, synced, renamed, and the directory synced.
fn write<T: Serialize>(directory: &Path, name: &str, content: &T) -> Result<(), MemberFileError> {
    let path = directory.join(name);
    let text = serde_json::to_vec_pretty(content).map_err(|error| MemberFileError::Content {
        path: path.clone(),
        reason: error.to_string(),
    })?;
    let written = || -> io::Result<()> {
        let temporary = directory.join(temporary(name));
        let mut file = File::create(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)
    };
    written().map_err(|source| MemberFileError::Io {
        path: path.clone(),
        source,
    })?;
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|source| MemberFileError::Unsure { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_once_and_never_for_a_foreign_directory() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let id = member_id(directory.path()).expect("made");
        assert_eq!(member_id(directory.path()).expect("read"), id);
        fs::write(directory.path().join(MEMBER), "{").expect("allowed");
        assert!(
            member_id(directory.path())
                .unwrap_err()
                .to_string()
                .contains("damaged")
        );
        fs::remove_file(directory.path().join(MEMBER)).expect("there");
        fs::write(directory.path().join("photo.jpg"), "").expect("allowed");
        assert!(
            member_id(directory.path())
                .unwrap_err()
                .to_string()
                .contains("not a whole")
        );
        assert!(read_placement(directory.path()).expect("none").is_none());
    }
}
