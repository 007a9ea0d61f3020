//! Readers that a slot is emptied under.

use std::sync::atomic::{AtomicBool, Ordering};

use kvserver::store;
use parking_lot::Mutex;

use super::{meanwhile::BusyDisk, *};

/// Compacts until the files in which the slot's records were are gone, the last one included.
fn wash_out(member: &mut Member, at: u64) {
    let stays = &kept()[35];
    for number in 0..3 {
        member.write(stays, small(at * 10 + number, payload(number, 4_100)));
    }
    compact(&mut member.opened.writer);
}

#[test]
fn a_value_that_is_being_read_is_gone_and_not_damaged() {
    for mode in MODES {
        for is_washed in [false, true] {
            let mut member = Member::new(mode);
            member.fill();
            let store = member.opened.store.clone();
            let key = &emptied()[1];
            store.chunk(key, version(102), 0).unwrap();
            member.discard_one();
            if is_washed {
                wash_out(&mut member, 200);
            }
            let end = store.chunk(key, version(102), 1).unwrap_err();
            assert!(matches!(end, ReadFailure::Replaced), "{end}");
            assert_eq!((store.losses(), store.damage_met()), (0, 0));
            assert_eq!(store.standing(key.slot()), Standing::Voter);
        }
    }
}

/// Readers look a place up, and read it when the slot may have been emptied and its segment removed.
/// They find the record, or that it is gone, and never damage; nor does compaction.
#[test]
fn nothing_is_taken_for_damage_while_slots_are_emptied() {
    let mut member = Member::new(StorageMode::Disk);
    let (key, large_key) = (emptied()[3].clone(), emptied()[1].clone());
    let is_over = AtomicBool::new(false);
    let store = member.opened.store.clone();
    let rounds = 10;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (store, key, large_key) = (store.clone(), &key, &large_key);
            let is_over = &is_over;
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    // On a machine with few cores the writer has to come through.
                    std::thread::yield_now();
                    match store.get(key) {
                        Ok((Standing::Voter, _)) | Err(ReadFailure::Emptied(_)) => {}
                        other => panic!("{other:?}"),
                    }
                    let Some(version) = store.known_version(large_key) else {
                        continue;
                    };
                    for index in 0..3 {
                        match store.chunk(large_key, version, index) {
                            Ok(_) | Err(ReadFailure::Replaced) => {}
                            Err(other) => panic!("{other}"),
                        }
                    }
                }
            });
        }
        for round in 1..=rounds {
            let bytes = payload(round, LENGTH);
            member.write(&key, small(round, payload(round, 500)));
            let upload = u128::from(round);
            put_large(&mut member.opened.writer, &large_key, round, upload, &bytes);
            member.discard_one();
            wash_out(&mut member, 300 + round);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!((store.losses(), store.damage_met()), (0, 0));
    assert_eq!(store.slots_with(Standing::Voter).len(), SLOTS);
    member.assert_empty();
}

/// Bytes that cannot be read are no damage where the slot was emptied before they were missed; and
/// that the record is not there any more is not to be told as if it had never been.
#[test]
fn a_read_that_fails_after_the_slot_was_emptied_finds_no_damage() {
    let (small_key, large_key) = (emptied()[0].clone(), emptied()[1].clone());
    for is_large in [false, true] {
        let disk = BusyDisk::default();
        let options = options(StorageMode::Disk);
        let table = ValidFrom::default();
        let opened = store::open(Arc::new(disk.clone()), options, 7, &table).unwrap();
        let (store, writer) = (opened.store, Arc::new(Mutex::new(opened.writer)));
        let mut writes = chunks(&large_key, 1, &payload(1, LENGTH));
        writes.push(put(&large_key, large(1, 1, LENGTH)));
        writes.push(put(&small_key, small(1, payload(2, 500))));
        writer.lock().commit(writes, NOW);
        let (thread, slot) = (Arc::clone(&writer), small_key.slot());
        disk.during_next_read(move || {
            let mut writer = thread.lock();
            writer.discard(&only(slot), |_| Ok(())).unwrap();
            // Another record in another place is another one.
            let again = put(&emptied()[2], small(1, payload(2, 500)));
            writer.commit(vec![again], NOW);
        });
        let error = if is_large {
            store.chunk(&large_key, version(1), 1).unwrap_err()
        } else {
            store.get(&small_key).unwrap_err()
        };
        match error {
            ReadFailure::Replaced => assert!(is_large),
            ReadFailure::Emptied(of) => assert!(!is_large && of == slot),
            other => panic!("{other}"),
        }
        assert_eq!((store.losses(), store.standing(slot)), (0, Standing::Voter));
        assert_eq!(store.get(&small_key).unwrap(), (Standing::Voter, None));
        let found = store.get(&emptied()[2]).unwrap().1;
        assert_eq!(found, Some(small(1, payload(2, 500))));
    }
}
