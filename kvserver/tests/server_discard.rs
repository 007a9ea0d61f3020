//! Emptying slots of a member at work: in order with its writes, and known to its next start.

// Test helpers outside of #[test] functions may unwrap too; test numbers are small.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::{fs, path::Path, pin::pin, sync::Arc};

use futures_util::poll;
use kvcore::{
    placement::Epoch,
    slot::{Slot, SlotSet},
    status::{StorageMode, SyncMode},
    wire::{Reply, Standing},
};
use kvnet::clock::SystemClock;
use kvserver::{
    limits::SLOT_TABLE_BYTES_MAX,
    log::disk::{directory::Directory, memory::MemoryDisk},
    member_files::{
        MemberFileError, member_id, read_slot_table,
        slot_table::{SessionState, SlotTable},
        write_slot_table,
    },
    process::{self, ServerOptions, StartError},
    store::{self, StoreOptions, ValidFrom, writer::NotNoted},
    writer_thread::{NotDiscarded, WriterThread},
};

#[path = "fixture/members.rs"]
mod members;
#[path = "fixture/records.rs"]
mod records;

use members::{Reachable, secret};
use records::{keys_of_one_slot, options, payload, put, small, value, version};

fn only(slot: Slot) -> SlotSet {
    std::iter::once(slot).collect()
}

/// Everything is queued while the thread is held up, so that it all comes in one go.
#[tokio::test(flavor = "multi_thread")]
async fn slots_are_emptied_in_order_with_writes() {
    let disk = Arc::new(MemoryDisk::new());
    let opened = records::open(&disk, &options(StorageMode::Memory));
    let clock = Arc::new(SystemClock);
    let writer = WriterThread::start(opened.writer, SyncMode::Always, clock).unwrap();
    let key = keys_of_one_slot(1).remove(0);
    let write = |number: u64| {
        let record = small(number, payload(number, 30));
        writer.write(put(&key, record)).unwrap()
    };
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let mut held_up = pin!(writer.discard(SlotSet::empty(), move |_| {
        wait.recv().unwrap();
        Ok(())
    }));
    assert!(poll!(&mut held_up).is_pending());
    let mut replies = Vec::new();
    let mut discards = Vec::new();
    for number in [90, 60, 30] {
        replies.push((number, write(number), true));
        // The one above is in the way of this, and of none behind the next discard.
        replies.push((number, write(number - 5), false));
        let mut discard = Box::pin(writer.discard(only(key.slot()), |_| Ok(())));
        assert!(poll!(&mut discard).is_pending());
        discards.push(discard);
    }
    let last = write(3);
    go.send(()).unwrap();
    let mut place = held_up.await.unwrap();
    for discard in discards {
        let next = discard.await.unwrap();
        assert!(next > place);
        place = next;
    }
    for (number, reply, is_stored) in replies {
        let standing = Standing::Voter;
        let by = version(number);
        match reply.await.unwrap() {
            reply if is_stored => assert_eq!(reply, Reply::Stored { standing }),
            reply => assert_eq!(reply, Reply::Superseded { by }),
        }
    }
    let standing = Standing::Voter;
    assert_eq!(last.await.unwrap(), Reply::Stored { standing });
    let found = value(&opened.store, &key);
    assert_eq!(found, Some((version(3), payload(3, 30))));
    writer.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_learns_why_slots_were_not_emptied() {
    let disk = Arc::new(MemoryDisk::new());
    let opened = records::open(&disk, &options(StorageMode::Memory));
    let clock = Arc::new(SystemClock);
    let writer = WriterThread::start(opened.writer, SyncMode::Always, clock).unwrap();
    let all = || Slot::all().collect::<SlotSet>();
    let unknown = |_| Err(NotNoted::Unknown("nobody knows".to_owned()));
    let refused = writer.discard(all(), unknown).await.unwrap_err();
    assert!(matches!(refused, NotDiscarded::Refused(_)), "{refused}");
    assert!(refused.to_string().contains("nobody knows"), "{refused}");
    members::until("status says so", || writer.has_failed()).await;
    writer.stop().await.unwrap_err();
    let refused = writer.discard(all(), |_| Ok(())).await.unwrap_err();
    assert!(matches!(refused, NotDiscarded::Lost), "{refused}");
}

fn server_options(directory: &Path) -> ServerOptions {
    ServerOptions {
        data_dir: directory.to_owned(),
        peer: None,
        admin: None,
        secret: secret(),
        store: StoreOptions {
            mode: StorageMode::Disk,
            ..StoreOptions::default()
        },
    }
}

async fn start(directory: &Path) -> Result<process::Running, StartError> {
    process::start(server_options(directory), Arc::new(Reachable::default())).await
}

/// The program reads the table when it starts.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_member_discarded_stays_so_over_its_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let keys = keys_of_one_slot(3);
    let slot = keys[0].slot();
    let running = start(path).await.unwrap();
    let writer = running.server().writer();
    let write = async |number: u64| {
        let record = small(number, payload(number, 30));
        let reply = writer.write(put(&keys[0], record)).unwrap().await.unwrap();
        assert!(matches!(reply, Reply::Stored { .. }), "{reply:?}");
    };
    write(9).await;
    let noted = path.to_owned();
    let place = writer.discard(only(slot), move |place| {
        let mut table = read_slot_table(&noted)?;
        table.begin_copying(slot, Epoch(4), place).unwrap();
        write_slot_table(&noted, &table)?;
        Ok(())
    });
    let place = place.await.unwrap();
    write(2).await;
    running.stop().await.unwrap();
    let table = read_slot_table(path).unwrap();
    assert_eq!(table.valid_from().of(slot), place);
    let session = table.session(slot).unwrap();
    assert_eq!(session.state, SessionState::Copying);
    for _ in 0..2 {
        let running = start(path).await.unwrap();
        let found = running.server().store().get(&keys[0]).unwrap().1;
        assert_eq!(found.map(|record| record.version), Some(version(2)));
        running.stop().await.unwrap();
    }
    // Without the table the older record, of a higher version, would be back.
    let disk = Arc::new(Directory::open(path).unwrap());
    let id = member_id(path).unwrap().0.as_u128();
    let opened = store::open(disk, server_options(path).store, id, &ValidFrom::default()).unwrap();
    assert_eq!(opened.store.known_version(&keys[0]), Some(version(9)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_table_stops_the_start_and_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    start(path).await.unwrap().stop().await.unwrap();
    let mut table = SlotTable::default();
    for slot in Slot::all().take(5) {
        let place = kvserver::log::LogPlace {
            segment: kvserver::log::SegmentId(1),
            offset: 100,
        };
        table.set_discarded(slot, place).unwrap();
    }
    write_slot_table(path, &table).unwrap();
    assert_eq!(read_slot_table(path).unwrap(), table);
    let (file, unfinished) = (path.join("slots.json"), path.join("slots.json.new"));
    assert!(!unfinished.exists());
    // What a crash leaves of a table that was being written counts for nothing.
    fs::write(&unfinished, "{").unwrap();
    start(path).await.unwrap().stop().await.unwrap();
    let good = fs::read_to_string(&file).unwrap();
    let (changed, long) = (
        good.replace("100", "101"),
        " ".repeat(SLOT_TABLE_BYTES_MAX + 1),
    );
    for bad in ["", "{", "[]", &good[..good.len() / 2], &changed, &long] {
        fs::write(&file, bad).unwrap();
        let error = start(path).await.map(|_| ()).unwrap_err();
        let is_it = matches!(&error, StartError::Files(MemberFileError::SlotTable { .. }));
        let text = error.to_string();
        assert!(is_it && text.contains("slots.json is damaged"), "{text}");
        assert!(text.contains("let a new member begin"), "{text}");
    }
    // With the table alone a directory is not a new one.
    fs::write(&file, good).unwrap();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("segment-") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let error = start(path).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, StartError::LogGone { .. }), "{error}");
}

/// Where it was renamed and the directory not synced, whether it was written is not known.
#[test]
fn an_error_says_whether_the_table_may_have_been_written() {
    let directory = tempfile::tempdir().unwrap();
    let gone = directory.path().join("gone");
    let error = write_slot_table(&gone, &SlotTable::default()).unwrap_err();
    assert!(matches!(error, MemberFileError::Io { .. }), "{error}");
    assert!(matches!(NotNoted::from(error), NotNoted::NotDone(_)));
    let error = MemberFileError::Unsure {
        path: gone,
        source: std::io::Error::other("no"),
    };
    assert!(matches!(NotNoted::from(error), NotNoted::Unknown(_)));
}
