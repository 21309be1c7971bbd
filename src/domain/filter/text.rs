//! String literals, prepared once so that a comparison allocates nothing.

use std::cmp::Ordering;

use super::ast::Operator;
use super::time::Moment;

/// Whether letters that differ only in case are the same. Only ASCII letters
/// fold, in memory and in SQL alike, whatever the locale of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// `A` is `a`.
    Folded,
    /// `A` is not `a`.
    Exact,
}

/// A string literal.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    raw: String,
    folded: String,
    moment: Option<Moment>,
}

impl Text {
    /// Prepares a literal for the operator that it is compared by: only those
    /// that compare read it as a time, and only those that order as a relative one.
    pub(super) fn new(raw: String, operator: Operator) -> Self {
        let moment = match Moment::read(&raw) {
            Some(Moment::Relative(_)) if !operator.orders() => None,
            _ if operator.searches() => None,
            moment => moment,
        };
        Self { folded: raw.to_ascii_lowercase(), raw, moment }
    }

    /// As it was written.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// What is compared.
    pub fn compared(&self, case: Case) -> &str {
        match case {
            Case::Folded => &self.folded,
            Case::Exact => &self.raw,
        }
    }

    /// The time that it names, if it is to be compared as one.
    pub fn moment(&self) -> Option<Moment> {
        self.moment
    }

    /// Whether `value` stands in the relation to the literal. Orders are by
    /// bytes, which in UTF-8 is by code points.
    pub(super) fn accepts(&self, operator: Operator, value: &str, case: Case) -> bool {
        let (value, literal) = (value.as_bytes(), self.compared(case).as_bytes());
        match operator {
            Operator::Eq | Operator::Ne => same(value, literal, case),
            Operator::Co => contains(value, literal, case),
            Operator::Sw => value.get(..literal.len()).is_some_and(|head| same(head, literal, case)),
            Operator::Ew => {
                let start = value.len().checked_sub(literal.len());
                start.and_then(|start| value.get(start..)).is_some_and(|tail| same(tail, literal, case))
            }
            _ => admits(operator, order(value, literal, case)),
        }
    }
}

/// Whether an operator that compares holds for two values in this order.
pub(super) fn admits(operator: Operator, ordering: Ordering) -> bool {
    match operator {
        Operator::Eq | Operator::Ne => ordering.is_eq(),
        Operator::Gt => ordering.is_gt(),
        Operator::Ge => ordering.is_ge(),
        Operator::Lt => ordering.is_lt(),
        Operator::Le => ordering.is_le(),
        Operator::Co | Operator::Sw | Operator::Ew => false,
    }
}

fn same(value: &[u8], literal: &[u8], case: Case) -> bool {
    match case {
        Case::Folded => value.eq_ignore_ascii_case(literal),
        Case::Exact => value == literal,
    }
}

fn contains(value: &[u8], literal: &[u8], case: Case) -> bool {
    literal.is_empty() || value.windows(literal.len()).any(|window| same(window, literal, case))
}

fn order(value: &[u8], literal: &[u8], case: Case) -> Ordering {
    match case {
        Case::Folded => value.iter().map(u8::to_ascii_lowercase).cmp(literal.iter().copied()),
        Case::Exact => value.cmp(literal),
    }
}
