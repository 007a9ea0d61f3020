//! Which commands of one connection may run: those that meet do so in the order they were sent.
//!
//! Commands on one key run one after the other, and one that may touch anything runs when all
//! before it have ended and before all behind it. What one more command takes does not grow with
//! how many wait.

use std::collections::{HashMap, VecDeque, hash_map::Entry};

use kvcore::key::Key;

use crate::command::Touches;

/// The commands that were let in and have not ended.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// For each key the commands behind the one that runs, by number.
    waiting: HashMap<Key, VecDeque<u64>>,
    /// How many have not ended.
    unended: usize,
    /// One that may touch anything runs.
    is_barred: bool,
}

/// What becomes of the next command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// It may run.
    Runs,
    /// It was let in and waits for one before it.
    Waits,
    /// It has to be offered again once something has ended.
    Barred,
}

impl Order {
    /// Offers the next command, by its number. Offered in order, each until it is let in.
    pub(super) fn admit(&mut self, number: u64, touches: &Touches) -> Admission {
        if self.is_barred || (*touches == Touches::All && self.unended > 0) {
            return Admission::Barred;
        }
        self.unended += 1;
        match touches {
            Touches::Key(key) => match self.waiting.entry(key.clone()) {
                Entry::Occupied(mut entry) => {
                    entry.get_mut().push_back(number);
                    return Admission::Waits;
                }
                Entry::Vacant(entry) => {
                    entry.insert(VecDeque::new());
                }
            },
            Touches::All => self.is_barred = true,
            Touches::Nothing => {}
        }
        Admission::Runs
    }

    /// A command that ran has ended; gives the one that may run in its place.
    pub(super) fn ended(&mut self, touches: &Touches) -> Option<u64> {
        self.unended -= 1;
        match touches {
            Touches::Key(key) => {
                let next = self.waiting.get_mut(key).and_then(VecDeque::pop_front);
                if next.is_none() {
                    self.waiting.remove(key);
                }
                next
            }
            Touches::All => {
                self.is_barred = false;
                None
            }
            Touches::Nothing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn touches(what: u8) -> Touches {
        match what {
            0 => Touches::All,
            1 => Touches::Nothing,
            name => Touches::Key(Key::copy_from(&[name]).expect("one byte")),
        }
    }

    /// Whether the later of two commands has to wait for the earlier one.
    fn meet(earlier: &Touches, later: &Touches) -> bool {
        match (earlier, later) {
            (Touches::All, _) | (_, Touches::All) => true,
            (Touches::Key(one), Touches::Key(other)) => one == other,
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn exactly_what_meets_nothing_before_it_runs(
            commands in vec(0u8..6, 1..60),
            picks in vec(any::<prop::sample::Index>(), 60),
        ) {
            let commands: Vec<_> = commands.into_iter().map(touches).collect();
            let mut order = Order::default();
            let (mut running, mut has_ended) = (Vec::new(), vec![false; commands.len()]);
            let mut next = 0;
            for pick in picks {
                while next < commands.len() {
                    match order.admit(next as u64, &commands[next]) {
                        Admission::Runs => running.push(next),
                        Admission::Waits => {}
                        Admission::Barred => break,
                    }
                    next += 1;
                }
                let free = |at: usize| {
                    (0..at).all(|before| has_ended[before] || !meet(&commands[before], &commands[at]))
                };
                let expected: Vec<_> =
                    (0..commands.len()).filter(|&at| !has_ended[at] && free(at)).collect();
                running.sort_unstable();
                prop_assert_eq!(&running, &expected);
                if running.is_empty() {
                    break;
                }
                let ends = running.swap_remove(pick.index(running.len()));
                has_ended[ends] = true;
                let next = order.ended(&commands[ends]);
                running.extend(next.map(|next| usize::try_from(next).expect("few")));
            }
            if has_ended.iter().all(|&ended| ended) {
                prop_assert!(order.waiting.is_empty());
            }
        }
    }
}
