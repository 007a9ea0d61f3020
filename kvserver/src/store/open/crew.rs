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

/// Bytes of records that wait for a thread: enough for it not to wait in turn while a disk is slow
/// for a moment.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

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
    /// As many as there may be, once there was something to hand over.
    hands: Vec<ScopedJoinHandle<'scope, Share<'env>>>,
    queue: Arc<Queue>,
    /// What this thread puts in.
    here: Share<'env>,
}

/// What waits to be put in.
#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    sheaves: VecDeque<Sheaf>,
    /// Bytes of these.
    bytes: usize,
    /// Sheaves that were put in, for their memory.
    done: Vec<Sheaf>,
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
            hands: Vec::new(),
            queue: Arc::default(),
            here: Share::new(shelves),
        }
    }

    /// Has records put in, by whom and when ever; gives back a sheaf that is not needed any more.
    pub(super) fn give(&mut self, sheaf: Sheaf) -> Option<Sheaf> {
        let Opening::With(threads) = self.opening else {
            self.here.put_in(&sheaf);
            return Some(sheaf);
        };
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
        match self.queue.offer(sheaf) {
            Some(sheaf) => {
                self.here.put_in(&sheaf);
                Some(sheaf)
            }
            None => self.queue.state.lock().done.pop(),
        }
    }

    /// Has the last records put in, and waits until all are.
    pub(super) fn finish(mut self, rest: impl Iterator<Item = Sheaf>) -> Share<'env> {
        for sheaf in rest {
            if self.hands.is_empty() {
                self.here.put_in(&sheaf);
            } else {
                let _ = self.give(sheaf);
            }
        }
        self.queue.close();
        let mut here = std::mem::replace(&mut self.here, Share::new(self.shelves));
        while let Some(sheaf) = self.queue.next() {
            here.put_in(&sheaf);
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
            while let Some(sheaf) = queue.next() {
                share.put_in(&sheaf);
                queue.state.lock().done.push(sheaf);
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

impl State {
    fn take(&mut self) -> Option<Sheaf> {
        let sheaf = self.sheaves.pop_front()?;
        self.bytes -= sheaf.bytes();
        Some(sheaf)
    }
}

impl Queue {
    /// Takes a sheaf on; gives one back where too many wait.
    fn offer(&self, sheaf: Sheaf) -> Option<Sheaf> {
        let mut state = self.state.lock();
        state.bytes += sheaf.bytes();
        state.sheaves.push_back(sheaf);
        if state.bytes > WAITING_BYTES_MAX {
            return state.take();
        }
        drop(state);
        self.changed.notify_one();
        None
    }

    /// The next sheaf, waited for; `None` once there are no more.
    fn next(&self) -> Option<Sheaf> {
        let mut state = self.state.lock();
        loop {
            match state.take() {
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
        record::{Format, ValueMeta},
        slot::Slot,
        version::{HybridTime, Version, WriterId},
    };

    use super::{
        super::{
            super::held::{Content, Held},
            gather::{Gathered, Places},
        },
        *,
    };
    use crate::log::{Location, SegmentId};

    fn meta(length: usize) -> ValueMeta {
        ValueMeta {
            format: Format::Raw,
            flags: 0,
            expires_at: None,
            length: u32::try_from(length).expect("it is short"),
        }
    }

    fn held(number: u32) -> Held<'static> {
        Held {
            version: Version::new(HybridTime::from_bits(9), WriterId::from_random(2)),
            location: Location {
                segment: SegmentId(1),
                offset: number,
                length: 44,
            },
            content: Content::Tombstone,
        }
    }

    #[test]
    fn threads_begin_once_there_is_work_and_put_all_in() {
        let threads = NonZeroUsize::new(2).expect("not zero");
        for (records, hands) in [(100_u32, 0), (60_000, 2)] {
            let shelves = Shelves::new();
            std::thread::scope(|scope| {
                let mut crew = Crew::new(scope, &shelves, Opening::With(threads));
                let mut gathered = Gathered::new();
                for number in 0..records {
                    let key = number.to_le_bytes();
                    if let Some(sheaf) = gathered.add(Slot::of(&key), &key, &held(number)) {
                        let _ = crew.give(sheaf);
                    }
                }
                assert_eq!(crew.hands.len(), hands);
                assert_eq!(crew.finish(gathered.rest()).dead, []);
            });
            assert_eq!(shelves.tombstones(), u64::from(records));
        }
    }

    #[test]
    fn a_full_queue_gives_back_what_has_waited_longest() {
        let queue = Queue::default();
        let value = vec![7; WAITING_BYTES_MAX / 10];
        let numbered = |number: u32| {
            let mut gathered = Gathered::new();
            let held = Held {
                content: Content::InMemory(meta(value.len()), &value),
                ..held(number)
            };
            let enough = gathered.add(Slot::of(b"key"), b"key", &held);
            enough.expect("it is long")
        };
        let number = |sheaf: &Sheaf| {
            let mut places = Places::default();
            let (_, packed) = sheaf.record(sheaf.by_slot(&mut places)[0]);
            Held::unpack(packed).location.offset
        };
        for each in 0..9 {
            assert!(queue.offer(numbered(each)).is_none());
        }
        let given = queue.offer(numbered(9)).expect("it is full");
        assert_eq!(number(&given), 0);
        assert_eq!(queue.next().map(|sheaf| number(&sheaf)), Some(1));
        assert!(queue.offer(numbered(10)).is_none(), "there is room again");
        queue.close();
        let rest: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
        assert!(rest.iter().map(number).eq(2..=10));
    }
}
