//! Whether every manifest is what the API server would read: kubeconform, strict.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use super::schemas;
use crate::command::Command;

/// Holds these files against the schemas of their kinds; `definition` is the one of `KvCluster`.
pub(super) fn check(
    root: &Path,
    definition: &Path,
    files: &[String],
    scratch: &Path,
) -> Result<()> {
    let schemas = scratch.join("schemas");
    let definition = fs::read_to_string(definition).context("there is no definition")?;
    schemas::write(root, &definition, &schemas)?;
    let location = schemas.join(schemas::TEMPLATE).display().to_string();
    let mut arguments = vec!["-strict", "-schema-location", &location];
    arguments.extend(files.iter().map(String::as_str));
    let program = super::tool(root, "kubeconform")?;
    let mut command = Command::new(root, &program, &arguments);
    let output = command
        .process()
        .output()
        .context("cannot start kubeconform")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        let more = String::from_utf8_lossy(&output.stderr);
        bail!(
            "not what the API server reads:\n{}{}",
            said,
            more.trim_end()
        );
    }
    Ok(())
}
