//! The operator itself, as what runs in the cluster: watched, and stopped.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, ensure};

use crate::{
    kubectl::Kubectl,
    wait,
    world::{OPERATOR_NAMESPACE, World},
};

/// Labels of its pods.
const SELECTOR: &str = "app.kubernetes.io/name=kvasir-operator";

/// Its Deployment.
const DEPLOYMENT: &str = "deployment/kvasir-operator";

/// How long it may take to come or to go.
const CHANGE_MAX: Duration = Duration::from_mins(1);

/// The operator in its namespace.
#[derive(Debug)]
pub(crate) struct Operator {
    kubectl: Kubectl,
}

/// The operator does not run until this is dropped, or ended by [`Stopped::start`].
#[derive(Debug)]
pub(crate) struct Stopped {
    operator: Option<Operator>,
}

impl Operator {
    /// The one that all scenarios use.
    pub(crate) fn of(world: &World) -> Self {
        Self {
            kubectl: world.kubectl().within(OPERATOR_NAMESPACE),
        }
    }

    /// UIDs of its pods, and how often their containers were started again.
    pub(crate) fn runs(&self) -> Result<BTreeMap<String, u64>> {
        let pods = self.kubectl.list(&["pods", "-l", SELECTOR])?;
        let each = pods.iter().map(|pod| {
            let containers = pod["status"]["containerStatuses"].as_array();
            let restarts = containers
                .into_iter()
                .flatten()
                .filter_map(|container| container["restartCount"].as_u64());
            let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
            (uid.to_owned(), restarts.sum())
        });
        Ok(each.collect())
    }

    /// An error if it is not the very process that it was.
    pub(crate) fn ran_on(&self, before: &BTreeMap<String, u64>) -> Result<()> {
        let now = self.runs()?;
        ensure!(now == *before, "the operator was {before:?} and is {now:?}");
        Ok(())
    }

    /// Stops it, and waits until it is gone.
    pub(crate) fn stop(self) -> Result<Stopped> {
        self.scale(0)?;
        let stopped = Stopped {
            operator: Some(self),
        };
        let operator = stopped.operator.as_ref();
        wait::until_true("the operator is gone", CHANGE_MAX, || {
            operator.map_or(Ok(true), |operator| Ok(operator.runs()?.is_empty()))
        })?;
        Ok(stopped)
    }

    fn scale(&self, replicas: u8) -> Result<()> {
        let replicas = format!("--replicas={replicas}");
        self.kubectl.run(&["scale", DEPLOYMENT, &replicas])?;
        Ok(())
    }
}

impl Stopped {
    /// Starts it again.
    pub(crate) fn start(mut self) -> Result<()> {
        self.operator
            .take()
            .map_or(Ok(()), |operator| operator.scale(1))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Some(operator) = self.operator.take()
            && let Err(error) = operator.scale(1)
        {
            println!("the operator is not started again: {error:#}");
        }
    }
}
