//! The commands of docs/kubernetes.md are run as they stand there, in order.
//!
//! They install and uninstall the operator themselves, so the release of all other scenarios makes way
//! for them meanwhile.

use std::{env, ffi::OsString, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail, ensure};

use crate::{document, namespace::Namespace, world::World};

/// The page.
const PAGE: &str = "docs/kubernetes.md";

/// Tags of images that the page speaks of: the chart's own, and one to upgrade to.
const TAGS: [&str; 2] = ["0.1.0", "0.2.0"];

/// Seconds that a block may take.
const BLOCK_SECONDS_MAX: &str = "240";

pub(super) fn run(world: &World, namespace: &Namespace) -> Result<()> {
    let blocks = document::blocks(&world.file(PAGE)?);
    ensure!(blocks.len() >= 10, "{PAGE} has {} blocks", blocks.len());
    for tag in TAGS {
        world.tag_images(tag)?;
    }
    // `kubectl run` as a user types it makes no restricted pod.
    namespace.enforce("baseline")?;
    world.uninstall()?;
    let shell = Shell::in_namespace(world, namespace)?;
    let done = blocks.iter().try_for_each(|block| {
        if let Some(why) = &block.not_run {
            println!("{PAGE}:{}: not run: {why}", block.line);
            return Ok(());
        }
        let printed = shell
            .run(&block.script)
            .with_context(|| format!("{PAGE}:{}: {}", block.line, block.script))?;
        if let Some(missing) = document::missing(&block.printed, &printed) {
            bail!(
                "{PAGE}:{}: {missing:?} is not printed, but\n{printed}",
                block.line
            );
        }
        Ok(())
    });
    drop(shell);
    done.and(world.install())
}

/// bash in the repository, with kubectl and helm, in a namespace.
struct Shell {
    directory: PathBuf,
    kubeconfig: OsString,
    path: OsString,
    /// Makes the namespace the one that is meant.
    overlay: PathBuf,
}

impl Shell {
    fn in_namespace(world: &World, namespace: &Namespace) -> Result<Self> {
        let kubectl = world.kubectl();
        let config = kubectl.run(&["config", "view", "--minify", "--output=json"])?;
        let config: serde_json::Value = serde_json::from_str(&config)?;
        let mut context = config["contexts"][0].clone();
        context["context"]["namespace"] = namespace.name().into();
        let overlay = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": context["name"],
            "contexts": [context],
        });
        let file = env::temp_dir().join(format!("kvasir-e2e-{}.json", std::process::id()));
        fs::write(&file, overlay.to_string())?;
        let given = world.cluster()?.kubeconfig().to_owned();
        let mut path: Vec<PathBuf> = kubectl
            .directories()
            .into_iter()
            .map(PathBuf::from)
            .collect();
        path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        Ok(Self {
            directory: world.root().to_owned(),
            // Of two files with the same context, the first counts.
            kubeconfig: env::join_paths([&file, &given])?,
            path: env::join_paths(path)?,
            overlay: file,
        })
    }

    /// Runs a script; what it printed.
    fn run(&self, script: &str) -> Result<String> {
        // What it leaves in the background ends with it.
        let script =
            format!("exec 2>&1; trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}");
        let output = Command::new("timeout")
            .args([BLOCK_SECONDS_MAX, "bash", "-euo", "pipefail", "-c", &script])
            .current_dir(&self.directory)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("PATH", &self.path)
            .output()
            .context("cannot start bash")?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{}: {printed}", output.status);
        Ok(printed)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // A file of a few lines in a directory for such.
        let _ = fs::remove_file(&self.overlay);
    }
}
