//! Room for the large values that a broker holds: bytes, shared by all connections.
//!
//! A read takes room by its value's length, before the first chunk is asked for. The room stays
//! with the value's bytes and goes back when the last of them is dropped.
//!
//! Shares are taken in one order, so that nobody waits in a circle: of a line, of a reply (both
//! in [`crate::line`]), a turn to scan, a turn to work, room for a value. Who holds room waits for members alone,
//! by a deadline; a scan, which may hold several values, waits for what its first key needs and
//! only tries for the others.

use std::sync::Arc;

use bytes::Bytes;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::machine::Failure;

/// Whether a read may wait for what others hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Until its deadline.
    Wait,
    /// Not at all.
    Try,
}

/// All the room there is.
#[derive(Debug)]
pub(super) struct LargeValues {
    room: Arc<Semaphore>,
    bytes: usize,
}

/// Room that one value takes.
#[derive(Debug)]
pub(super) struct Room {
    /// Held, not read.
    _share: OwnedSemaphorePermit,
}

/// Bytes, and the room they take.
struct Housed {
    bytes: Bytes,
    /// Held, not read.
    _room: Room,
}

impl LargeValues {
    pub(super) fn new(bytes: usize) -> Self {
        let bytes = bytes.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self {
            room: Arc::new(Semaphore::new(bytes)),
            bytes,
        }
    }

    /// Room for a value of so many bytes; for one that is larger than all of it, all of it.
    pub(super) async fn room_for(
        &self,
        bytes: usize,
        patience: Patience,
        deadline: Instant,
    ) -> Result<Room, Failure> {
        let began = Instant::now();
        let room = match patience {
            Patience::Try => self.try_room_for(bytes),
            Patience::Wait => {
                let room = Arc::clone(&self.room).acquire_many_owned(self.share(bytes));
                let share = timeout_at(deadline, room).await.ok().and_then(Result::ok);
                share.map(|share| Room { _share: share })
            }
        };
        room.ok_or_else(|| Failure::NoRoom {
            bytes,
            waited_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// The same, without waiting.
    pub(super) fn try_room_for(&self, bytes: usize) -> Option<Room> {
        let share = Arc::clone(&self.room).try_acquire_many_owned(self.share(bytes));
        share.ok().map(|share| Room { _share: share })
    }

    fn share(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.bytes)).unwrap_or(u32::MAX)
    }
}

impl Room {
    /// Bytes that keep the room until the last of them is dropped.
    pub(super) fn house(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Housed { bytes, _room: self })
    }
}

impl AsRef<[u8]> for Housed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
