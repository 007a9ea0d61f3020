//! No API server for a while.

use super::Fault;
use crate::{
    cluster::Cluster,
    control_plane::{Part, wait_ready},
    error::Result,
};

impl Cluster {
    /// Ends the API server at once. What it knows is in etcd, and is there again when the fault is mended.
    pub fn stop_api_server(&self) -> Result<Fault> {
        Part::ApiServer.stop(self.home())?;
        let cluster = self.clone();
        Ok(Fault::new("no API server".to_owned(), move || {
            cluster.start_api_server()
        }))
    }

    /// Starts the API server, unless it runs, and waits until it answers.
    pub fn start_api_server(&self) -> Result<()> {
        Part::ApiServer.start(self.home(), self.programs())?;
        wait_ready(self.home())
    }
}
