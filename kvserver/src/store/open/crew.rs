//! The threads that build the tries while the log is read.

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::Arc,
    thread::{Builder, Scope, ScopedJoinHandle, available_parallelism},
};

use parking_lot::{Condvar, Mutex};

use super::{super::shelf::Shelves, gather::Sheaf, share::Share};

/// Who builds the tries while a store is opened. What is built is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// The thread that reads the log.
    Alone,
    /// This many beside it, and that one where they fall behind.
    With(NonZeroUsize),
}

/// Most threads: more would wait for the one that reads.
const THREADS_MAX: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");

/// Bytes of records that are handed over at once.
const BUNDLE_BYTES: usize = 32 * 1024;

/// Bundles that wait for a thread: enough for it not to wait in turn while a disk is slow for a
/// moment.
const BUNDLES_MAX: usize = 64;

impl Opening {
    /// As is fastest where nothing else runs.
    pub fn on_all_cores() -> Self {
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        match NonZeroUsize::new(cores - 1) {
            Some(others) => Self::With(others.min(THREADS_MAX)),
            None => Self::Alone,
        }
    }
}

/// Everybody who puts records in.
pub(super) struct Crew<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    shelves: &'env Shelves,
    opening: Opening,
    /// What is to be handed over next.
    bundle: Bundle,
    /// As many as there may be, once there was something to hand over.
    hands: Vec<ScopedJoinHandle<'scope, Share<'env>>>,
    queue: Arc<Queue>,
    /// What this thread puts in.
    here: Share<'env>,
}

#[derive(Debug, Default)]
struct Bundle {
    sheaves: Vec<Sheaf>,
    bytes: usize,
}

/// What waits to be put in.
#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bundles: VecDeque<Bundle>,
    /// Whether no more come.
    is_closed: bool,
}

impl<'scope, 'env> Crew<'scope, 'env> {
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        shelves: &'env Shelves,
        opening: Opening,
    ) -> Self {
        Self {
            scope,
            shelves,
            opening,
            bundle: Bundle::default(),
            hands: Vec::new(),
            queue: Arc::default(),
            here: Share::new(shelves),
        }
    }

    /// Has records put in, by whom and when ever.
    pub(super) fn give(&mut self, sheaf: Sheaf) {
        let Opening::With(threads) = self.opening else {
            return self.here.put_in(&sheaf);
        };
        self.bundle.bytes += sheaf.bytes();
        self.bundle.sheaves.push(sheaf);
        if self.bundle.bytes < BUNDLE_BYTES {
            return;
        }
        while self.hands.len() < threads.get() {
            let Some(hand) = self.hire() else {
                // There is no thread to be had: it goes on with those that there are.
                self.opening = match NonZeroUsize::new(self.hands.len()) {
                    Some(threads) => Opening::With(threads),
                    None => Opening::Alone,
                };
                break;
            };
            self.hands.push(hand);
        }
        let bundle = std::mem::take(&mut self.bundle);
        if let Some(bundle) = self.queue.offer(bundle) {
            self.here.put_all_in(&bundle);
        }
    }

    /// Waits until all is put in.
    pub(super) fn finish(mut self) -> Share<'env> {
        let mut here = std::mem::replace(&mut self.here, Share::new(self.shelves));
        here.put_all_in(&self.bundle);
        self.queue.close();
        while let Some(bundle) = self.queue.next() {
            here.put_all_in(&bundle);
        }
        for hand in self.hands.drain(..) {
            match hand.join() {
                Ok(share) => here.take_over(share),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        here
    }

    fn hire(&self) -> Option<ScopedJoinHandle<'scope, Share<'env>>> {
        let (mut share, queue) = (Share::new(self.shelves), Arc::clone(&self.queue));
        let named = Builder::new().name("open".to_owned());
        let spawned = named.spawn_scoped(self.scope, move || {
            while let Some(bundle) = queue.next() {
                share.put_all_in(&bundle);
            }
            share
        });
        spawned.ok()
    }
}

impl Drop for Crew<'_, '_> {
    /// However this thread ends, the others come to their end.
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Share<'_> {
    fn put_all_in(&mut self, bundle: &Bundle) {
        for sheaf in &bundle.sheaves {
            self.put_in(sheaf);
        }
    }
}

impl Queue {
    /// Takes a bundle on; gives one back where too many wait.
    fn offer(&self, bundle: Bundle) -> Option<Bundle> {
        let mut state = self.state.lock();
        state.bundles.push_back(bundle);
        if state.bundles.len() > BUNDLES_MAX {
            return state.bundles.pop_front();
        }
        drop(state);
        self.changed.notify_one();
        None
    }

    /// The next bundle, waited for; `None` once there are no more.
    fn next(&self) -> Option<Bundle> {
        let mut state = self.state.lock();
        loop {
            match state.bundles.pop_front() {
                None if !state.is_closed => self.changed.wait(&mut state),
                next => return next,
            }
        }
    }

    fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use kvcore::{
        slot::Slot,
        version::{HybridTime, Version, WriterId},
    };

    use super::{
        super::{
            super::held::{Content, Held},
            gather::Gathered,
        },
        *,
    };
    use crate::log::{Location, SegmentId};

    #[test]
    fn threads_begin_once_there_is_work_and_put_all_in() {
        let threads = NonZeroUsize::new(2).expect("not zero");
        for (records, hands) in [(100_u32, 0), (60_000, 2)] {
            let shelves = Shelves::new();
            std::thread::scope(|scope| {
                let mut crew = Crew::new(scope, &shelves, Opening::With(threads));
                let mut gathered = Gathered::new();
                for number in 0..records {
                    let held = Held {
                        version: Version::new(HybridTime::from_bits(9), WriterId::from_random(2)),
                        location: Location {
                            segment: SegmentId(1),
                            offset: number,
                            length: 44,
                        },
                        content: Content::Tombstone,
                    };
                    let key = number.to_le_bytes();
                    if let Some(sheaf) = gathered.add(Slot::of(&key), &key, &held) {
                        crew.give(sheaf);
                    }
                }
                assert_eq!(crew.hands.len(), hands);
                for sheaf in gathered.rest() {
                    crew.give(sheaf);
                }
                assert_eq!(crew.finish().dead, []);
            });
            assert_eq!(shelves.tombstones(), u64::from(records));
        }
    }

    #[test]
    fn a_full_queue_gives_back_what_has_waited_longest() {
        let queue = Queue::default();
        let bundle = |bytes| Bundle {
            sheaves: Vec::new(),
            bytes,
        };
        for number in 0..BUNDLES_MAX {
            assert!(queue.offer(bundle(number)).is_none());
        }
        let given = queue.offer(bundle(BUNDLES_MAX)).expect("it is full");
        assert_eq!(given.bytes, 0);
        queue.close();
        let rest: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
        assert!(rest.iter().map(|bundle| bundle.bytes).eq(1..=BUNDLES_MAX));
    }
}
