//! Carrying out requests for data under tokio.

use kvcore::wire::{Refusal, Reply, Request};
use tokio::sync::oneshot;

use super::{
    Failed, Server,
    work::{Read, Work, judge},
};
use crate::log::disk::Disk;

/// A request that was let in.
pub(super) enum Begun {
    /// It needed nothing that is waited for.
    Here(Reply),
    /// It has to be waited for.
    Waits(Waits),
}

/// What a request waits for.
pub(super) enum Waits {
    /// A read that may wait for the disk.
    Disk(Read),
    /// A write that is queued.
    Commit(oneshot::Receiver<Reply>),
}

impl<D: Disk> Server<D> {
    /// Begins a request for data of slots.
    ///
    /// Queues a write under the epoch's lock: once a newer placement is in force, every older
    /// write is ahead of whatever waits for the queue to drain.
    pub(super) fn begin(&self, request: Request) -> Result<Begun, Refusal> {
        let authority = self.0.authority.read();
        let read = match judge(&authority, request, self.0.clock.now())? {
            Work::Write(write) => {
                let reply = self.0.writer.write(write)?;
                return Ok(Begun::Waits(Waits::Commit(reply)));
            }
            Work::Read(read) => read,
        };
        drop(authority);
        let store = &self.0.store;
        Ok(if read.may_block(store.mode()) {
            Begun::Waits(Waits::Disk(read))
        } else {
            Begun::Here(read.carry_out(store)?)
        })
    }
}

impl Waits {
    /// Waits for it.
    pub(super) async fn end<D: Disk>(self, server: &Server<D>) -> Result<Reply, Failed> {
        match self {
            Self::Disk(read) => {
                let store = server.0.store.clone();
                // Where it does not block the runtime.
                let done = tokio::task::spawn_blocking(move || read.carry_out(&store)).await;
                let done = done.map_err(|error| Refusal::NotServing(error.to_string()))?;
                Ok(done?)
            }
            Self::Commit(reply) => reply
                .await
                .map_err(|_| Failed::Lost("the writer ended before it answered".to_owned())),
        }
    }
}
