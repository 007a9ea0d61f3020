//! Slots that move, in the shell: emptied where a session begins or ends, and reported.

use std::{collections::BTreeMap, sync::Arc};

use kvcore::{
    placement::{Epoch, Placement},
    slot::{Slot, SlotSet},
    status::{SlotSession, SyncMode},
    wire::Refusal,
};

use super::{Failed, Server};
use crate::{
    authority::Authority,
    catch_up::round::Pulled,
    log::{LogPlace, disk::Disk},
    member_files::{
        slot_table::{SlotTable, SlotTableError},
        write_slot_table,
    },
    sessions,
    store::writer::NotNoted,
    writer_thread::NotDiscarded,
};

impl<D: Disk> Server<D> {
    /// Empties the slots that this member joins by the placement, which is about to be in force.
    /// Called by the one adoption under way.
    pub(super) async fn open_sessions(&self, placement: &Placement) -> Result<(), Failed> {
        let slots = {
            let table = self.0.slot_table.read();
            sessions::to_open(placement, self.member(), &table)
        };
        if slots.is_empty() {
            return Ok(());
        }
        // What is asked by an older placement from now on would find them empty.
        self.0.authority.write().close(&slots);
        let (of, opened) = (placement.clone(), slots.clone());
        let change = move |table: &SlotTable, place| sessions::opened(table, &of, &opened, place);
        self.empty(slots, change).await.map_err(|error| {
            let refused = |error: NotDiscarded| Refusal::Placement(error.to_string()).into();
            match error {
                NotDiscarded::Lost => Failed::Lost(error.to_string()),
                NotDiscarded::Refused(_) => refused(error),
            }
        })
    }

    /// Empties slots that enough owners have everything of, unless they changed meanwhile.
    pub(crate) async fn give(&self, mut slots: BTreeMap<Slot, Epoch>) {
        let _in_turn = self.0.adopting.lock().await;
        let Some(placement) = self.placement() else {
            return;
        };
        {
            let table = self.0.slot_table.read();
            slots.retain(|&slot, since| {
                placement.slot(slot).since() == *since && !sessions::is_given(&table, slot, *since)
            });
        }
        if slots.is_empty() {
            return;
        }
        let emptied: SlotSet = slots.keys().copied().collect();
        let count = slots.len();
        let change = move |table: &SlotTable, place| sessions::given(table, &slots, place);
        match self.empty(emptied, change).await {
            Ok(()) => tracing::info!(slots = count, "handed over; they are dropped here"),
            Err(error) => tracing::warn!(%error, slots = count, "handed over, but not dropped"),
        }
    }

    /// Notes whom slots that are copied were had from, once all of it is durable.
    pub(crate) async fn note_pulled(&self, pulled: Pulled) {
        let progress = &self.0.progress;
        if progress.pulled() == pulled {
            return;
        }
        // Where writes are not synced before they are answered, what was copied is not either.
        let is_durable = self.0.options.sync == SyncMode::Always || {
            let nothing = SlotSet::empty();
            self.0.writer.discard(nothing, |_| Ok(())).await.is_ok()
        };
        if is_durable {
            progress.set_pulled(pulled);
        }
    }

    /// Empties slots once the changed table is durable.
    async fn empty(
        &self,
        slots: SlotSet,
        change: impl FnOnce(&SlotTable, LogPlace) -> Result<SlotTable, SlotTableError> + Send + 'static,
    ) -> Result<(), NotDiscarded> {
        let inner = Arc::clone(&self.0);
        let note = move |place| {
            let changed = change(&inner.slot_table.read(), place);
            let changed = changed.map_err(|error| NotNoted::NotDone(error.to_string()))?;
            write_slot_table(&inner.directory, &changed)?;
            *inner.slot_table.write() = changed;
            Ok(())
        };
        self.0.writer.discard(slots, note).await.map(drop)
    }

    /// What it has done for slots that move, for `/status`.
    pub(super) fn sessions(&self, authority: &Authority) -> Vec<SlotSession> {
        let Some(placement) = authority.placement() else {
            return Vec::new();
        };
        let table = self.0.slot_table.read();
        let progress = &self.0.progress;
        let done = (&progress.pulled(), &progress.given_to());
        sessions::report(placement, self.member(), &table, done)
    }
}
