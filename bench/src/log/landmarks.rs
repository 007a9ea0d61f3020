//! What other stores make of the same: every record durable before its writer goes on.

use std::{sync::Arc, time::Instant};

use anyhow::Result;
use redb::TableDefinition;

use super::{Turn, value, window};
use crate::{figures::Load, records};

const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("records");

/// The crate sled.
pub(super) fn sled(turn: &mut Turn<'_>) -> Result<Load> {
    let store = sled::open(turn.directory.join("sled"))?;
    threads(turn, move |key, value| {
        store.insert(key, value)?;
        store.flush()?;
        Ok(())
    })
}

/// The crate fjall.
pub(super) fn fjall(turn: &mut Turn<'_>) -> Result<Load> {
    let store = fjall::Database::builder(turn.directory.join("fjall")).open()?;
    let records = store.keyspace("records", fjall::KeyspaceCreateOptions::default)?;
    threads(turn, move |key, value| {
        records.insert(key, value)?;
        store.persist(fjall::PersistMode::SyncData)?;
        Ok(())
    })
}

/// The crate redb.
pub(super) fn redb(turn: &mut Turn<'_>) -> Result<Load> {
    let store = redb::Database::create(turn.directory.join("redb"))?;
    threads(turn, move |key, value| {
        let transaction = store.begin_write()?;
        transaction.open_table(TABLE)?.insert(key, value)?;
        transaction.commit()?;
        Ok(())
    })
}

/// A thread a writer.
fn threads(
    turn: &Turn<'_>,
    write: impl Fn(&[u8], &[u8]) -> Result<()> + Send + Sync + 'static,
) -> Result<Load> {
    let writers = turn.writers;
    let (window, value, write) = (window(turn.lasts), value(), Arc::new(write));
    let mut all = Load::new();
    let threads = (0..writers as u64).map(|writer| {
        let (value, write) = (value.clone(), Arc::clone(&write));
        std::thread::spawn(move || -> Result<Load> {
            let mut load = Load::new();
            let mut number = writer;
            while Instant::now() < window.end {
                let since = Instant::now();
                write(records::key(number).as_bytes(), &value)?;
                window.record(&mut load, since);
                number += writers as u64;
            }
            Ok(load)
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        all.join(&thread.join().expect("a writer does not panic")?);
    }
    all.lasted(window.length());
    Ok(all)
}
