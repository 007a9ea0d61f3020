//! Where each planted bug of sweeps shows.

use kvcore::placement::moves::Step;

use super::{
    Bug, Sweeps,
    state::Action::{self, Base, Begin, Collect, Confirm, Fence},
};
use crate::moves::{
    Action::{Adopt, Deliver, Late, Publish, Pull, Write},
    author::Deed,
};

/// The surroundings in which a bug shows.
pub fn showing(bug: Bug) -> Sweeps {
    let sweeps = match bug {
        Bug::OlderPlacement => older_placement(),
        Bug::JoinerWithoutFloor => joiner_without_floor(),
        _ => Sweeps {
            prelude: written(&[1, 2], 0),
            ..Sweeps::at_rest("sweeps")
        },
    };
    Sweeps {
        bug: Some(bug),
        ..sweeps
    }
}

/// A joiner is still copying when the others are through with the move, and sweep.
fn older_placement() -> Sweeps {
    let sweeps = Sweeps::while_moving("sweeps: moving");
    let copying = [joined(&[0, 1, 2], &[1, 2]), vec![write(0, 3, 1)]].concat();
    let acked = adopted(2, &[1, 2]);
    let settled = [
        publish(Deed::GoOn(Step::Leave)),
        publish(Deed::GoOn(Step::Settle)),
    ];
    let moved = [acked, settled.to_vec(), adopted(4, &[1, 2])].concat();
    let prelude = [
        copying,
        moved,
        vec![write(0, 1, 4), write(0, 2, 4)],
        swept(4, [1, 2, 3]),
    ];
    Sweeps {
        prelude: prelude.concat(),
        ..sweeps
    }
}

/// A joiner comes after a sweep, and an old write after both.
fn joiner_without_floor() -> Sweeps {
    let mut sweeps = Sweeps::while_moving("sweeps: moving");
    sweeps.moves.preloaded = false;
    sweeps.moves.writes = 2;
    let late = Base(Late {
        write: 1,
        member: 2,
    });
    let deleted = [written(&[0, 1], 0), vec![late], swept(0, [0, 1, 2])].concat();
    Sweeps {
        prelude: [deleted, joined(&[1, 2], &[1, 2])].concat(),
        ..sweeps
    }
}

/// The delete is acknowledged by these.
fn written(by: &[usize], era: u8) -> Vec<Action> {
    by.iter().map(|&member| write(1, member, era)).collect()
}

fn write(write: usize, member: usize, era: u8) -> Action {
    Base(Write { write, member, era })
}

fn publish(deed: Deed) -> Action {
    Base(Publish(deed))
}

fn adopted(era: u8, members: &[usize]) -> Vec<Action> {
    let adopt = |&member: &usize| Base(Adopt { member, era });
    members.iter().map(adopt).collect()
}

/// The joiner has pulled from these, and switching is published.
fn joined(adopting: &[usize], sources: &[usize]) -> Vec<Action> {
    let pull = |&from: &usize| [Base(Pull { to: 3, from }), Base(Deliver)];
    let begun = [
        vec![publish(Deed::Begin(0))],
        adopted(1, &[3]),
        adopted(1, adopting),
    ];
    let pulled = sources.iter().flat_map(pull).collect();
    let switched = vec![publish(Deed::GoOn(Step::Switch))];
    [begun.concat(), pulled, switched].concat()
}

/// A whole sweep.
fn swept(era: u8, members: [usize; 3]) -> Vec<Action> {
    let confirmed = members.map(|member| Confirm { member });
    let fenced = members.map(|member| Fence { member });
    let collected = members.map(|member| Collect { member });
    [&[Begin { era }][..], &confirmed, &fenced, &collected].concat()
}
