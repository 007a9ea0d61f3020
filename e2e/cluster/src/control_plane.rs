//! etcd, the API server and what works for it: processes of the machine, outside of all nodes.

mod arguments;

pub(crate) use arguments::{ETCD_PEER_PORT, ETCD_PORT};

use std::ffi::OsString;

use crate::{
    addons,
    api::Api,
    error::Result,
    home::{Home, make_directory, write_file},
    limits::API_READY_MAX,
    process::Daemon,
    programs::Programs,
    wait::{Look, wait_for},
};

/// A process of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Keeps all state.
    Etcd,
    /// What everybody talks to.
    ApiServer,
    /// Deployments, `StatefulSets`, Nodes and so on.
    ControllerManager,
    /// Chooses nodes for pods.
    Scheduler,
    /// Makes volumes; out here, so that no node's end takes it along.
    VolumeProvisioner,
}

impl Part {
    /// In the order in which they start.
    pub(crate) const ALL: [Self; 5] = [
        Self::Etcd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::VolumeProvisioner,
    ];

    /// The program's name, which is the log's name, too.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::VolumeProvisioner => "local-path-provisioner",
        }
    }

    pub(crate) fn daemon(self, home: &Home) -> Daemon {
        Daemon::new(home, self.name())
    }

    fn words(self, home: &Home, programs: &Programs) -> Vec<OsString> {
        let (program, arguments) = match self {
            Self::Etcd => (OsString::from(self.name()), arguments::etcd(home)),
            Self::ApiServer => (
                programs.kube_apiserver.clone().into(),
                arguments::api_server(home),
            ),
            Self::ControllerManager => (
                programs.kube_controller_manager.clone().into(),
                arguments::controller_manager(home),
            ),
            Self::Scheduler => (
                programs.kube_scheduler.clone().into(),
                arguments::scheduler(home),
            ),
            Self::VolumeProvisioner => (
                programs.local_path_provisioner.clone().into(),
                arguments::volume_provisioner(home),
            ),
        };
        let mut words = vec![program];
        words.extend(arguments.into_iter().map(OsString::from));
        words
    }

    /// Starts it, unless it runs.
    pub(crate) fn start(self, home: &Home, programs: &Programs) -> Result<()> {
        let daemon = self.daemon(home);
        if daemon.running().is_some() {
            return Ok(());
        }
        daemon.start(&self.words(home, programs)).map(drop)
    }

    /// Ends it, if it runs; from now on it should not.
    pub(crate) fn stop(self, home: &Home) -> Result<()> {
        let daemon = self.daemon(home);
        if let Some(process) = daemon.running() {
            match self {
                Self::Etcd => process.end()?,
                // They keep nothing, and would take seconds to say goodbye.
                _ => process.kill()?,
            }
        }
        daemon.forget()
    }
}

/// Starts etcd and the API server, which take a while to answer.
pub(crate) fn begin(home: &Home, programs: &Programs) -> Result<()> {
    make_directory(&home.etcd())?;
    write_file(&home.etc("audit.json"), arguments::AUDIT_POLICY)?;
    Part::Etcd.start(home, programs)?;
    Part::ApiServer.start(home, programs)
}

/// Waits until the API server answers.
pub(crate) fn wait_ready(home: &Home) -> Result<()> {
    let api = Api::new(home);
    wait_for("the API server to be ready", API_READY_MAX, || {
        for part in [Part::Etcd, Part::ApiServer] {
            let daemon = part.daemon(home);
            if daemon.running().is_none() {
                return Err(daemon.ended());
            }
        }
        Ok(match api.text("/readyz") {
            Ok(_) => Look::Seen(()),
            Err(error) => Look::NotYet(error.to_string()),
        })
    })
}

/// Starts what needs an API server that answers.
pub(crate) fn finish(home: &Home, programs: &Programs) -> Result<()> {
    Part::ControllerManager.start(home, programs)?;
    Part::Scheduler.start(home, programs)?;
    write_file(&home.etc("volumes.json"), addons::volume_places())?;
    write_file(&home.etc("volume-helper.yaml"), addons::VOLUME_HELPER)?;
    Part::VolumeProvisioner.start(home, programs)
}

/// Ends all of it, etcd last.
pub(crate) fn stop(home: &Home) -> Result<()> {
    Part::ALL.iter().rev().try_for_each(|part| part.stop(home))
}
