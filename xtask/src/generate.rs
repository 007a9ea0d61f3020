//! `cargo xtask generate`: files that are made from other files, and whether they are up to date.

mod chart;
mod conform;
mod schemas;
mod values;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use self::chart::{Chart, Snapshot};
use crate::command::Command;

/// The definition of `KvCluster`, made from the operator's types.
const DEFINITION: &str = "crds/kvclusters.kvasir.dev.yaml";

/// The operator for people without Helm.
const MANIFEST: &str = "manifests/operator.yaml";

/// Everything that is generated, but for snapshots of the chart.
const FILES: [&str; 5] = [
    DEFINITION,
    "charts/kvasir/files/kvclusters.kvasir.dev.yaml",
    "charts/kvasir/README.md",
    "docs/reference/kvcluster.md",
    MANIFEST,
];

/// Manifests that people write.
const EXAMPLES: &str = "manifests/examples";

/// Writes all of them, or with `check` says which are not as they would be written; then holds every
/// manifest against the schemas of what is in it.
pub(crate) fn run(root: &Path, check: bool) -> Result<()> {
    let output = scratch(root)?;
    let snapshots = chart::snapshots(root)?;
    make(root, &output, &snapshots)?;
    let rendered = snapshots.iter().map(|snapshot| snapshot.file.as_str());
    let files: Vec<&str> = FILES.into_iter().chain(rendered.clone()).collect();
    compare(root, &output, &files, check)?;
    let ours = [DEFINITION, MANIFEST].into_iter().chain(rendered);
    let mut manifests: Vec<String> = ours
        .map(|file| output.join(file).display().to_string())
        .collect();
    manifests.push(root.join(EXAMPLES).display().to_string());
    conform::check(root, &output.join(DEFINITION), &manifests, &output)
}

/// Makes all of them in a directory.
fn make(root: &Path, output: &Path, snapshots: &[Snapshot]) -> Result<()> {
    definition(root, output)?;
    // The chart carries the definition, so it is rendered with the new one.
    let directory = output.join("charts/kvasir");
    copy(
        &root.join("charts/kvasir"),
        &directory,
        "files/kvclusters.kvasir.dev.yaml",
    )?;
    let values = fs::read_to_string(root.join("charts/kvasir/values.yaml"))?;
    fs::write(directory.join("README.md"), values::page(&values)?)?;
    let chart = Chart::at(root, &directory)?;
    chart.lint(snapshots)?;
    write(output, MANIFEST, &chart.manifest()?)?;
    snapshots
        .iter()
        .try_for_each(|snapshot| write(output, &snapshot.file, &chart.render(snapshot)?))
}

fn write(output: &Path, file: &str, text: &str) -> Result<()> {
    let place = output.join(file);
    fs::create_dir_all(place.parent().expect("a file lies in a directory"))?;
    fs::write(&place, text).with_context(|| format!("cannot write {}", place.display()))
}

/// Puts what is new in its place, or says what is not as it would be written.
fn compare(root: &Path, output: &Path, files: &[&str], check: bool) -> Result<()> {
    let mut stale = Vec::new();
    for file in files {
        let new = fs::read_to_string(output.join(file));
        let new = new.with_context(|| format!("{file} was not made"))?;
        if fs::read_to_string(root.join(file)).is_ok_and(|old| old == new) {
            continue;
        }
        if check {
            stale.push(*file);
        } else {
            write(root, file, &new)?;
            println!("wrote {file}");
        }
    }
    if !stale.is_empty() {
        bail!(
            "not as they would be written: {}\nrun `cargo xtask generate`",
            stale.join(", ")
        );
    }
    Ok(())
}

/// An empty directory for what is made.
fn scratch(root: &Path) -> Result<PathBuf> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .exec()
        .context("cannot ask cargo for its directories")?;
    let directory = metadata.target_directory.as_std_path().join("generated");
    if directory.exists() {
        fs::remove_dir_all(&directory).context("cannot empty the directory of generated files")?;
    }
    fs::create_dir_all(&directory)?;
    Ok(directory)
}

/// What the operator's own types say.
fn definition(root: &Path, output: &Path) -> Result<()> {
    let output = output.display().to_string();
    let arguments = [
        "run", "--quiet", "--locked", "-p", "operator", "--", "generate", "--root", &output,
    ];
    Command::new(root, "cargo", &arguments).run()
}

/// The chart as it is, but for one file that is there already.
fn copy(from: &Path, to: &Path, but: &str) -> Result<()> {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.context("cannot read the chart")?;
        let place = entry.path().strip_prefix(from).expect("it lies below");
        if entry.file_type().is_dir() {
            fs::create_dir_all(to.join(place))?;
        } else if place != Path::new(but) {
            fs::copy(entry.path(), to.join(place))?;
        }
    }
    Ok(())
}

/// The path of a program of the local cluster, which is built if it is not there.
fn tool(root: &Path, name: &str) -> Result<String> {
    let start = ["run", "--quiet", "--locked", "-p", "kvasir-cluster", "--"];
    let arguments = [&start[..], &["tool", name]].concat();
    let path = Command::new(root, "cargo", &arguments).output()?;
    Ok(path.trim().to_owned())
}
