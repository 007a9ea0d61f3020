//! Volumes without room.

use std::{
    fs::File,
    io::{ErrorKind, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::Fault;
use crate::{
    addons::BOUNDED_VOLUMES,
    cluster::Cluster,
    error::{Doing, Error, Result},
    home::remove,
    node,
};

/// Takes the room.
const FILLER: &str = ".filler-of-a-test";

/// How much is written at once; the last bit of room goes byte by byte.
const BLOCK_BYTES: usize = 1024 * 1024;

impl Cluster {
    /// Fills the volume of a claim until nothing more can be written to it. Mended, the room is back.
    ///
    /// The claim's class is `bounded`: such a volume is a file system of its own, of the claim's size.
    /// Others share the machine's disk, and filling that would be everybody's fault.
    pub fn fill_volume(&self, namespace: &str, claim: &str) -> Result<Fault> {
        let directory = self.bounded_volume(namespace, claim)?;
        let filler = directory.join(FILLER);
        let cluster = self.clone();
        let claimed = (namespace.to_owned(), claim.to_owned());
        let fault = Fault::new(
            format!("the volume of {namespace}/{claim} full"),
            move || {
                // The node may have been started again since, and be reached by another way.
                match cluster.bounded_volume(&claimed.0, &claimed.1) {
                    Ok(directory) => remove(&directory.join(FILLER)),
                    Err(Error::NodeOff { .. } | Error::Refused(_) | Error::Command { .. }) => {
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            },
        );
        fill(&filler)?;
        Ok(fault)
    }

    /// The directory of such a volume, seen from outside the node.
    fn bounded_volume(&self, namespace: &str, claim: &str) -> Result<PathBuf> {
        let volume = self.api().volume(namespace, claim)?;
        if !Path::new(&volume.directory).starts_with(BOUNDED_VOLUMES) {
            return Err(Error::Refused(format!(
                "the claim {namespace}/{claim} has a volume that shares the machine's disk: give it \
                 `storageClassName: bounded`"
            )));
        }
        let node = self
            .topology()
            .node_named(&volume.node)
            .ok_or_else(|| Error::Unreadable {
                what: format!("the volume of {namespace}/{claim}"),
                reason: format!("{} is no node of this cluster", volume.node),
            })?;
        let root = format!("/proc/{}/root", node::init(self.home(), node)?.pid);
        let directory = Path::new(&root).join(volume.directory.trim_start_matches('/'));
        let device = |path: &Path| {
            let about = path.metadata().doing(|| format!("read {}", path.display()));
            about.map(|about| about.dev())
        };
        if device(&directory)? == device(&directory.join(".."))? {
            return Err(Error::Refused(format!(
                "nothing is mounted on {}",
                directory.display()
            )));
        }
        Ok(directory)
    }
}

fn fill(path: &Path) -> Result<()> {
    let doing = || format!("fill {}", path.display());
    let mut file = File::create(path).doing(doing)?;
    let zeros = vec![0; BLOCK_BYTES];
    for size in [BLOCK_BYTES, 4096, 1] {
        loop {
            match file.write(&zeros[..size]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error).doing(doing),
            }
        }
    }
    // What was promised room by the file system is only certain once it is written.
    file.sync_all()
        .or_else(|error| {
            if error.kind() == ErrorKind::StorageFull {
                Ok(())
            } else {
                Err(error)
            }
        })
        .doing(doing)
}
