//! Power that fails, syncs that fail, and a disk that lost its end, around the emptying of a slot.

use super::*;

/// What the slot holds: the versions of its keys, zero where there is none.
fn held(member: &Member) -> Vec<u64> {
    let store = &member.opened.store;
    let found = emptied().into_iter().map(|key| {
        let found = store.get(&key).unwrap().1;
        found.map_or(0, |record| record.version.time().to_bits() >> 8)
    });
    found.collect()
}

/// One change after the other: what there is afterwards, before and after each.
fn script() -> Vec<fn(&mut Member)> {
    vec![
        |member| member.write(&emptied()[0], small(10, payload(1, 3_000))),
        |member| {
            let bytes = payload(2, LENGTH);
            put_large(&mut member.opened.writer, &emptied()[1], 11, 1, &bytes);
        },
        |member| member.write(&emptied()[2], Record::tombstone(version(12))),
        |member| {
            let staged = chunks(&emptied()[3], 2, &payload(3, LENGTH));
            store_all(&mut member.opened.writer, staged);
        },
        |member| {
            member.discard_one();
        },
        |member| {
            member.opened.writer.tidy(NOW);
        },
        |member| member.write(&emptied()[0], small(5, payload(4, 3_000))),
        |member| compact(&mut member.opened.writer),
        |member| member.write(&emptied()[2], small(4, payload(5, 100))),
        |member| {
            let bytes = payload(6, LENGTH);
            put_large(&mut member.opened.writer, &emptied()[1], 3, 1, &bytes);
        },
        |member| compact(&mut member.opened.writer),
    ]
}

#[test]
fn power_may_fail_after_every_step() {
    for mode in MODES {
        for steps in 0..=script().len() {
            for seed in 0..3 {
                let mut member = Member::new(mode);
                for step in &script()[..steps] {
                    step(&mut member);
                }
                let expected = held(&member);
                member.disk.crash(seed);
                member = restarted(member, Start::Killed);
                assert_eq!(held(&member), expected, "{mode:?} {steps} {seed}");
                assert_eq!(
                    member.opened.store.standing(emptied()[0].slot()),
                    Standing::Voter
                );
            }
        }
    }
}

/// Before the place is durable all is as it was, and after that the slot is empty.
#[test]
fn power_may_fail_while_the_place_is_noted() {
    for mode in MODES {
        for seed in 0..8 {
            for is_noted in [false, true] {
                let mut member = Member::new(mode);
                for step in &script()[..4] {
                    step(&mut member);
                }
                let mut expected = held(&member);
                let (disk, table) = (&member.disk, &mut member.table);
                let slot = emptied()[0].slot();
                let note = |place| {
                    if is_noted {
                        table.set(slot, place);
                    }
                    disk.crash(seed);
                    Err(NotNoted::NotDone("there is no power".to_owned()))
                };
                member.opened.writer.discard(&only(slot), note).unwrap_err();
                if is_noted {
                    expected.fill(0);
                }
                let mut member = restarted(member, Start::Killed);
                assert_eq!(held(&member), expected, "{mode:?} {seed} {is_noted}");
                member.write(&emptied()[2], small(13, payload(1, 10)));
                expected[2] = 13;
                let member = restarted(member, Start::PowerLost);
                assert_eq!(held(&member), expected, "{mode:?} {seed} {is_noted}");
            }
        }
    }
}

/// Any sync may be the one that fails; the next start has what was there, or nothing, as the
/// table says.
#[test]
fn every_sync_may_fail() {
    for mode in MODES {
        let usual = {
            let member = Member::new(mode);
            let mut member = member;
            let before = member.disk.syncs();
            member.fill();
            member.discard_one();
            compact(&mut member.opened.writer);
            member.disk.syncs() - before
        };
        for fails in 0..=usual as u32 {
            let mut member = Member::new(mode);
            member.disk.fail_sync_after(Some(fails));
            for (number, key) in (0..).zip(emptied()) {
                let write = put(&key, small(100, payload(number, 200)));
                member.opened.writer.commit(vec![write], NOW);
            }
            let slot = emptied()[0].slot();
            let table = &mut member.table;
            let discarded = member.opened.writer.discard(&only(slot), |place| {
                table.set(slot, place);
                Ok(())
            });
            let before = held(&member);
            while member.opened.writer.tidy(NOW) {}
            member.disk.fail_sync_after(None);
            let member = restarted(member, Start::PowerLost);
            match discarded {
                Ok(_) => member.assert_empty(),
                Err(_) => assert!(
                    std::iter::zip(held(&member), before).all(|(now, then)| now >= then),
                    "{mode:?} {fails}"
                ),
            }
        }
    }
}

/// A log that ends before the place from which records count: what is written next would lie below
/// it, and not count after another start. And since the place was durable, something is lost.
#[test]
fn a_log_that_lost_its_end_goes_on_above_the_place_and_is_in_doubt() {
    for mode in MODES {
        for cut in [1, 40, 2_000, usize::MAX] {
            let mut member = Member::new(mode);
            member.fill();
            member.write(&emptied()[0], small(300, payload(1, 3_000)));
            let place = member.discard_one();
            let name = format!("segment-{:010}.log", place.segment.0);
            drop(std::mem::replace(
                &mut member.opened,
                Member::new(mode).opened,
            ));
            let mut bytes = member.disk.contents(&name).unwrap();
            if cut == usize::MAX {
                // An old copy of the disk: even the file's name is not there.
                member.disk.remove(&name).unwrap();
                member.disk.sync_directory().unwrap();
            } else {
                bytes.truncate((place.offset as usize).saturating_sub(cut));
                member.disk.put(&name, bytes);
            }
            member.reopen();
            let recovery = &member.opened.recovery;
            assert!(!recovery.intact, "{cut}: {recovery:?}");
            let standing = member.opened.store.standing(emptied()[0].slot());
            assert_ne!(standing, Standing::Voter, "{cut}");
            let write = put(&emptied()[1], small(7, payload(7, 70)));
            let replies = member.opened.writer.commit(vec![write], NOW);
            assert!(matches!(replies[0], Reply::Stored { .. }), "{replies:?}");
            let at = member.discard(&only(kept()[0].slot()));
            assert!(at > place, "{cut}: {at} is not above {place}");
            let member = restarted(member, Start::PowerLost);
            assert!(!member.opened.recovery.intact, "it stays in doubt");
            let found = value(&member.opened.store, &emptied()[1]);
            assert_eq!(found, Some((version(7), payload(7, 70))), "{cut}");
        }
    }
}
