//! What is in an image, as an SPDX 2.3 document: the crates that its programs are built from, and the
//! Debian packages that its libraries come from.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, Package, PackageId};
use serde_json::{Value, json};

use super::{
    Origin,
    contents::{self, Image},
    date,
    libraries::DebianPackage,
    rootfs::RootFs,
};

/// What is not known, in SPDX's words.
const UNKNOWN: &str = "NOASSERTION";

/// The image itself, to which everything else belongs.
const IMAGE_ID: &str = "SPDXRef-Image";

/// The document of one image.
pub(super) fn list(
    metadata: &Metadata,
    image: Image,
    rootfs: &RootFs,
    name: &str,
    origin: &Origin,
) -> Result<String> {
    let mut packages: Vec<_> = crates(metadata, image)?.into_iter().map(of_crate).collect();
    packages.extend(rootfs.libraries.iter().map(of_debian));
    let document = document(name, origin, packages);
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// The crates that end up in the image's programs, in the order of their names.
fn crates(metadata: &Metadata, image: Image) -> Result<Vec<&Package>> {
    let resolve = metadata.resolve.as_ref();
    let resolve = resolve.context("cargo did not resolve the crates")?;
    let mut open: Vec<&PackageId> = Vec::new();
    for name in image.packages() {
        let package = contents::package(metadata, name);
        open.push(
            &package
                .with_context(|| format!("there is no package {name}"))?
                .id,
        );
    }
    let mut reached: BTreeSet<&PackageId> = open.iter().copied().collect();
    while let Some(id) = open.pop() {
        let node = resolve.nodes.iter().find(|node| node.id == *id);
        for dependency in node.map_or(&[][..], |node| &node.deps[..]) {
            let mut kinds = dependency.dep_kinds.iter();
            let is_in = kinds.any(|kind| kind.kind == DependencyKind::Normal);
            if is_in && reached.insert(&dependency.pkg) {
                open.push(&dependency.pkg);
            }
        }
    }
    let mut crates: Vec<_> = reached.into_iter().map(|id| &metadata[id]).collect();
    crates.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(crates)
}

fn of_crate(package: &Package) -> Value {
    let (name, version) = (package.name.as_str(), package.version.to_string());
    // The form of old manifests.
    let licence = package
        .license
        .as_ref()
        .map(|text| text.replace('/', " OR "));
    entry(
        &format!("Crate-{name}-{version}"),
        name,
        &version,
        licence.as_deref(),
        &format!("pkg:cargo/{name}@{}", escaped(&version)),
    )
}

fn of_debian(package: &DebianPackage) -> Value {
    let DebianPackage {
        name,
        version,
        architecture,
    } = package;
    let locator = format!(
        "pkg:deb/debian/{name}@{}?arch={architecture}",
        escaped(version)
    );
    // Its copyright file, which is in the image, has the licences of every part.
    entry(&format!("Debian-{name}"), name, version, None, &locator)
}

fn entry(id: &str, name: &str, version: &str, licence: Option<&str>, locator: &str) -> Value {
    json!({
        "SPDXID": spdx_id(id),
        "name": name,
        "versionInfo": version,
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": false,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": licence.unwrap_or(UNKNOWN),
        "copyrightText": UNKNOWN,
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": locator,
        }],
    })
}

/// Letters, digits, points and dashes are all that an id may have.
fn spdx_id(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let text: String = text
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .collect();
    format!("SPDXRef-{text}")
}

/// A version within a package URL.
fn escaped(version: &str) -> String {
    version.replace('+', "%2B").replace(':', "%3A")
}

fn document(name: &str, origin: &Origin, mut packages: Vec<Value>) -> Value {
    let mut relationships = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", IMAGE_ID)];
    for package in &packages {
        let id = package["SPDXID"].as_str().unwrap_or_default();
        relationships.push(relation(IMAGE_ID, "CONTAINS", id));
    }
    packages.insert(
        0,
        json!({
            "SPDXID": IMAGE_ID,
            "name": name,
            "versionInfo": origin.version,
            "downloadLocation": UNKNOWN,
            "filesAnalyzed": false,
            "licenseConcluded": UNKNOWN,
            "licenseDeclared": origin.licences,
            "copyrightText": UNKNOWN,
            "primaryPackagePurpose": "CONTAINER",
            "sourceInfo": format!("built from {} at revision {}", origin.source, origin.revision),
        }),
    );
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": format!("{}/spdx/{}/{name}", origin.source, origin.revision),
        "creationInfo": {
            "created": date::rfc3339(origin.epoch),
            "creators": [format!("Tool: cargo-xtask-image-{}", origin.version)],
        },
        "packages": packages,
        "relationships": relationships,
    })
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::image::metadata;

    fn origin() -> Origin {
        Origin {
            version: "0.1.0".to_owned(),
            revision: "abc".to_owned(),
            source: "https://example.org/kvasir".to_owned(),
            licences: "Apache-2.0".to_owned(),
            epoch: 1_735_689_600,
        }
    }

    fn libc() -> DebianPackage {
        DebianPackage {
            name: "libc6".to_owned(),
            version: "2.36-9+deb12u10".to_owned(),
            architecture: "amd64".to_owned(),
        }
    }

    /// Of this very workspace, as cargo sees it.
    fn listed() -> Value {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let metadata = metadata(&root).expect("cargo knows the crates");
        let rootfs = RootFs {
            image: Image::Kvasir,
            directory: root,
            libraries: vec![libc()],
        };
        let name = "registry.local/kvasir:1";
        let text = list(&metadata, Image::Kvasir, &rootfs, name, &origin()).expect("listed");
        serde_json::from_str(&text).expect("JSON")
    }

    #[test]
    fn crates_of_the_programs_are_listed_and_those_of_tests_are_not() {
        let listed = listed();
        let packages = listed["packages"].as_array().expect("a list");
        let names: Vec<_> = packages.iter().map(|p| p["name"].as_str()).collect();
        for name in ["kvserver", "broker", "kvctl", "kvcore", "tokio", "libc6"] {
            assert!(names.contains(&Some(name)), "{name}: {names:?}");
        }
        for name in ["proptest", "tempfile", "xtask", "sim"] {
            assert!(!names.contains(&Some(name)), "{name}");
        }
        let tokio = packages.iter().find(|p| p["name"] == "tokio");
        let tokio = tokio.expect("listed");
        assert_eq!(tokio["licenseDeclared"], "MIT");
        let locator = tokio["externalRefs"][0]["referenceLocator"].as_str();
        assert!(locator.is_some_and(|l| l.starts_with("pkg:cargo/tokio@1.")));
    }

    #[test]
    fn every_package_has_an_id_of_its_own_and_belongs_to_the_image() {
        let listed = listed();
        let packages = listed["packages"].as_array().expect("a list");
        let ids: BTreeSet<_> = packages.iter().map(|p| p["SPDXID"].as_str()).collect();
        assert_eq!(ids.len(), packages.len());
        let belongs = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        assert!(ids.iter().flatten().all(|id| id.chars().all(belongs)));
        let relations = listed["relationships"].as_array().expect("a list");
        let related: BTreeSet<_> = relations
            .iter()
            .map(|r| r["relatedSpdxElement"].as_str())
            .collect();
        assert_eq!(ids, related);
        assert_eq!(listed["spdxVersion"], "SPDX-2.3");
        assert_eq!(listed["creationInfo"]["created"], "2025-01-01T00:00:00Z");
    }

    #[test]
    fn package_urls_are_escaped() {
        let package = of_debian(&libc());
        let locator = &package["externalRefs"][0]["referenceLocator"];
        assert_eq!(locator, "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64");
    }
}
