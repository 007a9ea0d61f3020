//! Requests for data.

use kvcore::{
    key::Key,
    record::Record,
    slot::SlotSet,
    wire::{Intent, Refusal, Reply, Request, Scope, ScopedSlots, Want},
};

use super::{Failed, Server};
use crate::{
    authority::admit_version,
    log::disk::Disk,
    store::{ReadFailure, ScanRequest, Store, writer::Write},
};

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

impl From<ReadFailure> for Failed {
    fn from(failure: ReadFailure) -> Self {
        Self::Refused(match failure {
            ReadFailure::Damaged(slot) => Refusal::Damaged(slot),
            ReadFailure::Replaced => Refusal::Gone,
            ReadFailure::Disk(why) => Refusal::NotServing(format!("unable to read: {why}")),
        })
    }
}

impl<D: Disk> Server<D> {
    /// Carries out a request for data of slots.
    pub(super) async fn serve(&self, request: Request) -> Result<Reply, Failed> {
        match request {
            Request::Get { scope, key } => {
                self.admit_key(&scope, &key)?;
                let (standing, record) = self.read(move |store| store.get(&key)).await??;
                Ok(Reply::Record { standing, record })
            }
            Request::GetVersion { scope, key } => {
                self.admit_key(&scope, &key)?;
                let (standing, found) = self.0.store.version(&key)?;
                Ok(Reply::Version { standing, found })
            }
            Request::GetChunk {
                scope,
                key,
                version,
                index,
            } => {
                self.admit_key(&scope, &key)?;
                let chunk = self
                    .read(move |store| store.chunk(&key, version, index))
                    .await??;
                Ok(Reply::Chunk(chunk))
            }
            Request::Put {
                scope,
                key,
                record,
                intent,
            } => self.put(&scope, key, record, intent).await,
            Request::PutChunk {
                scope,
                upload,
                index,
                bytes,
            } => {
                let slot = scope.slot;
                self.write(
                    &scope,
                    Write::Chunk {
                        upload,
                        slot,
                        index,
                        bytes,
                    },
                )
                .await
            }
            Request::Scan {
                scope,
                prefix,
                after,
                limit,
                want,
            } => {
                self.admit_slots(&scope)?;
                let page = self
                    .read_for(want, move |store| {
                        store.scan(&ScanRequest {
                            slots: &scope.slots,
                            prefix: &prefix,
                            after: after.as_ref().map(Key::as_bytes),
                            limit: usize::from(limit),
                            want,
                        })
                    })
                    .await?;
                Ok(Reply::Page(page))
            }
            Request::Digests { scope } => {
                self.admit_slots(&scope)?;
                Ok(Reply::Digests(self.digests(&scope.slots)))
            }
            Request::Buckets { scope } => {
                self.admit(&scope)?;
                Ok(Reply::Buckets(self.0.store.buckets(scope.slot)))
            }
            Request::Versions {
                scope,
                buckets,
                after,
            } => {
                self.admit(&scope)?;
                let after = after.as_ref().map(Key::as_bytes);
                Ok(Reply::Versions(
                    self.0.store.versions(scope.slot, &buckets, after),
                ))
            }
            Request::Ping | Request::FetchPlacement | Request::Adopt(_) => {
                Err(Refusal::Invalid("not a request for data".to_owned()).into())
            }
        }
    }

    fn digests(&self, slots: &SlotSet) -> Vec<kvcore::wire::SlotDigest> {
        slots.iter().map(|slot| self.0.store.digest(slot)).collect()
    }

    async fn put(
        &self,
        scope: &Scope,
        key: Key,
        record: Record,
        intent: Intent,
    ) -> Result<Reply, Failed> {
        check_slot(scope, &key)?;
        admit_version(record.version, intent, self.0.clock.now())?;
        self.write(scope, Write::Put { key, record }).await
    }

    /// Queues a write under the epoch's lock: once a newer placement is in force, every older
    /// write is ahead of whatever waits for the queue to drain.
    async fn write(&self, scope: &Scope, write: Write) -> Result<Reply, Failed> {
        let reply = {
            let authority = self.0.authority.read();
            authority.admit(scope, self.0.clock.now())?;
            self.0.writer.write(write)?
        };
        reply
            .await
            .map_err(|_| Failed::Lost("the writer ended before it answered".to_owned()))
    }

    fn admit(&self, scope: &Scope) -> Result<(), Refusal> {
        self.0.authority.read().admit(scope, self.0.clock.now())
    }

    fn admit_slots(&self, scope: &ScopedSlots) -> Result<(), Refusal> {
        self.0
            .authority
            .read()
            .admit_slots(scope, self.0.clock.now())
    }

    fn admit_key(&self, scope: &Scope, key: &Key) -> Result<(), Refusal> {
        check_slot(scope, key)?;
        self.admit(scope)
    }

    /// Reads where it does not block the runtime.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store<D>) -> T + Send + 'static,
    ) -> Result<T, Failed> {
        if !self.reads_block() {
            return Ok(read(&self.0.store));
        }
        let store = self.0.store.clone();
        let done = tokio::task::spawn_blocking(move || read(&store)).await;
        done.map_err(|error| Refusal::NotServing(error.to_string()).into())
    }

    async fn read_for<T: Send + 'static>(
        &self,
        want: Want,
        read: impl FnOnce(&Store<D>) -> T + Send + 'static,
    ) -> Result<T, Failed> {
        match want {
            Want::Versions => Ok(read(&self.0.store)),
            Want::Values => self.read(read).await,
        }
    }
}

fn check_slot(scope: &Scope, key: &Key) -> Result<(), Refusal> {
    let slot = key.slot();
    if slot == scope.slot {
        Ok(())
    } else {
        Err(Refusal::Invalid(format!(
            "key {key} lies in slot {slot}, not in {}",
            scope.slot
        )))
    }
}
