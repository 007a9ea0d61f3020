//! Where each planted bug shows: the surroundings, and what happens before the search begins.
//!
//! A prelude is a way through the same steps that a search takes. Without it the searches for the
//! deeper bugs would take hours.

use kvcore::placement::moves::Step;

use super::{
    Action::{self, Adopt, BeginRead, Collect, Deliver, Drop, Late, Offer, Publish, Pull, Write},
    Collection, Moves,
    author::Deed::{Begin, Fork, GoOn, Succeed},
    bug::Bug,
    configurations::{five_to_three, holders, replace, there_and_back},
    era::Mask,
};

/// The surroundings in which a bug shows.
pub fn showing(bug: Bug) -> Moves {
    let (moves, prelude) = match bug {
        Bug::SourceBeforeAck
        | Bug::NewerWithoutAdopting
        | Bug::AckBeforeOlderWrites
        | Bug::OutsiderAck
        | Bug::SyncFromOne
        | Bug::ZombieStream
        | Bug::BlankOldIdentity
        | Bug::KeepsWhatItHeld => while_copying(bug),
        Bug::LeaveTooEarly
        | Bug::LeaveByNext
        | Bug::EpochNotDurable
        | Bug::AcksAcrossEpochs
        | Bug::LeaverAfterTime
        | Bug::ReadAfterDrop
        | Bug::TwoAuthors
        | Bug::Undecided
        | Bug::GiveUpAtW1 => after_copying(bug),
        Bug::SupersededIsAck => (two_writers(), Vec::new()),
        Bug::ReadOneSet => (writing(replace("3,2,2", 2, 2)), begun()),
        Bug::JoinerIsEnough => {
            let moves = Moves {
                away: Mask(0b1_1000),
                ..five_to_three("5-4-3")
            };
            (moves, shrunk())
        }
    };
    Moves {
        prelude,
        bug: Some(bug),
        ..moves
    }
}

type Shown = (Moves, Vec<Action>);

fn while_copying(bug: Bug) -> Shown {
    let base = replace("3,2,2", 2, 2);
    match bug {
        Bug::SourceBeforeAck => (writing(base), [begun(), copied_from(&[0])].concat()),
        Bug::SyncFromOne => (base, Vec::new()),
        Bug::BlankOldIdentity => {
            let moves = Moves {
                losses: 1,
                loses_early: true,
                plan: Vec::new(),
                ..base
            };
            (moves, Vec::new())
        }
        Bug::ZombieStream => {
            let moves = Moves {
                plan: vec![holders(&[1, 2, 3], 2, 2); 2],
                reverts: 1,
                ..writing(base)
            };
            let pulled = vec![Pull { to: 3, from: 0 }, Publish(GoOn(Step::Revert))];
            let written = [adopted(2, &[0, 2]), vec![write(0, 2), write(2, 2)]].concat();
            let again = vec![
                Publish(Begin(1)),
                Adopt { member: 1, era: 3 },
                Adopt { member: 3, era: 3 },
                Deliver,
            ];
            let prelude = [begun(), adopted(1, &[0]), pulled, written, again];
            (moves, prelude.concat())
        }
        Bug::KeepsWhatItHeld => {
            let moves = Moves {
                collection: Collection::AtOnce,
                gives_up: true,
                ..deleting(there_and_back("3,2,2, there and back", 2, 2))
            };
            let back = [
                Publish(Begin(1)),
                Adopt { member: 0, era: 5 },
                Adopt { member: 2, era: 5 },
                Adopt { member: 3, era: 5 },
            ];
            let back = [&back[..], &pulled(0, &[2, 3])].concat();
            let prelude = [left(), adopted(4, &[1, 2, 3]), deleted(4), back];
            (moves, prelude.concat())
        }
        Bug::NewerWithoutAdopting => {
            let written = vec![write(2, 1), write(3, 1)];
            let begun = [vec![Publish(Begin(0))], adopted(1, &[0, 1]), written];
            let prelude = [begun.concat(), adopted(1, &[3]), pulled(3, &[0, 1])];
            (writing(base), prelude.concat())
        }
        Bug::AckBeforeOlderWrites => (writing(base), [vec![write(0, 0)], copied()].concat()),
        _ => (writing(base), begun()),
    }
}

fn after_copying(bug: Bug) -> Shown {
    let base = replace("3,2,2", 2, 2);
    match bug {
        Bug::LeaverAfterTime => {
            let moves = Moves {
                collection: Collection::AtOnce,
                gives_up: true,
                ..deleting(base)
            };
            let leaver = adopted(3, &[0]);
            let prelude = [left(), leaver, adopted(4, &[1, 2, 3]), deleted(4)];
            (moves, prelude.concat())
        }
        Bug::AcksAcrossEpochs => {
            let moves = Moves {
                successions: 1,
                ..writing(base)
            };
            let discarded = vec![write(3, 1), Publish(Succeed)];
            let again = [adopted(2, &[0, 1, 3]), pulled(3, &[0, 1])];
            (moves, [begun(), discarded, again.concat()].concat())
        }
        Bug::ReadAfterDrop => {
            let begun = vec![BeginRead { member: 0, era: 1 }];
            let dropped = vec![
                Adopt { member: 0, era: 3 },
                Adopt { member: 1, era: 3 },
                Adopt { member: 3, era: 3 },
                Offer { leaver: 0, to: 1 },
                Offer { leaver: 0, to: 3 },
                Drop { member: 0 },
            ];
            let copied = [copied(), begun];
            (
                base,
                [copied.concat(), on_to_leaving(&[0, 1]), dropped].concat(),
            )
        }
        Bug::TwoAuthors | Bug::Undecided => {
            let forked = vec![Publish(GoOn(Step::Switch)), Publish(Fork)];
            (writing(base), [copied(), forked].concat())
        }
        Bug::GiveUpAtW1 => {
            let moves = Moves {
                gives_up: true,
                reader: false,
                ..replace("3,1,1", 1, 1)
            };
            let copied = [begun(), adopted(1, &[1]), pulled(3, &[1])];
            (moves, copied.concat())
        }
        Bug::EpochNotDurable => {
            let switched = vec![Publish(GoOn(Step::Switch))];
            let prelude = [copied(), switched, adopted(2, &[0, 1])];
            (writing(base), prelude.concat())
        }
        _ => {
            let switched = vec![Publish(GoOn(Step::Switch))];
            (writing(base), [copied(), switched].concat())
        }
    }
}

/// From nothing: what is absent is answered without being written back, so it shows most.
fn writing(moves: Moves) -> Moves {
    Moves {
        writes: 1,
        preloaded: false,
        ..moves
    }
}

fn deleting(moves: Moves) -> Moves {
    Moves {
        writes: 1,
        deleted: Some(2),
        ..moves
    }
}

fn two_writers() -> Moves {
    Moves {
        writes: 2,
        preloaded: false,
        plan: Vec::new(),
        ..replace("3,2,2", 2, 2)
    }
}

fn write(member: usize, era: u8) -> Action {
    let write = 0;
    Write { write, member, era }
}

fn adopted(era: u8, members: &[usize]) -> Vec<Action> {
    let adopt = |&member: &usize| Adopt { member, era };
    members.iter().map(adopt).collect()
}

fn pulled(to: usize, sources: &[usize]) -> Vec<Action> {
    let pull = |&from: &usize| [Pull { to, from }, Deliver];
    sources.iter().flat_map(pull).collect()
}

/// The joiner has heard of copying.
fn begun() -> Vec<Action> {
    [vec![Publish(Begin(0))], adopted(1, &[3])].concat()
}

fn copied_from(sources: &[usize]) -> Vec<Action> {
    pulled(3, sources)
}

/// The joiner has pulled from enough.
fn copied() -> Vec<Action> {
    [begun(), adopted(1, &[0, 1]), copied_from(&[0, 1])].concat()
}

/// These have acknowledged switching, and leaving is published.
fn on_to_leaving(acked: &[usize]) -> Vec<Action> {
    let switch = vec![Publish(GoOn(Step::Switch))];
    let leave = vec![Publish(GoOn(Step::Leave))];
    [switch, adopted(2, acked), leave].concat()
}

/// The first move has ended, its leaver given up with what it held.
fn left() -> Vec<Action> {
    let settle = vec![Publish(GoOn(Step::Settle))];
    [copied(), on_to_leaving(&[1, 2]), settle].concat()
}

/// A tombstone is written everywhere, and collected.
fn deleted(era: u8) -> Vec<Action> {
    let late = Late {
        write: 0,
        member: 3,
    };
    vec![write(1, era), write(2, era), late, Collect]
}

/// Five copies became four, and four are to become three.
fn shrunk() -> Vec<Action> {
    let begun = vec![Publish(Begin(0)), Publish(GoOn(Step::Switch))];
    let ended = vec![
        Publish(GoOn(Step::Leave)),
        Publish(GoOn(Step::Settle)),
        Publish(Begin(1)),
    ];
    [begun, adopted(2, &[0, 1, 2]), ended].concat()
}
