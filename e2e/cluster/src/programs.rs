//! The Go programs of a cluster: built once from pinned modules, kept by their content.

mod build;
mod module;

use std::path::{Path, PathBuf};

pub use build::Progress;

use crate::{
    error::{Error, Result},
    home::Home,
};
use module::{MODULES, Module};

/// Where the programs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// The client of everything.
    pub kubectl: PathBuf,
    /// Installs charts.
    pub helm: PathBuf,
    pub(crate) kube_apiserver: PathBuf,
    pub(crate) kube_controller_manager: PathBuf,
    pub(crate) kube_scheduler: PathBuf,
    pub(crate) coredns: PathBuf,
    pub(crate) local_path_provisioner: PathBuf,
    kubernetes: PathBuf,
}

impl Programs {
    /// Builds what is not built yet, which takes minutes the first time, and tells how far it is.
    pub fn build(home: &Home, progress: Progress) -> Result<Self> {
        Self::find(|module| {
            module.directory(home.tools()).and_then(|directory| {
                build::build(module, &directory, progress)?;
                Ok(directory)
            })
        })
    }

    /// The programs, which must be built.
    pub(crate) fn built(home: &Home) -> Result<Self> {
        Self::find(|module| {
            let directory = module.directory(home.tools())?;
            if directory.is_dir() {
                return Ok(directory);
            }
            Err(Error::Refused(format!(
                "the programs of {} are not built: `cargo xtask cluster build` builds them",
                module.name
            )))
        })
    }

    fn find(mut directory: impl FnMut(&Module) -> Result<PathBuf>) -> Result<Self> {
        let mut program = |name| {
            let module = Module::of_program(name).expect("the table of modules has each of these");
            Ok::<_, Error>(directory(module)?.join(name))
        };
        let kubectl = program("kubectl")?;
        Ok(Self {
            kubernetes: kubectl.parent().unwrap_or(Path::new("/")).to_owned(),
            kubectl,
            kube_apiserver: program("kube-apiserver")?,
            kube_controller_manager: program("kube-controller-manager")?,
            kube_scheduler: program("kube-scheduler")?,
            coredns: program("coredns")?,
            local_path_provisioner: program("local-path-provisioner")?,
            helm: program("helm")?,
        })
    }

    /// The directory of what nodes run: kubelet and kube-proxy.
    pub(crate) fn kubernetes(&self) -> &Path {
        &self.kubernetes
    }
}

/// The path of one program of the tools, built now if it has not been.
pub fn tool(home: &Home, name: &str, progress: Progress) -> Result<PathBuf> {
    let module = Module::of_program(name).ok_or_else(|| {
        let known: Vec<&str> = MODULES
            .iter()
            .flat_map(|module| module.programs)
            .copied()
            .collect();
        Error::NoSuchTool {
            name: name.to_owned(),
            known: format!("there are {}", known.join(", ")),
        }
    })?;
    let directory = module.directory(home.tools())?;
    build::build(module, &directory, progress)?;
    Ok(directory.join(name))
}

/// Modules that are still to be built before a cluster can start; building one needs Go.
pub(crate) fn unbuilt(home: &Home) -> Result<Vec<(&'static str, build::GoVersion)>> {
    let mut found = Vec::new();
    for module in MODULES
        .iter()
        .filter(|module| module.use_ == module::Use::Cluster)
    {
        if !module.directory(home.tools())?.is_dir() {
            found.push((module.name, module.go_version()?));
        }
    }
    Ok(found)
}

pub(crate) use build::{GoVersion, installed_go};
