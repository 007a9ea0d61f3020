//! The cgroups that keep the pods of one node apart from those of the others.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    error::{Doing, Result},
    home::{read_file, write_in_place},
    limits::CGROUPS_MAX,
    procfs::mounts_of,
    topology::{NodeNumber, all_nodes},
    wait::{Look, wait_for},
};

/// Hierarchies of version 1 that kubelets need; they are looked for before anything starts.
pub(crate) const NEEDED: [&str; 6] = ["cpu", "cpuacct", "cpuset", "memory", "pids", "freezer"];

/// Every hierarchy of the machine, version 1 and 2.
pub(crate) fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = read_file(Path::new("/proc/mounts"))?;
    let both = ["cgroup", "cgroup2"]
        .into_iter()
        .flat_map(|kind| mounts_of(&mounts, kind));
    Ok(both.map(|(place, _)| PathBuf::from(place)).collect())
}

/// Which controllers version 1 offers, and where, from `/proc/mounts`.
pub(crate) fn controllers(mounts: &str) -> Vec<(&str, PathBuf)> {
    let hierarchies = mounts_of(mounts, "cgroup");
    let named = hierarchies.into_iter().flat_map(|(place, options)| {
        let options = options.split(',');
        options.map(move |option| (option, PathBuf::from(place)))
    });
    named
        .filter(|(option, _)| NEEDED.contains(option))
        .collect()
}

/// Where the freezer is.
pub(crate) fn freezer() -> Result<Option<PathBuf>> {
    let mounts = read_file(Path::new("/proc/mounts"))?;
    let found = controllers(&mounts)
        .into_iter()
        .find(|(name, _)| *name == "freezer");
    Ok(found.map(|(_, place)| place))
}

/// Makes a node's cgroup in every hierarchy of version 1: its kubelet wants to find it.
pub(crate) fn make(node: NodeNumber) -> Result<()> {
    let mounts = read_file(Path::new("/proc/mounts"))?;
    for (place, _) in mounts_of(&mounts, "cgroup") {
        let cgroup = Path::new(place).join(node.cgroup());
        fs::create_dir_all(&cgroup).doing(|| format!("make the cgroup {}", cgroup.display()))?;
        // A new cpuset is empty, and nothing could run in it.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(value) = fs::read_to_string(Path::new(place).join(file)) {
                write_in_place(&cgroup.join(file), value.trim())?;
            }
        }
    }
    Ok(())
}

/// Lets everything in a node go on that was frozen: what is frozen cannot even be killed.
pub(crate) fn thaw(node: NodeNumber) -> Result<()> {
    freezer()?.map_or(Ok(()), |freezer| thaw_tree(&freezer.join(node.cgroup())))
}

fn thaw_tree(directory: &Path) -> Result<()> {
    // A cgroup that goes away meanwhile has nothing to thaw.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            thaw_tree(&entry.path())?;
        }
    }
    let own = directory.join("freezer.self_freezing");
    if fs::read_to_string(own).is_ok_and(|own| own.trim() == "1") {
        write_in_place(&directory.join("freezer.state"), "THAWED")?;
    }
    Ok(())
}

/// Removes a node's cgroups, once what was in them has ended.
pub(crate) fn remove(node: NodeNumber) -> Result<()> {
    let hierarchies = hierarchies()?;
    wait_for(
        &format!("the cgroups of {node} to be empty"),
        CGROUPS_MAX,
        || {
            let mut left = None;
            for hierarchy in &hierarchies {
                if let Err(error) = remove_tree(&hierarchy.join(node.cgroup())) {
                    left = Some(format!("{}: {error}", hierarchy.display()));
                }
            }
            Ok(left.map_or(Look::Seen(()), Look::NotYet))
        },
    )
}

/// Removes those of all nodes that ever were.
pub(crate) fn remove_all() -> Result<()> {
    all_nodes().try_for_each(remove)
}

/// Cgroups are removed from the leaves up; their files go with them.
fn remove_tree(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(directory)
}

/// Where a pod's cgroup may be below the cgroup of its node, by its class of service.
pub(crate) fn pod_places(node: NodeNumber, uid: &str) -> [PathBuf; 3] {
    let pods = Path::new(&node.cgroup()).join("kubepods");
    let pod = format!("pod{uid}");
    [
        pods.join(&pod),
        pods.join("burstable").join(&pod),
        pods.join("besteffort").join(&pod),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_are_found_where_they_are_mounted() {
        let mounts = "cgroup /c/cpu,cpuacct cgroup rw,nosuid,cpu,cpuacct 0 0\n\
                      cgroup /c/freezer cgroup rw,freezer 0 0\n\
                      cgroup2 /c/unified cgroup2 rw 0 0\n";
        let found = controllers(mounts);
        let expected = [
            ("cpu", "/c/cpu,cpuacct"),
            ("cpuacct", "/c/cpu,cpuacct"),
            ("freezer", "/c/freezer"),
        ];
        assert_eq!(
            found,
            expected.map(|(name, place)| (name, PathBuf::from(place)))
        );
    }

    #[test]
    fn a_tree_goes_from_its_leaves_up() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().join("top");
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::create_dir_all(top.join("c")).unwrap();
        remove_tree(&top).unwrap();
        assert!(!top.exists());
        remove_tree(&top).unwrap();
    }
}
