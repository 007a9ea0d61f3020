//! `cargo xtask e2e`: scenarios against a real Kubernetes, with images of this very tree.

use std::path::Path;

use anyhow::Result;

use crate::{command::Command, image};

/// Makes the images, where the cluster is one that they can be loaded into, and runs the scenarios.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let mut command = vec!["run", "--quiet", "--locked", "-p", "e2e", "--"];
    command.extend(arguments.iter().map(String::as_str));
    let images;
    if needs_images(arguments) {
        images = image::make(root)?.display().to_string();
        command.extend(["--images", &images]);
    }
    Command::new(root, "cargo", &command).run()
}

/// Help, a list, and a cluster of somebody else's need none.
fn needs_images(arguments: &[String]) -> bool {
    let without = [
        "--help",
        "-h",
        "--list",
        "--images",
        "--provider=existing",
        "existing",
    ];
    !arguments
        .iter()
        .any(|argument| without.contains(&argument.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_made_for_a_cluster_of_our_own_alone() {
        let needs = |arguments: &[&str]| {
            needs_images(
                &arguments
                    .iter()
                    .map(|&argument| argument.to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert!(needs(&[]));
        assert!(needs(&["--all"]));
        assert!(!needs(&["--list"]));
        assert!(!needs(&["--provider", "existing"]));
        assert!(!needs(&["--provider=existing", "--all"]));
    }
}
