//! Which crate may depend on which.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

use super::{
    Finding,
    tables::{ARROWS, OUT_OF_REACH},
};

/// A member of the workspace.
#[derive(Debug, Clone, Default)]
pub(super) struct Crate {
    /// Its name.
    pub name: String,
    /// Members it names in its manifest, for whatever purpose.
    pub members: BTreeSet<String>,
    /// Everything its ordinary dependencies bring in, directly or not.
    pub reached: BTreeSet<String>,
}

/// The members, as cargo sees them.
pub(super) fn read(root: &Path) -> Result<Vec<Crate>> {
    let metadata = MetadataCommand::new()
        .current_dir(root)
        .other_options(["--locked".to_owned()])
        .exec()
        .context("cannot ask cargo for the crates")?;
    let members = metadata.workspace_packages();
    let names: BTreeSet<String> = members
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    let edges = ordinary_edges(&metadata)?;
    let name_of = |id: &PackageId| metadata[id].name.to_string();
    let read = |package: &&cargo_metadata::Package| Crate {
        name: package.name.to_string(),
        members: {
            let dependencies = package
                .dependencies
                .iter()
                .map(|dependency| dependency.name.clone());
            dependencies.filter(|name| names.contains(name)).collect()
        },
        reached: reached(&edges, &package.id).iter().map(name_of).collect(),
    };
    Ok(members.iter().map(read).collect())
}

/// Which package uses which, tests and build scripts left out.
fn ordinary_edges(metadata: &Metadata) -> Result<BTreeMap<PackageId, Vec<PackageId>>> {
    let resolve = metadata
        .resolve
        .as_ref()
        .context("cargo did not resolve the crates")?;
    let edges = resolve.nodes.iter().map(|node| {
        let ordinary = node.deps.iter().filter(|dependency| {
            let mut kinds = dependency.dep_kinds.iter();
            kinds.any(|kind| kind.kind == DependencyKind::Normal)
        });
        (
            node.id.clone(),
            ordinary.map(|dependency| dependency.pkg.clone()).collect(),
        )
    });
    Ok(edges.collect())
}

fn reached(edges: &BTreeMap<PackageId, Vec<PackageId>>, from: &PackageId) -> BTreeSet<PackageId> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(id) = open.pop() {
        for next in edges.get(id).into_iter().flatten() {
            if reached.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    reached
}

/// Arrows that should not be there.
pub(super) fn check(crates: &[Crate]) -> Vec<Finding> {
    crates.iter().flat_map(check_crate).collect()
}

fn check_crate(member: &Crate) -> Vec<Finding> {
    let manifest = format!("{}/Cargo.toml", member.name);
    let mut findings = Vec::new();
    let allowed = ARROWS.iter().find(|(name, _)| *name == member.name);
    match allowed {
        Some((_, allowed)) => {
            let wrong = member
                .members
                .iter()
                .filter(|name| !allowed.contains(&name.as_str()));
            findings.extend(wrong.map(|name| {
                let wrong = format!("{} may not depend on {name}", member.name);
                let remedy = "move what both need below both; docs/architecture.md says why";
                Finding::new(&manifest, 1, wrong, remedy)
            }));
        }
        None => findings.push(Finding::new(
            &manifest,
            1,
            format!("nobody decided what {} may depend on", member.name),
            "add it to ARROWS in xtask/src/tidy/tables.rs and to docs/architecture.md",
        )),
    }
    let banned = OUT_OF_REACH.iter().filter(|(name, _)| *name == member.name);
    for name in banned.flat_map(|(_, banned)| banned.iter()) {
        if member.reached.contains(*name) {
            let wrong = format!("{} reaches {name} through its dependencies", member.name);
            let remedy = format!(
                "`cargo tree -p {} -i {name}` shows how; cut it",
                member.name
            );
            findings.push(Finding::new(&manifest, 1, wrong, remedy));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, members: &[&str], reached: &[&str]) -> Crate {
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Crate {
            name: name.to_owned(),
            members: set(members),
            reached: set(reached),
        }
    }

    #[test]
    fn forbidden_arrows_are_found() {
        for (from, to) in [
            ("kvcore", "kvnet"),
            ("kvserver", "broker"),
            ("broker", "kvserver"),
            ("xtask", "kvcore"),
        ] {
            let findings = check(&[member(from, &[to], &[])]);
            assert_eq!(findings.len(), 1, "{from} -> {to}");
            let text = findings[0].to_string();
            assert!(text.starts_with(&format!("{from}/Cargo.toml:1: {from} may not depend")));
        }
        assert!(check(&[member("kvctl", &["broker", "kvserver"], &["tokio"])]).is_empty());
    }

    #[test]
    fn the_core_reaches_no_runtime() {
        for name in ["tokio", "hyper", "warp"] {
            let findings = check(&[member("kvcore", &[], &["bytes", name])]);
            assert!(
                findings[0]
                    .to_string()
                    .contains(&format!("cargo tree -p kvcore -i {name}"))
            );
        }
    }

    #[test]
    fn a_new_member_is_decided_upon() {
        let findings = check(&[member("newcomer", &["kvcore"], &[])]);
        assert!(findings[0].to_string().contains("nobody decided"));
    }
}
