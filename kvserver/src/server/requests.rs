//! Carrying out requests for data under tokio.

use kvcore::wire::{Refusal, Reply, Request};
use tokio::sync::oneshot;

use super::{
    Failed, Server,
    work::{Read, Work, judge},
};
use crate::log::disk::Disk;

/// The request's name in metrics.
pub(super) fn kind(request: &Request) -> &'static str {
    match request {
        Request::Ping => "ping",
        Request::FetchPlacement => "fetch_placement",
        Request::Adopt(_) => "adopt",
        Request::Get { .. } => "get",
        Request::GetVersion { .. } => "get_version",
        Request::GetChunk { .. } => "get_chunk",
        Request::Put { .. } => "put",
        Request::PutChunk { .. } => "put_chunk",
        Request::Scan { .. } => "scan",
        Request::Digests { .. } => "digests",
        Request::Buckets { .. } => "buckets",
        Request::Versions { .. } => "versions",
    }
}

/// A request that was let in.
enum Begun {
    Read(Read),
    Queued(oneshot::Receiver<Reply>),
}

impl<D: Disk> Server<D> {
    /// Carries out a request for data of slots.
    pub(super) async fn serve(&self, request: Request) -> Result<Reply, Failed> {
        match self.begin(request)? {
            Begun::Read(read) => self.read(read).await,
            Begun::Queued(reply) => reply
                .await
                .map_err(|_| Failed::Lost("the writer ended before it answered".to_owned())),
        }
    }

    /// Queues a write under the epoch's lock: once a newer placement is in force, every older
    /// write is ahead of whatever waits for the queue to drain.
    fn begin(&self, request: Request) -> Result<Begun, Refusal> {
        let authority = self.0.authority.read();
        Ok(match judge(&authority, request, self.0.clock.now())? {
            Work::Read(read) => Begun::Read(read),
            Work::Write(write) => Begun::Queued(self.0.writer.write(write)?),
        })
    }

    /// Reads where it does not block the runtime.
    async fn read(&self, read: Read) -> Result<Reply, Failed> {
        let store = &self.0.store;
        if !read.may_block(store.mode()) {
            return Ok(read.carry_out(store)?);
        }
        let store = store.clone();
        let done = tokio::task::spawn_blocking(move || read.carry_out(&store)).await;
        let done = done.map_err(|error| Refusal::NotServing(error.to_string()))?;
        Ok(done?)
    }
}
