//! Carrying out requests for data under tokio.

use std::sync::atomic::Ordering;

use kvcore::{
    placement::Epoch,
    wire::{Refusal, Reply, Request},
};
use tokio::sync::oneshot;

use super::{
    Failed, Server,
    work::{Read, Work, judge},
};
use crate::{authority::Admitted, log::disk::Disk};

/// A request that was let in.
pub(super) enum Begun {
    /// It needed nothing that is waited for.
    Here(Reply),
    /// It has to be waited for.
    Waits(Waits),
}

/// What a request waits for.
pub(super) enum Waits {
    /// A read that may wait for the disk, and what it was let in for.
    Disk(Box<(Read, Admitted)>),
    /// A write that is queued.
    Commit(oneshot::Receiver<Reply>),
}

impl<D: Disk> Server<D> {
    /// Begins a request for data of slots.
    ///
    /// Queues a write under the epoch's lock: once a newer placement is in force, every older
    /// write is ahead of whatever waits for the queue to drain. What is looked up at once is looked up
    /// under it, too; what has to wait is held against the placement again: by then the slot may be
    /// somebody else's, and its records gone.
    pub(super) fn begin(&self, request: Request) -> Result<Begun, Refusal> {
        let authority = self.0.authority.read();
        // What every comparison begins with: who is copied from must have nothing under way that was
        // let in by an older placement (R4).
        let drained = Epoch(self.0.drained.load(Ordering::Acquire));
        if matches!(request, Request::Digests { .. }) && drained < authority.epoch() {
            return Err(Refusal::BehindEpoch { have: drained });
        }
        let store = &self.0.store;
        Ok(match judge(&authority, request, self.0.clock.now())? {
            Work::Write(write) => Begun::Waits(Waits::Commit(self.0.writer.write(write)?)),
            Work::Read(read, admitted) if read.may_block(store.mode()) => {
                Begun::Waits(Waits::Disk(Box::new((read, admitted))))
            }
            Work::Read(read, _) => Begun::Here(read.carry_out(store)?),
        })
    }
}

impl Waits {
    /// Waits for it.
    pub(super) async fn end<D: Disk>(self, server: &Server<D>) -> Result<Reply, Failed> {
        match self {
            Self::Disk(read) => {
                let (read, admitted) = *read;
                let store = server.0.store.clone();
                // Where it does not block the runtime.
                let done = tokio::task::spawn_blocking(move || read.carry_out(&store)).await;
                let done = done.map_err(|error| Refusal::NotServing(error.to_string()))?;
                // Before what was found is believed: a slot that was emptied looks damaged, or blank.
                server.0.authority.read().admits_still(&admitted)?;
                Ok(done?)
            }
            Self::Commit(reply) => reply
                .await
                .map_err(|_| Failed::Lost("the writer ended before it answered".to_owned())),
        }
    }
}
