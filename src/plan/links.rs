//! How the targets of a store are tied to each other: what one needs by
//! `dependsOn`, and whom it comes after by `order`. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::ids::TargetId;
use crate::domain::target::Target;

/// What of a target decides about its ties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Which one.
    pub id: TargetId,
    /// Lowest first.
    pub order: i32,
    /// The engine serves it; one that is not served takes part in nothing.
    pub served: bool,
    /// What it depends on.
    pub needs: Vec<TargetId>,
}

impl From<&Target> for Node {
    fn from(target: &Target) -> Self {
        let settings = &target.settings;
        Self {
            id: target.id,
            order: settings.order,
            served: settings.is_served(),
            needs: target.needs.clone(),
        }
    }
}

/// How another target is tied to this one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tie {
    /// This one depends on it.
    pub needed: bool,
    /// It depends on this one.
    pub dependent: bool,
    /// It comes before this one.
    pub earlier: bool,
    /// It comes after this one.
    pub later: bool,
}

impl Tie {
    fn exists(self) -> bool {
        self != Self::default()
    }
}

/// The ties of one target; empty for most, which then pay nothing for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links(BTreeMap<TargetId, Tie>);

impl Links {
    /// Those of `target` among the live targets of its store.
    pub fn of(target: TargetId, nodes: &[Node]) -> Self {
        let ranks = ranks(nodes);
        let Some(me) = nodes.iter().find(|node| node.id == target) else { return Self::default() };
        let tie = |other: &Node| Tie {
            needed: me.needs.contains(&other.id),
            dependent: other.served && other.needs.contains(&me.id),
            earlier: other.served && ranks.get(&other.id) < ranks.get(&me.id),
            later: other.served && ranks.get(&other.id) > ranks.get(&me.id),
        };
        let ties = nodes.iter().filter(|other| other.id != target).map(|other| (other.id, tie(other)));
        Self(ties.filter(|(_, tie)| tie.exists()).collect())
    }

    /// Whether the target goes its way alone.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How another target is tied to it.
    pub fn tie(&self, other: TargetId) -> Tie {
        self.0.get(&other).copied().unwrap_or_default()
    }

    /// All that are tied to it.
    pub fn all(&self) -> Vec<TargetId> {
        self.0.keys().copied().collect()
    }

    /// Those that depend on it.
    pub fn dependents(&self) -> Vec<TargetId> {
        self.0.iter().filter(|(_, tie)| tie.dependent).map(|(id, _)| *id).collect()
    }
}

/// The order in which the targets really come: a target never comes before what
/// it depends on, whatever numbers say. So order and dependencies together have
/// no cycle, and none can wait for itself.
fn ranks(nodes: &[Node]) -> BTreeMap<TargetId, i32> {
    let mut ranks: BTreeMap<TargetId, i32> =
        nodes.iter().filter(|node| node.served).map(|node| (node.id, node.order)).collect();
    // The longest chain has as many links as there are targets.
    for _ in 0..nodes.len() {
        let mut changed = false;
        for node in nodes.iter().filter(|node| node.served) {
            let needed = node.needs.iter().filter_map(|id| ranks.get(id)).max().copied();
            if let (Some(rank), Some(needed)) = (ranks.get_mut(&node.id), needed)
                && *rank < needed
            {
                (*rank, changed) = (needed, true);
            }
        }
        if !changed {
            break;
        }
    }
    ranks
}

/// A way from `target` back to itself along `needs`, both ends included;
/// `None` when there is none.
pub fn cycle(target: TargetId, nodes: &[Node]) -> Option<Vec<TargetId>> {
    let needs: BTreeMap<TargetId, &[TargetId]> =
        nodes.iter().map(|node| (node.id, node.needs.as_slice())).collect();
    let mut seen = BTreeSet::new();
    let mut ways = vec![vec![target]];
    while let Some(way) = ways.pop() {
        let last = way.last().copied().unwrap_or(target);
        for next in needs.get(&last).copied().unwrap_or_default() {
            let further = way.iter().copied().chain([*next]).collect();
            if *next == target {
                return Some(further);
            }
            if seen.insert(*next) {
                ways.push(further);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(id: i64, order: i32, needs: &[i64]) -> Node {
        let needs = needs.iter().copied().map(TargetId).collect();
        Node { id: TargetId(id), order, served: true, needs }
    }

    #[test]
    fn targets_of_equal_order_are_not_tied() {
        let nodes = [node(1, 0, &[]), node(2, 0, &[])];
        assert!(Links::of(TargetId(1), &nodes).is_empty());
    }

    #[test]
    fn a_target_comes_after_what_it_depends_on_whatever_its_order() {
        let nodes = [node(1, 1, &[3]), node(2, 2, &[]), node(3, 3, &[])];
        let first = Links::of(TargetId(1), &nodes);
        assert_eq!(first.tie(TargetId(3)), Tie { needed: true, ..Tie::default() });
        assert_eq!(first.tie(TargetId(2)), Tie { earlier: true, ..Tie::default() });
        assert_eq!(Links::of(TargetId(3), &nodes).dependents(), [TargetId(1)]);
    }

    #[test]
    fn a_disabled_target_takes_part_in_nothing_but_is_known_to_who_needs_it() {
        let nodes = [node(1, 0, &[2]), Node { served: false, ..node(2, 5, &[]) }];
        let tie = Links::of(TargetId(1), &nodes).tie(TargetId(2));
        assert_eq!(tie, Tie { needed: true, ..Tie::default() });
    }

    #[test]
    fn a_cycle_is_found_with_the_way_that_it_takes() {
        let nodes = [node(1, 0, &[4, 2]), node(2, 0, &[3]), node(3, 0, &[1]), node(4, 0, &[])];
        let way = cycle(TargetId(1), &nodes).unwrap();
        assert_eq!(way, [1, 2, 3, 1].map(TargetId));
        assert_eq!(cycle(TargetId(4), &nodes), None);
    }

    proptest! {
        /// Whatever orders and (acyclic) dependencies say, waiting for what is
        /// needed and for what comes earlier never leads back.
        #[test]
        fn nobody_waits_for_itself(
            orders in proptest::collection::vec(0_i32..4, 2..7),
            edges in proptest::collection::vec((0_usize..7, 0_usize..7), 0..12),
        ) {
            let count = orders.len();
            let mut nodes: Vec<Node> =
                orders.iter().enumerate().map(|(i, order)| node(i as i64, *order, &[])).collect();
            for (from, to) in edges {
                if to < from && from < count {
                    nodes[from].needs.push(TargetId(to as i64));
                }
            }
            let mut waits = nodes.clone();
            for node in &mut waits {
                let links = Links::of(node.id, &nodes);
                node.needs = links.all();
                node.needs.retain(|id| links.tie(*id).needed || links.tie(*id).earlier);
            }
            for node in &nodes {
                prop_assert_eq!(cycle(node.id, &waits), None);
                let links = Links::of(node.id, &nodes);
                for other in links.all() {
                    let (there, back) = (links.tie(other), Links::of(other, &nodes).tie(node.id));
                    prop_assert_eq!((there.needed, there.earlier), (back.dependent, back.later));
                }
            }
        }
    }
}
