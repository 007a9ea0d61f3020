//! What is searched through: the sets, the plans, what goes wrong, and where each bug shows.

use kvcore::placement::{Holders, Quorums};

use super::{Collection, Ending, Moves, era::Mask};

/// These members, with a read and a write quorum.
pub(crate) fn holders(members: &[usize], read: u8, write: u8) -> Holders {
    let mask = members
        .iter()
        .fold(Mask(0), |mask, &member| mask.with(member));
    let quorums = Quorums {
        read: Some(read),
        write: Some(write),
    };
    Holders::new(mask.set(), quorums)
}

/// A slot of these holders with version 1 on a write quorum, a reader, and nothing that goes wrong.
pub(crate) fn plain(
    name: &'static str,
    members: usize,
    start: Holders,
    plan: Vec<Holders>,
) -> Moves {
    Moves {
        name,
        members,
        start,
        plan,
        preloaded: true,
        writes: 0,
        deleted: None,
        reader: true,
        reverts: 0,
        losses: 0,
        loses_early: false,
        away: Mask(0),
        others: 0,
        successions: 0,
        gives_up: false,
        collection: Collection::Never,
        all_pull: false,
        reads_first: false,
        ending: Ending::Somewhere,
        prelude: Vec::new(),
        bug: None,
    }
}

/// One replica is replaced by another.
pub(crate) fn replace(name: &'static str, read: u8, write: u8) -> Moves {
    let start = holders(&[0, 1, 2], read, write);
    let next = holders(&[1, 2, 3], read, write);
    plain(name, 4, start, vec![next])
}

/// One replica is replaced, and then the one that left comes back in place of another.
pub(crate) fn there_and_back(name: &'static str, read: u8, write: u8) -> Moves {
    let mut moves = replace(name, read, write);
    moves.plan.push(holders(&[0, 2, 3], read, write));
    moves
}

/// From five copies to three, by leavers that are dead.
pub(crate) fn five_to_three(name: &'static str) -> Moves {
    let start = holders(&[0, 1, 2, 3, 4], 3, 3);
    let four = holders(&[0, 1, 2, 3], 3, 3);
    let three = holders(&[0, 1, 2], 2, 2);
    Moves {
        gives_up: true,
        ..plain(name, 5, start, vec![four, three])
    }
}

/// The same with one more write, a delete.
fn deleting(moves: Moves) -> Moves {
    Moves {
        writes: 1,
        deleted: Some(2),
        ..moves
    }
}

/// The same with a key that nobody has written yet. What is absent is answered without being
/// written back, so that a set that misses something shows at once.
fn from_nothing(moves: Moves) -> Moves {
    Moves {
        writes: 1,
        preloaded: false,
        ..moves
    }
}

/// The same without clients, with a way to the end looked for from everywhere.
fn ending(ending: Ending, moves: Moves) -> Moves {
    Moves {
        reader: false,
        ending,
        ..moves
    }
}

/// Three copies, two of which read and write.
fn wide() -> Holders {
    holders(&[0, 1, 2], 2, 2)
}

/// The same three copies, all of which write and one of which reads.
fn narrow() -> Holders {
    holders(&[0, 1, 2], 1, 3)
}

/// Four copies, three of which read and write.
fn four() -> Holders {
    holders(&[0, 1, 2, 3], 3, 3)
}

/// A fourth replica comes in, and then the first goes out.
fn up_and_down(name: &'static str) -> Moves {
    let plan = vec![four(), holders(&[1, 2, 3], 2, 2)];
    Moves {
        gives_up: true,
        ..plain(name, 4, wide(), plan)
    }
}

/// From a single copy to three.
fn up_from_one(name: &'static str) -> Moves {
    let plan = vec![holders(&[0, 1], 2, 2), wide()];
    plain(name, 3, holders(&[0], 1, 1), plan)
}

/// From three copies to a single one.
fn down_to_one(name: &'static str) -> Moves {
    let plan = vec![holders(&[0, 1], 2, 2), holders(&[0], 1, 1)];
    plain(name, 3, wide(), plan)
}

/// Two copies, of which one is replaced.
fn two(name: &'static str, read: u8, write: u8) -> Moves {
    let start = holders(&[0, 1], read, write);
    plain(name, 3, start, vec![holders(&[1, 2], read, write)])
}

/// What every test run searches through.
pub fn small() -> Vec<Moves> {
    let again = Moves {
        plan: vec![holders(&[1, 2, 3], 2, 2); 2],
        ..replace("3,2,2: a revert", 2, 2)
    };
    vec![
        from_nothing(replace("3,2,2: a put", 2, 2)),
        Moves {
            losses: 1,
            loses_early: true,
            gives_up: true,
            ..replace("3,2,2: a lost disk, a leaver given up", 2, 2)
        },
        Moves {
            reverts: 1,
            gives_up: true,
            ..again
        },
        replace("3,3,1", 1, 3),
        Moves {
            reads_first: true,
            ..from_nothing(replace("3,1,3: a put", 3, 1))
        },
        Moves {
            reader: false,
            gives_up: true,
            ..deleting(replace("3,1,1: a delete", 1, 1))
        },
        deleting(two("2,2,1: a delete", 1, 2)),
        up_and_down("3-4-3: one joins, one leaves"),
        up_from_one("1-2-3"),
        down_to_one("3-2-1"),
        Moves {
            away: Mask(0b1_1000),
            ..five_to_three("5-4-3: dead leavers")
        },
        deleting(plain("3: R1 W3, R2 W2", 3, narrow(), vec![wide()])),
        plain("3: R2 W2, R1 W3", 3, wide(), vec![narrow()]),
        Moves {
            others: 1,
            ..replace("3,2,2: another slot", 2, 2)
        },
    ]
}

/// Moves that have to be able to end, from wherever they are.
pub fn endings() -> Vec<Moves> {
    use Ending::{Everywhere, WithOneSilent};
    let careful = |moves: Moves| Moves {
        losses: 1,
        loses_early: true,
        reverts: 1,
        successions: 1,
        gives_up: true,
        ..moves
    };
    let back_again = vec![narrow(), wide()];
    vec![
        ending(WithOneSilent, careful(replace("ends: 3,2,2", 2, 2))),
        ending(WithOneSilent, up_and_down("ends: 3-4-3")),
        ending(Everywhere, careful(replace("ends: 3,3,1", 1, 3))),
        ending(
            Everywhere,
            Moves {
                losses: 2,
                ..replace("ends: 3,3,1, none given up", 1, 3)
            },
        ),
        ending(Everywhere, replace("ends: 3,1,3", 3, 1)),
        ending(
            Everywhere,
            Moves {
                away: Mask(0b1_1000),
                ..five_to_three("ends: 5-4-3")
            },
        ),
        ending(
            Everywhere,
            plain("ends: R1 W3 and back", 3, wide(), back_again),
        ),
    ]
}

/// What takes longer.
pub fn large() -> Vec<Moves> {
    [larger_sets(), more_incidents()].concat()
}

/// More sets, more plans, more writes.
fn larger_sets() -> Vec<Moves> {
    vec![
        ending(
            Ending::WithOneSilent,
            Moves {
                losses: 1,
                reverts: 1,
                gives_up: true,
                ..there_and_back("ends: 3,2,2, there and back", 2, 2)
            },
        ),
        deleting(replace("3,2,2: a delete", 2, 2)),
        deleting(up_from_one("1-2-3: a delete")),
        deleting(down_to_one("3-2-1: a delete")),
        Moves {
            reverts: 1,
            gives_up: true,
            ..there_and_back("3,2,2: a revert, there and back", 2, 2)
        },
        from_nothing(replace("3,3,1: a put", 1, 3)),
        deleting(replace("3,3,1: a delete", 1, 3)),
        Moves {
            reads_first: true,
            ..deleting(replace("3,1,3: a delete", 3, 1))
        },
        from_nothing(plain("3-4: a put", 4, wide(), vec![four()])),
        from_nothing(plain(
            "4-3: a put",
            4,
            four(),
            vec![holders(&[1, 2, 3], 2, 2)],
        )),
        Moves {
            away: Mask(0b1_0000),
            ..five_to_three("5-4-3: one leaver dead, one given up")
        },
        Moves {
            away: Mask(0b1_1000),
            ..from_nothing(five_to_three("5-4-3: dead leavers, a put"))
        },
        from_nothing(plain("3: R2 W2, R1 W3: a put", 3, wide(), vec![narrow()])),
        plain(
            "3: R2 W2, R1 W3 and back",
            3,
            wide(),
            vec![narrow(), wide()],
        ),
    ]
}

/// More that goes wrong.
fn more_incidents() -> Vec<Moves> {
    let two_writes = |moves: Moves| Moves {
        writes: 2,
        ..deleting(moves)
    };
    vec![
        Moves {
            losses: 2,
            gives_up: true,
            ..there_and_back("3,2,2: two moves, two lost disks", 2, 2)
        },
        Moves {
            all_pull: true,
            ..replace("3,2,2: all pull", 2, 2)
        },
        Moves {
            losses: 1,
            loses_early: true,
            ..from_nothing(replace("3,2,2: a put, a lost disk", 2, 2))
        },
        Moves {
            losses: 1,
            loses_early: true,
            ..replace("3,3,1: a lost disk", 1, 3)
        },
        Moves {
            others: 1,
            successions: 1,
            ..replace("3,2,2: another slot, another author", 2, 2)
        },
        Moves {
            preloaded: false,
            ..two_writes(replace("3,2,2: a put and a delete", 2, 2))
        },
        Moves {
            gives_up: true,
            collection: Collection::AtOnce,
            ..deleting(there_and_back("3,2,2: there and back, collected", 2, 2))
        },
    ]
}
