//! The system's libraries that a program needs, and the Debian packages that they come from.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::command::Command;

/// A Debian package that files of an image come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DebianPackage {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
}

/// Every library that a program loads, the loader itself included.
pub(super) fn of(root: &Path, program: &Path) -> Result<Vec<PathBuf>> {
    let name = program
        .to_str()
        .context("the program's path is not UTF-8")?;
    let said = Command::new(root, "ldd", &[name]).output()?;
    parse(&said).with_context(|| format!("the libraries of {name}"))
}

/// Reads what ldd says.
fn parse(said: &str) -> Result<Vec<PathBuf>> {
    let mut libraries = Vec::new();
    for line in said.lines().map(str::trim) {
        let place = line.split(" => ").last().unwrap_or(line);
        if place.starts_with("not found") {
            bail!("not on this machine: {line}");
        }
        // What the kernel provides has no path.
        if place.starts_with('/') {
            let path = place.split(" (").next().unwrap_or(place);
            libraries.push(PathBuf::from(path));
        }
    }
    Ok(libraries)
}

/// Whose files these are.
pub(super) fn packages(root: &Path, files: &[PathBuf]) -> Result<Vec<DebianPackage>> {
    let mut packages = BTreeMap::new();
    for file in files {
        let name = owner(root, file)?;
        if packages.contains_key(&name) {
            continue;
        }
        let format = "--showformat=${Version} ${Architecture}";
        let said = Command::new(root, "dpkg-query", &["--show", format, &name]).output()?;
        let (version, architecture) = said
            .trim()
            .split_once(' ')
            .with_context(|| format!("dpkg-query says of {name}: `{said}`"))?;
        let package = DebianPackage {
            name: name.split(':').next().unwrap_or(&name).to_owned(),
            version: version.to_owned(),
            architecture: architecture.to_owned(),
        };
        packages.insert(name, package);
    }
    Ok(packages.into_values().collect())
}

/// The package that a file belongs to. Where directories were merged, packages may still name the
/// old place, or the new one.
fn owner(root: &Path, file: &Path) -> Result<String> {
    let real = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let merged = real
        .strip_prefix("/usr")
        .map(|path| Path::new("/").join(path));
    let mut places = vec![file.to_owned(), real];
    places.extend(merged);
    for place in &places {
        let Some(place) = place.to_str() else {
            continue;
        };
        if let Ok(said) = Command::new(root, "dpkg-query", &["--search", place]).output()
            && let Some((package, _)) = said.split_once(": ")
        {
            return Ok(package.to_owned());
        }
    }
    bail!(
        "{} belongs to no Debian package: build images on Debian, or with the Dockerfile",
        file.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found() {
        let said = "\tlinux-vdso.so.1 (0x00007ffc8e5f2000)\n\
                    \tlibgcc_s.so.1 => /lib/x86_64-linux-gnu/libgcc_s.so.1 (0x00007f0e5c2a1000)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f0e5c0c0000)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f0e5ca1d000)\n";
        let expected = [
            "/lib/x86_64-linux-gnu/libgcc_s.so.1",
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(parse(said).expect("valid"), expected.map(PathBuf::from));
        assert!(parse("\tstatically linked\n").expect("valid").is_empty());
        let error = parse("\tlibx.so.1 => not found\n").unwrap_err();
        assert!(error.to_string().contains("libx.so.1"), "{error}");
    }
}
