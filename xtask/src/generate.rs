//! `cargo xtask generate`: files that are made from other files, and whether they are up to date.

mod values;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::command::Command;

/// Everything that is generated.
const FILES: [&str; 5] = [
    "crds/kvclusters.kvasir.dev.yaml",
    "charts/kvasir/files/kvclusters.kvasir.dev.yaml",
    "charts/kvasir/README.md",
    "docs/reference/kvcluster.md",
    "manifests/operator.yaml",
];

/// First lines of the manifest for people without Helm.
const MANIFEST_HEAD: &str = "\
# Written by `cargo xtask generate` from charts/kvasir: change it there.
# The operator, its rights and the definition of KvCluster:
#     kubectl apply --server-side -f manifests/operator.yaml
apiVersion: v1
kind: Namespace
metadata:
  name: kvasir-system
";

/// Writes all of them, or with `check` says which are not as they would be written.
pub(crate) fn run(root: &Path, check: bool) -> Result<()> {
    let output = scratch(root)?;
    definition(root, &output)?;
    // The chart carries the definition, so it is rendered with the new one.
    let chart = output.join("charts/kvasir");
    copy(
        &root.join("charts/kvasir"),
        &chart,
        "files/kvclusters.kvasir.dev.yaml",
    )?;
    let values = fs::read_to_string(root.join("charts/kvasir/values.yaml"))?;
    fs::write(chart.join("README.md"), values::page(&values)?)?;
    fs::create_dir_all(output.join("manifests"))?;
    fs::write(output.join(FILES[4]), manifest(root, &chart)?)?;
    let mut stale = Vec::new();
    for file in FILES {
        let new = fs::read(output.join(file)).with_context(|| format!("{file} was not made"))?;
        if fs::read(root.join(file)).ok().as_ref() == Some(&new) {
            continue;
        }
        if check {
            stale.push(file);
        } else {
            let place = root.join(file);
            fs::create_dir_all(place.parent().expect("a file lies in a directory"))?;
            fs::write(&place, new)?;
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

/// The chart with its own values.
fn manifest(root: &Path, chart: &Path) -> Result<String> {
    let tool = [
        "run",
        "--quiet",
        "--locked",
        "-p",
        "kvasir-cluster",
        "--",
        "tool",
        "helm",
    ];
    let helm = Command::new(root, "cargo", &tool).output()?;
    let chart = chart.display().to_string();
    let arguments = ["template", "kvasir", &chart, "--namespace", "kvasir-system"];
    let rendered = Command::new(root, helm.trim(), &arguments).output()?;
    // What only Helm needs to know says nothing in a manifest.
    let lines = rendered.lines().filter(|line| {
        !line.contains("helm.sh/") && !line.contains("app.kubernetes.io/managed-by: Helm")
    });
    let mut text = String::from(MANIFEST_HEAD);
    for line in lines {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    Ok(text)
}
