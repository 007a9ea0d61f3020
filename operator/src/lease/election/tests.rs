//! Candidates on one Lease, whose clocks, requests and pauses go wrong.

use proptest::prelude::*;

use super::*;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn lease(holder: &str, version: u32) -> Seen {
    Seen {
        holder: holder.to_owned(),
        version: version.to_string(),
        duration: Some(seconds(15)),
        transitions: 0,
    }
}

#[test]
fn a_lease_that_is_not_there_is_made_and_then_renewed() {
    let (start, mut a) = (Instant::now(), Election::new("a".into(), Terms::default()));
    assert_eq!(a.look(None, start), Act::Create);
    assert!(!a.is_leader(start), "nothing was written yet");
    a.wrote(lease("a", 1), start);
    assert!(a.is_leader(start));
    assert_eq!(a.look(Some(lease("a", 1)), start + seconds(5)), Act::Write);
    a.wrote(lease("a", 2), start + seconds(5));
    assert!(a.is_leader(start + seconds(14)));
    assert!(
        !a.is_leader(start + seconds(15)),
        "ten seconds after the renewal it stops"
    );
}

#[test]
fn anothers_lease_is_left_until_nobody_wrote_it_for_its_duration() {
    let (start, mut b) = (Instant::now(), Election::new("b".into(), Terms::default()));
    assert_eq!(b.look(Some(lease("a", 1)), start), Act::Wait);
    // However old its times say it is, the wait begins when it was first seen.
    assert_eq!(b.look(Some(lease("a", 1)), start + seconds(14)), Act::Wait);
    assert_eq!(b.look(Some(lease("a", 2)), start + seconds(15)), Act::Wait);
    assert_eq!(b.look(Some(lease("a", 2)), start + seconds(29)), Act::Wait);
    assert_eq!(b.look(Some(lease("a", 2)), start + seconds(30)), Act::Write);
}

/// Its holder goes on until its next renewal fails.
#[test]
fn a_lease_that_somebody_deleted_is_made_anew_only_after_its_duration() {
    let (start, mut b) = (Instant::now(), Election::new("b".into(), Terms::default()));
    assert_eq!(b.look(Some(lease("a", 1)), start), Act::Wait);
    assert_eq!(b.look(None, start + seconds(1)), Act::Wait);
    assert_eq!(b.look(None, start + seconds(15)), Act::Wait);
    assert_eq!(b.look(None, start + seconds(16)), Act::Create);
}

#[test]
fn a_lease_that_was_given_up_is_taken_at_once() {
    let start = Instant::now();
    let mut a = Election::new("a".into(), Terms::default());
    a.look(None, start);
    a.wrote(lease("a", 1), start);
    a.give_up();
    assert_eq!(a.look(Some(lease("a", 1)), start), Act::Write);
    assert_eq!(a.holder_to_write(), "");
    a.wrote(lease("", 2), start);
    assert!(!a.is_leader(start));
    let mut b = Election::new("b".into(), Terms::default());
    assert_eq!(b.look(Some(lease("", 2)), start), Act::Write);
}

#[test]
fn who_sees_another_in_its_place_stops_at_once() {
    let (start, mut a) = (Instant::now(), Election::new("a".into(), Terms::default()));
    a.look(None, start);
    a.wrote(lease("a", 1), start);
    assert_eq!(a.look(Some(lease("b", 2)), start + seconds(1)), Act::Wait);
    assert!(!a.is_leader(start + seconds(1)));
    assert_eq!(a.other_holder(), Some("b"));
}

#[test]
fn a_write_that_took_long_does_not_make_leadership_longer() {
    let (start, mut a) = (Instant::now(), Election::new("a".into(), Terms::default()));
    a.look(None, start);
    a.wrote(lease("a", 1), start + seconds(9));
    assert!(!a.is_leader(start + seconds(10)));
}

/// An API server with one Lease: writes name the version that they replace.
#[derive(Default)]
struct Server {
    lease: Option<Seen>,
    version: u32,
}

/// One step of one candidate.
#[derive(Debug, Clone, Copy)]
struct Turn {
    candidate: usize,
    pause_ms: u64,
    /// Its request fails before it arrives, or its answer is lost.
    fault: u8,
    /// Milliseconds between reading and writing.
    delay_ms: u64,
}

fn turn() -> impl Strategy<Value = Turn> {
    (0..3_usize, 0..6_000_u64, 0..10_u8, 0..4_000_u64).prop_map(
        |(candidate, pause_ms, fault, delay_ms)| Turn {
            candidate,
            pause_ms,
            fault,
            delay_ms,
        },
    )
}

proptest! {
    /// Whatever is lost or late, two never lead at one moment.
    #[test]
    fn two_never_lead(turns in prop::collection::vec(turn(), 1..400)) {
        let start = Instant::now();
        let mut now = start;
        let mut server = Server::default();
        let mut all: Vec<_> = ["a", "b", "c"].map(|me| Election::new(me.into(), Terms::default())).into();
        for turn in turns {
            now += Duration::from_millis(turn.pause_ms);
            let candidate = &mut all[turn.candidate];
            let read = server.lease.clone();
            if turn.fault != 0 {
                let act = candidate.look(read.clone(), now);
                now += Duration::from_millis(turn.delay_ms);
                if act != Act::Wait && server.lease == read {
                    server.version += 1;
                    let written = lease(candidate.holder_to_write(), server.version);
                    server.lease = Some(written.clone());
                    // An answer that is lost: the write happened, and its writer does not know.
                    if turn.fault != 1 {
                        candidate.wrote(written, now);
                    }
                }
            }
            let leaders = all.iter().filter(|candidate| candidate.is_leader(now)).count();
            prop_assert!(leaders <= 1, "{leaders} lead at once");
        }
    }
}
