//! In which order names can be handed on. Each line that waits wants a name that
//! one account has; if that account has a line that waits too, it gives the name
//! up. So lines form paths, which are written from their free end, and rings, which
//! are written at once.

use std::collections::HashMap;

use crate::domain::ids::SubjectId;

/// A line that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'a> {
    /// The name that it waits for.
    pub name: &'a str,
    /// The account that is to have it, `None` when that is new.
    pub account: Option<SubjectId>,
    /// The account that has it now.
    pub holder: Option<SubjectId>,
    /// No line names the holder, so that it may be deleted.
    pub leaves: bool,
}

/// What will become of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its name is free, or will be.
    Free,
    /// Its name is free once an account is deleted.
    Leaves,
    /// Its name stays where it is.
    Stuck,
    /// This earlier line waits for the same name.
    Twin(usize),
    /// It is part of a ring that is longer than [`MAX_RING`].
    LongRing(usize),
}

/// Longest ring of names: it is written in one transaction, from memory.
pub(super) const MAX_RING: usize = 10_000;

/// Where the walk along a path ended.
enum End {
    Known(Fate),
    /// The walk came back to this place of the path.
    Ring(usize),
}

/// The lines whose names are free, by index, in groups to be written together and
/// in an order in which each finds its name free; and what becomes of each line.
pub(super) fn order(steps: &[Step<'_>]) -> (Vec<Vec<usize>>, Vec<Fate>) {
    let by_account: HashMap<SubjectId, usize> =
        steps.iter().enumerate().filter_map(|(index, step)| Some((step.account?, index))).collect();
    let mut fates = twins(steps);
    let mut groups = Vec::new();
    for start in 0..steps.len() {
        let mut path = Vec::new();
        let fate = match walk(steps, &by_account, &fates, start, &mut path) {
            End::Known(fate) => fate,
            End::Ring(first) => {
                let ring = path.split_off(first);
                let fate = if ring.len() > MAX_RING { Fate::LongRing(ring.len()) } else { Fate::Free };
                ring.iter().for_each(|index| fates[*index] = Some(fate));
                if fate == Fate::Free {
                    groups.push(ring);
                }
                fate
            }
        };
        // Who waits for a line that cannot be written is not at fault itself.
        let fate = if matches!(fate, Fate::Free | Fate::Leaves) { fate } else { Fate::Stuck };
        for index in path.into_iter().rev() {
            fates[index] = Some(fate);
            if fate == Fate::Free {
                groups.push(vec![index]);
            }
        }
    }
    (groups, fates.into_iter().map(|fate| fate.unwrap_or(Fate::Stuck)).collect())
}

/// Of lines that want one name, only the first may have it.
fn twins(steps: &[Step<'_>]) -> Vec<Option<Fate>> {
    let mut first = HashMap::with_capacity(steps.len());
    let mut twin = |(index, step): (usize, &Step<'_>)| {
        let first = *first.entry(step.name.to_owned()).or_insert(index);
        (first != index).then_some(Fate::Twin(first))
    };
    steps.iter().enumerate().map(&mut twin).collect()
}

/// Follows the lines from `start` on, each to the one that gives up its name, and
/// adds those to the path whose fate is not known yet.
fn walk(
    steps: &[Step<'_>],
    by_account: &HashMap<SubjectId, usize>,
    fates: &[Option<Fate>],
    start: usize,
    path: &mut Vec<usize>,
) -> End {
    let mut places = HashMap::new();
    let mut index = start;
    loop {
        if let Some(fate) = fates[index] {
            return End::Known(fate);
        }
        if let Some(place) = places.insert(index, path.len()) {
            return End::Ring(place);
        }
        path.push(index);
        let step = &steps[index];
        match step.holder.filter(|holder| Some(*holder) != step.account) {
            None => return End::Known(Fate::Free),
            Some(holder) => match by_account.get(&holder) {
                Some(next) => index = *next,
                None if step.leaves => return End::Known(Fate::Leaves),
                None => return End::Known(Fate::Stuck),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Account `account`, 0 for a new one, wants `name`, which `holder` has.
    fn step(account: i64, name: &str, holder: i64) -> Step<'_> {
        let id = |id: i64| (id != 0).then_some(SubjectId(id));
        Step { name, account: id(account), holder: id(holder), leaves: holder >= 100 }
    }

    #[test]
    fn a_path_is_written_from_its_free_end() {
        let steps = [step(1, "b", 2), step(2, "c", 3), step(3, "d", 0), step(0, "a", 1)];
        let (groups, fates) = order(&steps);
        assert_eq!(groups, [[2], [1], [0], [3]]);
        assert_eq!(fates, [Fate::Free; 4]);
    }

    #[test]
    fn a_ring_is_one_group_before_what_waits_for_it() {
        let steps = [step(9, "a", 1), step(1, "b", 2), step(2, "a2", 1)];
        let (groups, fates) = order(&steps);
        assert_eq!(groups, [vec![1, 2], vec![0]]);
        assert_eq!(fates, [Fate::Free; 3]);
    }

    #[test]
    fn a_path_ends_as_its_end_does() {
        let steps = [step(1, "b", 2), step(2, "c", 100), step(3, "e", 4), step(0, "f", 3), step(0, "f", 3)];
        let (groups, fates) = order(&steps);
        assert_eq!(groups, Vec::<Vec<usize>>::new());
        assert_eq!(fates, [Fate::Leaves, Fate::Leaves, Fate::Stuck, Fate::Stuck, Fate::Twin(3)]);
    }

    #[test]
    fn a_long_ring_is_told() {
        let length = MAX_RING as i64 + 1;
        let names: Vec<String> = (0..length).map(|number| number.to_string()).collect();
        let steps: Vec<Step<'_>> = (0..length)
            .map(|number| step(number + 1, &names[number as usize], (number + 1) % length + 1))
            .collect();
        let (groups, fates) = order(&steps);
        assert!(groups.is_empty() && fates.iter().all(|fate| *fate == Fate::LongRing(MAX_RING + 1)));
    }

    proptest! {
        /// Accounts 1 to 20 have the names 1 to 20; names are shuffled among some of
        /// them. Written in the order given, each group finds its names free.
        #[test]
        fn names_are_free_when_their_turn_comes(
            wanted in proptest::sample::subsequence((1_i64..=24).collect::<Vec<_>>(), 1..=20).prop_shuffle(),
            waits in proptest::collection::vec(any::<bool>(), 20),
        ) {
            let names: Vec<String> = wanted.iter().map(i64::to_string).collect();
            let steps: Vec<Step<'_>> = (1_i64..).zip(&wanted).zip(&names)
                .filter(|((account, _), _)| waits[*account as usize - 1])
                .map(|((account, wanted), name)| step(account, name, if *wanted <= 20 { *wanted } else { 0 }))
                .collect();
            let (groups, fates) = order(&steps);
            let mut held: std::collections::BTreeMap<i64, String> =
                (1..=20).map(|account| (account, account.to_string())).collect();
            for group in &groups {
                for index in group {
                    held.remove(&steps[*index].account.unwrap().0);
                }
                for index in group {
                    let name = steps[*index].name.to_owned();
                    prop_assert!(held.values().all(|other| *other != name), "{name} is taken");
                    held.insert(steps[*index].account.unwrap().0, name);
                }
            }
            let written: usize = groups.iter().map(Vec::len).sum();
            prop_assert_eq!(written, fates.iter().filter(|fate| **fate == Fate::Free).count());
            for (step, fate) in steps.iter().zip(&fates) {
                let name_stays = held.iter().any(|(id, name)| name == step.name && Some(SubjectId(*id)) != step.account);
                prop_assert_eq!(name_stays, *fate != Fate::Free);
            }
        }
    }
}
