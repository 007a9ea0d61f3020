//! The modules of tools: which there are, what is in them, and where their programs are kept.

use std::path::{Path, PathBuf};

use super::build::GoVersion;
use crate::{
    digest::short_digest,
    error::{Error, Result},
    home::read_file,
};

/// A Go module of tools.
#[derive(Debug)]
pub(super) struct Module {
    /// The name of its directory.
    pub name: &'static str,
    /// What building it makes.
    pub programs: &'static [&'static str],
    pub use_: Use,
}

/// When a module is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Before a cluster starts.
    Cluster,
    /// When somebody asks for it.
    OnDemand,
}

/// Each large program has a module of its own: in one, their requirements would fight.
pub(super) const MODULES: &[Module] = &[
    Module {
        name: "kubernetes",
        programs: &[
            "kube-apiserver",
            "kube-controller-manager",
            "kube-proxy",
            "kube-scheduler",
            "kubectl",
            "kubelet",
        ],
        use_: Use::Cluster,
    },
    one("coredns", &["coredns"], Use::Cluster),
    one(
        "local-path-provisioner",
        &["local-path-provisioner"],
        Use::Cluster,
    ),
    one("helm", &["helm"], Use::Cluster),
    one("kubeconform", &["kubeconform"], Use::OnDemand),
    one("kind", &["kind"], Use::OnDemand),
    one("metrics-server", &["metrics-server"], Use::OnDemand),
    one("kwok", &["kwok"], Use::OnDemand),
];

const fn one(name: &'static str, programs: &'static [&'static str], use_: Use) -> Module {
    Module {
        name,
        programs,
        use_,
    }
}

impl Module {
    /// The module that has this program.
    pub(super) fn of_program(program: &str) -> Option<&'static Self> {
        MODULES
            .iter()
            .find(|module| module.programs.contains(&program))
    }

    /// Where its `go.mod` is: in the workspace that this crate was built from.
    pub(super) fn source(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tools")
            .join(self.name)
    }

    /// Where its programs are kept. A changed requirement is another place.
    pub(super) fn directory(&self, tools: &Path) -> Result<PathBuf> {
        let (requirements, sums) = self.texts()?;
        Ok(tools
            .join(format!("{}-{}", self.name, key(&requirements, &sums)))
            .join("bin"))
    }

    fn texts(&self) -> Result<(String, String)> {
        let source = self.source();
        Ok((
            read_file(&source.join("go.mod"))?,
            read_file(&source.join("go.sum"))?,
        ))
    }

    /// The oldest Go that builds it.
    pub(super) fn go_version(&self) -> Result<GoVersion> {
        let (requirements, _) = self.texts()?;
        let line = requirements
            .lines()
            .find_map(|line| line.strip_prefix("go "));
        line.and_then(GoVersion::parse)
            .ok_or_else(|| Error::Unreadable {
                what: format!("the module {}", self.name),
                reason: "its go.mod does not say which Go it needs".to_owned(),
            })
    }

    /// What the linker is told.
    pub(super) fn link_flags(&self) -> Result<String> {
        let (requirements, _) = self.texts()?;
        Ok(link_flags(&requirements))
    }
}

fn key(requirements: &str, sums: &str) -> String {
    short_digest([requirements, sums, &link_flags(requirements)])
}

/// Smaller programs; and Kubernetes learns its own version, which its build scripts would tell it.
fn link_flags(requirements: &str) -> String {
    let mut flags = "-s -w".to_owned();
    let version = requirements.lines().find_map(|line| {
        let mut words = line
            .split_ascii_whitespace()
            .skip_while(|word| *word == "require");
        (words.next() == Some("k8s.io/kubernetes")).then(|| words.next())?
    });
    if let Some(version) = version {
        let mut numbers = version.trim_start_matches('v').split('.');
        let (major, minor) = (
            numbers.next().unwrap_or_default(),
            numbers.next().unwrap_or_default(),
        );
        for (name, value) in [
            ("gitVersion", version),
            ("gitMajor", major),
            ("gitMinor", minor),
            ("gitTreeState", "clean"),
        ] {
            flags.extend([" -X k8s.io/component-base/version.", name, "=", value]);
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_program_has_one_module_and_every_module_its_files() {
        let programs: Vec<&str> = MODULES
            .iter()
            .flat_map(|module| module.programs)
            .copied()
            .collect();
        let distinct: BTreeSet<&str> = programs.iter().copied().collect();
        assert_eq!(distinct.len(), programs.len());
        for module in MODULES {
            let (requirements, sums) = module.texts().unwrap();
            let lines = requirements
                .lines()
                .map(|line| line.trim().trim_start_matches("tool "));
            let tools = lines
                .skip_while(|line| line.starts_with("module "))
                .filter(|line| {
                    let name = line.rsplit('/').next().unwrap_or_default();
                    let name = if name == "v4" { "helm" } else { name };
                    !line.contains(' ') && module.programs.contains(&name)
                });
            let tools = tools.count();
            assert_eq!(tools, module.programs.len(), "{}", module.name);
            assert!(
                !sums.is_empty() && module.go_version().is_ok(),
                "{}",
                module.name
            );
        }
    }

    #[test]
    fn kubernetes_is_told_its_version() {
        let flags = link_flags("module a\n\nrequire (\n\tk8s.io/kubernetes v1.36.3\n)\n");
        assert!(
            flags.contains("version.gitVersion=v1.36.3") && flags.contains("gitMinor=36"),
            "{flags}"
        );
        assert_eq!(
            link_flags("require k8s.io/kubernetes v1.2.3\n"),
            flags.replace("1.36.3", "1.2.3").replace("=36", "=2")
        );
        assert_eq!(link_flags("require a/b v1.2.3\n"), "-s -w");
    }

    #[test]
    fn another_requirement_is_another_place() {
        assert_ne!(key("a", "b"), key("a", "c"));
        assert_ne!(key("a", "b"), key("c", "b"));
        assert_eq!(key("a", "b"), key("a", "b"));
    }
}
