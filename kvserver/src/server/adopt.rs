//! Taking a placement: durable first, then in force, then every older write is waited for.

use std::sync::atomic::Ordering;

use kvcore::{
    placement::Placement,
    wire::{Refusal, Reply},
};

use super::{Failed, Server};
use crate::{authority::Offer, log::disk::Disk, member_files::write_placement, sessions};

impl<D: Disk> Server<D> {
    /// Takes a placement if it is newer. [`Reply::Adopted`] means: durable, older requests are
    /// refused from now on, and no older write is still under way.
    pub(super) async fn adopt(&self, offered: Placement) -> Result<Reply, Failed> {
        let _one_at_a_time = self.0.adopting.lock().await;
        let offer = self.0.authority.read().judge(&offered);
        match offer {
            Offer::Refuse(refusal) => return Err(refusal.into()),
            Offer::Known => {}
            Offer::Take => self.take(offered).await?,
        }
        if !self.0.writer.barrier().await {
            return Err(Failed::Lost("the writer is gone".to_owned()));
        }
        let placement = self.placement().expect("one is in force");
        let drained = &self.0.drained;
        drained.fetch_max(placement.epoch().0, Ordering::AcqRel);
        Ok(Reply::Adopted {
            epoch: placement.epoch(),
            digest: placement.digest(),
        })
    }

    async fn take(&self, placement: Placement) -> Result<(), Failed> {
        // Before the placement is in force: who has acknowledged it takes writes of these slots.
        self.open_sessions(&placement).await?;
        let (directory, offered) = (self.0.directory.clone(), placement.clone());
        let written =
            tokio::task::spawn_blocking(move || write_placement(&directory, &offered)).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(Refusal::Placement(error.to_string()).into()),
            Err(error) => return Err(Failed::Lost(error.to_string())),
        }
        let epoch = placement.epoch();
        tracing::info!(%epoch, cluster = %placement.cluster(), "placement in force");
        {
            let closed = sessions::closed(&placement, &self.0.slot_table.read());
            let mut authority = self.0.authority.write();
            authority.put_in_force(placement);
            authority.close(&closed);
        }
        self.0.epoch.send_replace(epoch);
        Ok(())
    }
}
