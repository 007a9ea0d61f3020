//! Files that are made from the definition: the CRD itself, and its reference.

mod reference;

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::crd;

/// The CRD's file below the top of the repository.
const CRD: &str = "crds/kvclusters.kvasir.dev.yaml";

/// The same for the chart, which installs and upgrades it.
const CHART_CRD: &str = "charts/kvasir/files/kvclusters.kvasir.dev.yaml";

/// The reference for people.
const REFERENCE: &str = "docs/reference/kvcluster.md";

/// First line of files that nobody edits.
const HEAD: &str =
    "# Written by `cargo xtask generate` from operator/src/crd.rs: change it there.\n";

/// Writes every file below `root`.
pub fn run(root: &Path) -> Result<()> {
    let definition = crd::definition();
    let yaml = serde_yaml::to_string(&definition)?;
    // A chart that is uninstalled must not take every KvCluster with it.
    let mut kept = definition.clone();
    let annotations = kept.metadata.annotations.get_or_insert_default();
    annotations.insert("helm.sh/resource-policy".to_owned(), "keep".to_owned());
    let kept = serde_yaml::to_string(&kept)?;
    for (file, text) in [
        (CRD, format!("{HEAD}{yaml}")),
        (CHART_CRD, format!("{HEAD}{kept}")),
        (
            REFERENCE,
            reference::text(&serde_json::to_value(&definition)?),
        ),
    ] {
        let path = root.join(file);
        let directory = path.parent().expect("every file lies in a directory");
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
