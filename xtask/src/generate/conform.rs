//! Whether every manifest is what the API server would read: kubeconform, strict.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};

use super::schemas;
use crate::command::Command;

/// Manifests that are wrong, by one field each: a check that lets them pass says nothing of others.
const WRONG: &str = "\
apiVersion: kvasir.dev/v1alpha1
kind: KvCluster
metadata: {name: wrong}
spec: {servers: {replicaz: 3}}
---
apiVersion: v1
kind: Service
metadata: {name: wrong}
spec: {ports: [{port: 1, targetPart: 2}]}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: wrong}
spec: {selector: {}, endpoints: [{intervall: 30s}]}
";

/// The fields that are wrong with them.
const WRONG_FIELDS: [&str; 3] = ["replicaz", "targetPart", "intervall"];

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
    let program = super::tool(root, "kubeconform")?;
    let location = schemas.join(schemas::TEMPLATE).display().to_string();
    let complaints = |files: &[String]| -> Result<Option<String>> {
        let mut arguments = vec!["-strict", "-schema-location", &location];
        arguments.extend(files.iter().map(String::as_str));
        let mut command = Command::new(root, &program, &arguments);
        let output = command
            .process()
            .output()
            .context("cannot start kubeconform")?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).trim_end().to_owned();
        Ok((!output.status.success()).then_some(said))
    };
    let wrong = scratch.join("wrong.yaml");
    fs::write(&wrong, WRONG)?;
    let said = complaints(&[wrong.display().to_string()])?.unwrap_or_default();
    for field in WRONG_FIELDS {
        ensure!(
            said.contains(field),
            "the check of manifests lets a wrong field {field} pass, and so anything: {said}"
        );
    }
    match complaints(files)? {
        Some(said) => bail!("not what the API server reads:\n{said}"),
        None => Ok(()),
    }
}
