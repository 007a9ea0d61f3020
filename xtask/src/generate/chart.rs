//! The chart, rendered: the manifest for people without Helm, and with each of several sets of
//! values, so that a change of a template shows what it changes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::command::Command;

/// Where values and what is rendered with them lie.
const SNAPSHOTS: &str = "e2e/snapshots";

/// Ends the names of files of values; before it stands the name of the release.
const VALUES: &str = ".values.yaml";

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

/// Helm, and the chart that it works on.
pub(super) struct Chart<'a> {
    root: &'a Path,
    helm: String,
    directory: String,
}

/// Values of a release, and where what is rendered with them belongs.
pub(super) struct Snapshot {
    release: String,
    values: PathBuf,
    /// Path below the root.
    pub(super) file: String,
}

/// All of them, in order.
pub(super) fn snapshots(root: &Path) -> Result<Vec<Snapshot>> {
    let directory = root.join(SNAPSHOTS);
    let mut found = Vec::new();
    for entry in fs::read_dir(&directory).context("cannot list the snapshots")? {
        let values = entry?.path();
        let name = values.file_name().and_then(|name| name.to_str());
        if let Some(release) = name.and_then(|name| name.strip_suffix(VALUES)) {
            found.push(Snapshot {
                release: release.to_owned(),
                file: format!("{SNAPSHOTS}/{release}.yaml"),
                values,
            });
        }
    }
    ensure!(
        !found.is_empty(),
        "{SNAPSHOTS} has no file that ends with {VALUES}"
    );
    found.sort_by(|one, other| one.release.cmp(&other.release));
    Ok(found)
}

impl<'a> Chart<'a> {
    /// The chart in a directory.
    pub(super) fn at(root: &'a Path, directory: &Path) -> Result<Self> {
        Ok(Self {
            root,
            helm: super::tool(root, "helm")?,
            directory: directory.display().to_string(),
        })
    }

    /// The chart with its own values, as a manifest.
    pub(super) fn manifest(&self) -> Result<String> {
        let rendered = self.helm(&[
            "template",
            "kvasir",
            &self.directory,
            "--namespace",
            "kvasir-system",
        ])?;
        Ok(format!("{MANIFEST_HEAD}{}", without_helm(&rendered)))
    }

    /// The chart with the values of a snapshot.
    pub(super) fn render(&self, snapshot: &Snapshot) -> Result<String> {
        let Snapshot {
            release, values, ..
        } = snapshot;
        let rendered = self.helm(&[
            "template",
            release,
            &self.directory,
            "--namespace",
            &format!("{release}-system"),
            "--values",
            &values.display().to_string(),
        ])?;
        let lines = rendered
            .lines()
            .map(|line| format!("{}\n", line.trim_end()));
        Ok(format!(
            "# Written by `cargo xtask generate` from charts/kvasir and {release}{VALUES}.\n{}",
            lines.collect::<String>()
        ))
    }

    /// An error for whatever Helm would warn of, with its own values and those of each snapshot.
    pub(super) fn lint(&self, snapshots: &[Snapshot]) -> Result<()> {
        let lint = ["lint", "--strict", "--quiet", &self.directory];
        self.helm(&lint)?;
        for snapshot in snapshots {
            let values = snapshot.values.display().to_string();
            self.helm(&[&lint[..], &["--values", &values]].concat())?;
        }
        Ok(())
    }

    fn helm(&self, arguments: &[&str]) -> Result<String> {
        Command::new(self.root, &self.helm, arguments).output()
    }
}

/// Without what only Helm needs to know, and without annotations where nothing else was among them.
fn without_helm(rendered: &str) -> String {
    let kept = rendered.lines().map(str::trim_end).filter(|line| {
        !line.contains("helm.sh/") && !line.contains("app.kubernetes.io/managed-by: Helm")
    });
    let kept: Vec<&str> = kept.collect();
    let depth = |line: &str| line.len() - line.trim_start().len();
    let mut text = String::new();
    for (at, line) in kept.iter().enumerate() {
        let next = kept.get(at + 1).map_or(0, |next| depth(next));
        if line.trim_start() == "annotations:" && next <= depth(line) {
            continue;
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_helm_needs_is_left_out_and_leaves_no_empty_field() {
        let rendered = "metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n  name: a\n  \
                        labels:\n    app.kubernetes.io/managed-by: Helm\n    b: c\n---\nmetadata:\n  \
                        annotations:\n    d: e\n";
        assert_eq!(
            without_helm(rendered),
            "metadata:\n  name: a\n  labels:\n    b: c\n---\nmetadata:\n  annotations:\n    d: e\n"
        );
    }
}
