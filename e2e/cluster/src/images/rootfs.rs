//! The files of an image: a program and the libraries that it loads.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    command::Command,
    error::{Doing, Result},
    home::make_directory,
};

/// Copies a program to `destination` below `rootfs`, and the shared libraries that it names to where
/// it looks for them.
pub fn copy_program(program: &Path, rootfs: &Path, destination: &str) -> Result<()> {
    copy(program, &below(rootfs, Path::new(destination)))?;
    for library in libraries(program) {
        copy(&library, &below(rootfs, &library))?;
    }
    Ok(())
}

/// What the program loads. A program that loads nothing makes ldd fail.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let said = Command::new("ldd").arg(program).output();
    parse(&said.unwrap_or_default())
}

fn parse(ldd: &str) -> Vec<PathBuf> {
    let words = ldd.lines().filter_map(|line| {
        line.split_ascii_whitespace()
            .find(|word| word.starts_with('/'))
    });
    words.map(PathBuf::from).collect()
}

fn below(rootfs: &Path, path: &Path) -> PathBuf {
    rootfs.join(path.strip_prefix("/").unwrap_or(path))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(directory) = to.parent() {
        make_directory(directory)?;
    }
    // Follows symbolic links: the image has the file itself under the name that is asked for.
    fs::copy(from, to).doing(|| format!("copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_by_their_paths() {
        let said = "\tlinux-vdso.so.1 (0x00007f)\n\
                    \tlibresolv.so.2 => /lib/x86_64-linux-gnu/libresolv.so.2 (0x00007f)\n\
                    \tlibnone.so => not found\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found = parse(said);
        let expected = [
            "/lib/x86_64-linux-gnu/libresolv.so.2",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
        assert!(parse("\tstatically linked\n").is_empty());
    }

    #[test]
    fn a_copied_program_runs_in_its_own_root() {
        let rootfs = tempfile::tempdir().unwrap();
        let program = ["/usr/bin/env", "/bin/env"]
            .into_iter()
            .map(Path::new)
            .find(|path| path.exists());
        copy_program(
            program.expect("every system has it"),
            rootfs.path(),
            "/bin/env",
        )
        .unwrap();
        assert!(rootfs.path().join("bin/env").exists());
        if rustix::process::geteuid().is_root() {
            let chroot = Command::new("chroot").arg(rootfs.path()).arg("/bin/env");
            chroot.run().unwrap();
        }
    }
}
