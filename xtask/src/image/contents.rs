//! Which images there are, and which programs each holds.

use cargo_metadata::{Metadata, Package};
use clap::ValueEnum;

/// Who the programs run as, by number, so that Kubernetes can tell that it is not root.
pub(super) const USER: &str = "65532:65532";

/// An image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Image {
    /// Trie server, broker and command line.
    Kvasir,
    /// The Kubernetes operator.
    Operator,
}

/// What runs where nobody says what should.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    /// The one program of the image; arguments that are given are for it.
    Entrypoint(&'static str),
    /// A hint: who uses an image of several programs names one.
    Command(&'static [&'static str]),
}

impl Image {
    /// Every image.
    pub(super) const ALL: [Self; 2] = [Self::Kvasir, Self::Operator];

    /// Names its archive, and its target in the Dockerfile.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kvasir => "kvasir",
            Self::Operator => "operator",
        }
    }

    /// Its name in a cluster, without the tag.
    pub(super) fn repository(self) -> &'static str {
        match self {
            Self::Kvasir => "registry.local/kvasir",
            Self::Operator => "registry.local/kvasir-operator",
        }
    }

    /// What it is, for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Kvasir => "Kvasir: trie server, broker and command line",
            Self::Operator => "Kvasir's Kubernetes operator",
        }
    }

    /// The workspace's packages that its programs come from.
    pub(super) fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Kvasir => &["kvserver", "broker", "kvctl"],
            Self::Operator => &["operator"],
        }
    }

    /// Its programs.
    pub(super) fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Kvasir => &["kvserver", "broker", "kvctl"],
            Self::Operator => &["kvasir-operator"],
        }
    }

    /// What runs in it.
    pub(super) fn start(self) -> Start {
        match self {
            Self::Kvasir => Start::Command(&["/usr/bin/kvctl", "--help"]),
            Self::Operator => Start::Entrypoint("/usr/bin/kvasir-operator"),
        }
    }
}

/// A member of the workspace by its name.
pub(super) fn package<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a Package> {
    let members = metadata.workspace_packages();
    members.into_iter().find(|package| package.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Docker reads its own file; what it says twice has to be the same.
    #[test]
    fn the_dockerfile_makes_the_same_images() {
        let file = include_str!("../../../Dockerfile");
        let stages: Vec<_> = file.split("\nFROM ").collect();
        for image in Image::ALL {
            let begins = format!("scratch AS {}\n", image.name());
            let stage = stages.iter().find(|stage| stage.starts_with(&begins));
            let stage = stage.unwrap_or_else(|| panic!("no target {}", image.name()));
            let start = match image.start() {
                Start::Entrypoint(program) => format!("ENTRYPOINT [\"{program}\"]"),
                Start::Command(words) => format!("CMD [\"{}\"]", words.join("\", \"")),
            };
            for line in [
                format!("USER {USER}"),
                start,
                format!("LABEL org.opencontainers.image.title=\"{}\"", image.title()),
                "ENV PATH=/usr/bin".to_owned(),
                format!("COPY --from=build-{0} /rootfs/{0}/ /", image.name()),
            ] {
                assert!(
                    stage.lines().any(|l| l == line),
                    "{line}\nis not in\n{stage}"
                );
            }
            let made = format!("cargo xtask image --only {} --rootfs /rootfs", image.name());
            assert!(file.contains(&made), "{made}");
        }
    }
}
