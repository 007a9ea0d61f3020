//! How many slots each member ought to hold, and how evenly a slot's copies go over zones.
//!
//! Zones share all replicas by their weight, members share their zone's by theirs, each within what it
//! can take at all: a member holds a slot once, and a slot's copies are spread over zones as evenly as
//! zones have members. The exact share is a fraction; a member gets it rounded down or up.
//!
//! Rounding either way is always possible for all at once: giving every member its exact share of
//! *every* slot meets all conditions, and a flow whose bounds are whole numbers has a whole solution
//! wherever it has one in fractions (Hoffman and Kruskal, 1956).

use super::Goal;

/// What is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loads {
    /// Slots of each member, least and most; none for those that are to hold nothing.
    pub(super) members: Vec<Bounds>,
    /// Members by zone.
    pub(super) zones: Vec<Zone>,
}

/// One zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Zone {
    /// Its members that may hold slots.
    pub(super) members: Vec<usize>,
    /// Copies of one slot in it, least and most.
    pub(super) share: Bounds,
}

/// From `low` to `high`, both allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Bounds {
    pub(super) low: u32,
    pub(super) high: u32,
}

impl Loads {
    /// For a goal that has enough members.
    pub(super) fn of(goal: &Goal<'_>) -> Self {
        let groups: Vec<Vec<usize>> = goal.zones().into_values().collect();
        let shares = shares(goal.copies, &groups);
        let slots = goal.slots as u128;
        let weight = |member: &usize| u128::from(goal.members[*member].weight);
        let zones: Vec<Part> = groups
            .iter()
            .zip(&shares)
            .map(|(members, share)| Part {
                weight: members.iter().map(weight).sum(),
                low: u128::from(share.low) * slots,
                high: u128::from(share.high) * slots,
            })
            .collect();
        let all = Fraction::whole(slots * goal.copies as u128);
        let mut bounds = vec![Bounds::default(); goal.members.len()];
        for (members, total) in groups.iter().zip(divide(all, &zones)) {
            let parts: Vec<Part> = members
                .iter()
                .map(|member| Part {
                    weight: weight(member),
                    low: 0,
                    high: slots,
                })
                .collect();
            for (&member, load) in members.iter().zip(divide(total, &parts)) {
                bounds[member] = load.rounded();
            }
        }
        let zones = groups.into_iter().zip(shares);
        Self {
            members: bounds,
            zones: zones
                .map(|(members, share)| Zone { members, share })
                .collect(),
        }
    }
}

/// Copies of one slot that each zone takes: every zone as many as the others, as far as it has members.
fn shares(copies: usize, zones: &[Vec<usize>]) -> Vec<Bounds> {
    let taken = |level: usize| -> usize { zones.iter().map(|zone| zone.len().min(level)).sum() };
    let level = (0..=copies).rev().find(|&level| taken(level) <= copies);
    let level = level.expect("level 0 takes nothing");
    let left = copies - taken(level);
    let share = |zone: &Vec<usize>| Bounds {
        low: count(zone.len().min(level)),
        high: count(zone.len().min(level + usize::from(left > 0))),
    };
    zones.iter().map(share).collect()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).expect("members are counted")
}

/// Who takes part in a division.
struct Part {
    weight: u128,
    low: u128,
    high: u128,
}

/// Divides `total` by weight, where nobody takes less than its `low` nor more than its `high`.
///
/// Whoever would leave its bounds is set to the bound, on the side where more is amiss, and the rest is
/// divided anew, until nobody would.
fn divide(total: Fraction, parts: &[Part]) -> Vec<Fraction> {
    let mut fixed: Vec<Option<u128>> = vec![None; parts.len()];
    loop {
        let open = || {
            parts
                .iter()
                .zip(&fixed)
                .filter(|(_, fixed)| fixed.is_none())
        };
        let weight: u128 = open().map(|(part, _)| part.weight).sum();
        let taken: u128 = fixed.iter().flatten().sum();
        if weight == 0 {
            return fixed.into_iter().flatten().map(Fraction::whole).collect();
        }
        let level = total.less(taken).over(weight);
        let (mut above, mut below) = (0, 0);
        for (part, _) in open() {
            // In units of the level's denominator.
            let share = level.numerator * part.weight;
            above += share.saturating_sub(part.high * level.denominator);
            below += (part.low * level.denominator).saturating_sub(share);
        }
        if above == 0 && below == 0 {
            let shares = parts.iter().zip(&fixed);
            return shares
                .map(|(part, fixed)| fixed.map_or(level.times(part.weight), Fraction::whole))
                .collect();
        }
        for (part, fixed) in parts.iter().zip(&mut fixed).filter(|(_, f)| f.is_none()) {
            let share = level.numerator * part.weight;
            if above >= below && share > part.high * level.denominator {
                *fixed = Some(part.high);
            } else if above < below && share < part.low * level.denominator {
                *fixed = Some(part.low);
            }
        }
    }
}

/// A fraction that is not negative. Totals are below 2^13, weights and their sums below 2^20: no
/// product here comes near 2^128.
#[derive(Debug, Clone, Copy)]
struct Fraction {
    numerator: u128,
    denominator: u128,
}

impl Fraction {
    fn whole(number: u128) -> Self {
        Self {
            numerator: number,
            denominator: 1,
        }
    }

    fn less(self, whole: u128) -> Self {
        Self {
            numerator: self.numerator - whole * self.denominator,
            ..self
        }
    }

    fn over(self, by: u128) -> Self {
        Self {
            denominator: self.denominator * by,
            ..self
        }
    }

    fn times(self, by: u128) -> Self {
        Self {
            numerator: self.numerator * by,
            ..self
        }
    }

    fn rounded(self) -> Bounds {
        let whole = |number: u128| u32::try_from(number).expect("at most all slots");
        Bounds {
            low: whole(self.numerator / self.denominator),
            high: whole(self.numerator.div_ceil(self.denominator)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(low: u32, high: u32) -> Bounds {
        Bounds { low, high }
    }

    #[test]
    fn copies_go_over_zones_as_evenly_as_these_have_members() {
        let zones = |sizes: &[usize]| -> Vec<Vec<usize>> {
            sizes.iter().map(|&size| vec![0; size]).collect()
        };
        assert_eq!(shares(3, &zones(&[2, 2, 2])), [bounds(1, 1); 3]);
        assert_eq!(shares(3, &zones(&[2, 2, 2, 2])), [bounds(0, 1); 4]);
        assert_eq!(shares(3, &zones(&[5, 5])), [bounds(1, 2); 2]);
        assert_eq!(shares(3, &zones(&[1, 5])), [bounds(1, 1), bounds(2, 2)]);
        assert_eq!(
            shares(5, &zones(&[1, 3, 9])),
            [bounds(1, 1), bounds(2, 2), bounds(2, 2)]
        );
        assert_eq!(shares(3, &zones(&[3])), [bounds(3, 3)]);
    }

    #[test]
    fn nobody_takes_more_than_it_can_and_the_others_take_the_rest() {
        let part = |weight, low, high| Part { weight, low, high };
        let rounded = |total, parts: &[Part]| -> Vec<(u32, u32)> {
            divide(Fraction::whole(total), parts)
                .into_iter()
                .map(Fraction::rounded)
                .map(|bounds| (bounds.low, bounds.high))
                .collect()
        };
        let even = [part(1, 0, 100), part(1, 0, 100), part(1, 0, 100)];
        assert_eq!(rounded(100, &even), [(33, 34); 3]);
        let heavy = [part(10, 0, 50), part(1, 0, 100), part(1, 0, 100)];
        assert_eq!(rounded(101, &heavy), [(50, 50), (25, 26), (25, 26)]);
        let light = [part(1, 40, 100), part(10, 0, 100), part(10, 0, 100)];
        assert_eq!(rounded(100, &light), [(40, 40), (30, 30), (30, 30)]);
        let all = [part(1, 0, 10), part(2, 0, 10)];
        assert_eq!(rounded(20, &all), [(10, 10), (10, 10)]);
    }
}
