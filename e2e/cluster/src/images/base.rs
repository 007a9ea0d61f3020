//! The images that every cluster needs, packed from Debian's programs and our own.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use super::{COREDNS, ImageConfig, PAUSE, TOOLS, copy_program, forget_others, pack_image};
use crate::{
    command::Command,
    digest::short_digest,
    error::{Doing, Error, Result},
    home::{Home, make_directory},
    programs::Programs,
};

/// Counted up when what is packed changes without its programs changing.
const VERSION: u32 = 1;

/// One image: its name, the programs in it, and where they go.
struct Base {
    name: &'static str,
    reference: &'static str,
    programs: Vec<(PathBuf, &'static str)>,
    config: ImageConfig,
}

/// Packs what is not packed yet.
pub(crate) fn pack_all(home: &Home, programs: &Programs) -> Result<()> {
    for base in bases(programs)? {
        let key = key(&base)?;
        let archive = home.images().join(format!("{}-{key}.tar", base.name));
        if !archive.exists() {
            pack(home, &base, &archive)?;
        }
        forget_others(home, base.name, &archive)?;
    }
    Ok(())
}

fn bases(programs: &Programs) -> Result<[Base; 3]> {
    let busybox = find("busybox")?;
    let words = |line: &str| line.split(' ').map(str::to_owned).collect();
    Ok([
        Base {
            name: "pause",
            reference: PAUSE,
            programs: vec![(busybox.clone(), "/bin/busybox")],
            config: ImageConfig {
                entrypoint: words("/bin/busybox sleep infinity"),
                ..ImageConfig::default()
            },
        },
        Base {
            name: "coredns",
            reference: COREDNS,
            programs: vec![(programs.coredns.clone(), "/coredns")],
            config: ImageConfig {
                entrypoint: words("/coredns"),
                ..ImageConfig::default()
            },
        },
        Base {
            name: "tools",
            reference: TOOLS,
            programs: vec![
                (busybox, "/bin/busybox"),
                (find("curl")?, "/bin/curl"),
                // Enters the node from a pod that may.
                (find("nsenter")?, "/bin/nsenter"),
            ],
            config: ImageConfig {
                command: words("/bin/sh"),
                // Also right inside a node, whose programs are the machine's.
                environment: vec!["PATH=/bin:/sbin:/usr/bin:/usr/sbin".to_owned()],
                ..ImageConfig::default()
            },
        },
    ])
}

fn pack(home: &Home, base: &Base, archive: &Path) -> Result<()> {
    let directory = home.images();
    let rootfs = tempfile::Builder::new()
        .prefix(".rootfs-")
        .tempdir_in(&directory);
    let rootfs = rootfs.doing(|| format!("make a directory in {}", directory.display()))?;
    let root = rootfs.path();
    allow(root, 0o755)?;
    for (program, destination) in &base.programs {
        copy_program(program, root, destination)?;
    }
    for name in ["tmp", "etc", "proc", "dev"] {
        make_directory(&root.join(name))?;
    }
    allow(&root.join("tmp"), 0o1777)?;
    fill(
        &root.join("etc/passwd"),
        "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    )?;
    if base.reference == TOOLS {
        link_applets(&root.join("bin"))?;
    }
    pack_image(root, base.reference, &base.config, archive)
}

/// Every name that busybox answers to, but for those that are there as programs.
fn link_applets(bin: &Path) -> Result<()> {
    let applets = Command::line("busybox --list").output()?;
    for applet in applets.lines() {
        let link = bin.join(applet);
        if !link.exists() {
            symlink("busybox", &link).doing(|| format!("make the link {}", link.display()))?;
        }
    }
    Ok(())
}

/// Changes when the image has to be packed anew.
fn key(base: &Base) -> Result<String> {
    let mut texts = vec![format!("{VERSION} {} {:?}", base.reference, base.config)];
    for (program, destination) in &base.programs {
        let about = fs::metadata(program).doing(|| format!("read {}", program.display()))?;
        let (length, changed) = (about.len(), about.mtime());
        texts.push(format!(
            "{} {destination} {length} {changed}",
            program.display()
        ));
    }
    Ok(short_digest(texts.iter().map(String::as_str)))
}

fn find(program: &str) -> Result<PathBuf> {
    let places = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];
    let found = places
        .into_iter()
        .map(|place| Path::new(place).join(program));
    found
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| Error::Refused(format!("there is no {program} in {}", places.join(", "))))
}

fn allow(path: &Path, mode: u32) -> Result<()> {
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, permissions).doing(|| format!("set the mode of {}", path.display()))
}

fn fill(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).doing(|| format!("write {}", path.display()))
}
