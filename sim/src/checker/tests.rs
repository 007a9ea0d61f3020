//! Each rule, broken once.

use kvcore::{
    record::{Format, ValueMeta},
    version::{HybridTime, UnixMillis, Version, WriterId},
};

use super::{Checker, Content, Finding, Kind, Wanted, payload};

const KEY: u16 = 0;

fn version(number: u64) -> Version {
    Version::new(HybridTime::from_bits(number), WriterId::from_random(10))
}

fn meta(expires_at: Option<u64>) -> ValueMeta {
    ValueMeta {
        format: Format::Raw,
        flags: 5,
        expires_at: expires_at.map(UnixMillis),
        length: 20,
    }
}

/// A checker that knows of the write of one value by operation 1 under version 1.
fn written(expires_at: Option<u64>) -> Checker {
    let mut checker = Checker::new(1, true);
    checker.begins(1, KEY, Wanted::Value(meta(expires_at)));
    checker.issued(1, version(1)).expect("its first version");
    checker
}

fn delete(checker: &mut Checker, operation: u64, at: u64) {
    checker.begins(operation, KEY, Wanted::Tombstone);
    checker
        .issued(operation, version(at))
        .expect("nobody has it");
}

fn see(checker: &mut Checker, at: u64, meta: &ValueMeta) -> Result<(), Finding> {
    checker.seen(KEY, version(at), Content::Value(meta, &payload(1, 20)))
}

fn kind(found: Result<(), Finding>) -> Option<Kind> {
    found.err().map(|(kind, _)| kind)
}

#[test]
fn a_value_keeps_its_end_its_flags_and_its_version() {
    let mut checker = written(Some(100));
    assert_eq!(see(&mut checker, 1, &meta(Some(100))), Ok(()));
    for other in [None, Some(101)] {
        assert_eq!(
            kind(see(&mut checker, 1, &meta(other))),
            Some(Kind::Altered)
        );
    }
    let flags = ValueMeta {
        flags: 0,
        ..meta(Some(100))
    };
    assert_eq!(kind(see(&mut checker, 1, &flags)), Some(Kind::Altered));
    let present = Content::Present(&flags);
    let found = checker.seen(KEY, version(1), present);
    assert_eq!(kind(found), Some(Kind::Altered));
    let found = see(&mut checker, 2, &meta(Some(100)));
    assert_eq!(kind(found), Some(Kind::Reversioned));
}

#[test]
fn a_value_expires_when_a_brokers_clock_is_past_its_end() {
    let mut checker = written(Some(100));
    let gone = version(1).expiry();
    let early = checker.expired(KEY, gone, Some(UnixMillis(99)));
    assert_eq!(kind(early), Some(Kind::ExpiredEarly));
    // Nobody has found it expired yet.
    let unfound = checker.seen(KEY, gone, Content::Tombstone);
    assert_eq!(kind(unfound), Some(Kind::ExpiredEarly));
    assert_eq!(checker.expired(KEY, gone, Some(UnixMillis(100))), Ok(()));
    assert_eq!(checker.seen(KEY, gone, Content::Tombstone), Ok(()));
    // From then on whoever finds the tombstone may say so, whatever the time.
    assert_eq!(checker.expired(KEY, gone, Some(UnixMillis(1))), Ok(()));
}

#[test]
fn a_value_without_an_end_does_not_expire() {
    let mut checker = written(None);
    let late = Some(UnixMillis(u64::MAX));
    let found = checker.expired(KEY, version(1).expiry(), late);
    assert_eq!(kind(found), Some(Kind::ExpiredEarly));
    let found = checker.expired(KEY, version(7).expiry(), late);
    assert_eq!(kind(found), Some(Kind::ExpiredEarly));
}

#[test]
fn a_tombstone_comes_from_a_delete() {
    let mut checker = written(None);
    let found = checker.seen(KEY, version(2), Content::Tombstone);
    assert_eq!(kind(found), Some(Kind::DeletedUnasked));
    let found = checker.seen(KEY, version(1), Content::Tombstone);
    assert_eq!(kind(found), Some(Kind::VersionTwice));
    delete(&mut checker, 2, 2);
    assert_eq!(checker.seen(KEY, version(2), Content::Tombstone), Ok(()));
}

#[test]
fn a_delete_that_was_not_done_is_never_seen() {
    let mut checker = written(None);
    delete(&mut checker, 2, 2);
    assert_eq!(checker.not_done(2), Ok(()));
    let found = checker.seen(KEY, version(2), Content::Tombstone);
    assert_eq!(kind(found), Some(Kind::NotDoneYetDone));
    delete(&mut checker, 3, 3);
    assert_eq!(checker.seen(KEY, version(3), Content::Tombstone), Ok(()));
    assert_eq!(kind(checker.not_done(3)), Some(Kind::NotDoneYetDone));
}

#[test]
fn a_page_leaves_out_only_what_was_deleted_or_expired_since() {
    let mut checker = written(None);
    assert_eq!(checker.left_out(KEY, None), Ok(()));
    let floor = Some(version(1));
    assert_eq!(kind(checker.left_out(KEY, floor)), Some(Kind::Lost));
    delete(&mut checker, 2, 2);
    assert_eq!(checker.left_out(KEY, floor), Ok(()));
    assert_eq!(
        kind(checker.left_out(KEY, Some(version(3)))),
        Some(Kind::Lost)
    );
    checker.not_done(2).expect("nobody saw it");
    assert_eq!(kind(checker.left_out(KEY, floor)), Some(Kind::Lost));

    let mut checker = written(Some(100));
    assert_eq!(kind(checker.left_out(KEY, floor)), Some(Kind::Lost));
    let gone = version(1).expiry();
    let found = checker.expired(KEY, gone, Some(UnixMillis(100)));
    found.expect("it is past its end");
    assert_eq!(checker.left_out(KEY, floor), Ok(()));
}

#[test]
fn a_version_belongs_to_one_operation() {
    let mut checker = written(None);
    checker.begins(2, KEY, Wanted::Value(meta(None)));
    assert_eq!(
        kind(checker.issued(2, version(1))),
        Some(Kind::VersionTwice)
    );
    let found = checker.done(2, version(9), None);
    assert_eq!(kind(found), Some(Kind::Reversioned));
}
