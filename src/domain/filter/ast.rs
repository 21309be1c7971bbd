//! What a filter says, once read: names are resolved, literals prepared, and
//! what cannot be true for its type was refused.

use super::text::Text;
use crate::domain::status::words;
use crate::domain::subject::SubjectKind;

/// Tests joined by `and`, `or` and `not`; `T` is what a single test may name.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression<T> {
    /// `and`: two or more, none of them an `All`.
    All(Vec<Self>),
    /// `or`: two or more, none of them an `Any`.
    Any(Vec<Self>),
    /// `not (…)`
    Not(Box<Self>),
    /// One attribute expression or value path.
    Test(T),
}

impl<T> Expression<T> {
    /// Joins by `and`; nested ones become one list, so that equal meanings
    /// have one form.
    pub(super) fn all(parts: Vec<Self>) -> Self {
        let flat = parts.into_iter().flat_map(|part| match part {
            Self::All(inner) => inner,
            other => vec![other],
        });
        single(flat.collect(), Self::All)
    }

    /// Joins by `or`, like [`Self::all`].
    pub(super) fn any(parts: Vec<Self>) -> Self {
        let flat = parts.into_iter().flat_map(|part| match part {
            Self::Any(inner) => inner,
            other => vec![other],
        });
        single(flat.collect(), Self::Any)
    }

    /// Whether it holds, given whether each test does.
    pub(super) fn holds(&self, test: &impl Fn(&T) -> bool) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(test)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(test)),
            Self::Not(part) => !part.holds(test),
            Self::Test(leaf) => test(leaf),
        }
    }
}

fn single<T>(mut parts: Vec<T>, join: impl FnOnce(Vec<T>) -> T) -> T {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            join(parts)
        }
        None => join(parts),
    }
}

/// A test of a subject.
#[derive(Debug, Clone, PartialEq)]
pub enum SubjectTest {
    /// Of a field that every subject has.
    Core(Field, Check),
    /// Of the groups or the organization.
    Containers(ContainersTest),
    /// Of anything else; the steps begin with a member.
    Attributes(JsonTest),
}

words!(
    /// The fields that every subject has, by their names in filters.
    Field {
        /// Log-in name.
        UserName = "userName",
        /// The id that the source gave it; compared exactly.
        ExternalId = "externalId",
        /// Name for people.
        DisplayName = "displayName",
        /// The id that the store gave it; compared exactly, as text.
        Id = "id",
        /// Life cycle.
        Status = "status",
        /// When it came in (`meta.created`).
        CreatedAt = "createdAt",
        /// When it last changed (`meta.lastModified`).
        UpdatedAt = "updatedAt",
    }
);

words!(
    /// What can be said of one group or organization.
    ContainerField {
        /// Its name.
        DisplayName = "displayName",
        /// The id that its source gave it; compared exactly.
        ExternalId = "externalId",
        /// The id that the store gave it; compared exactly, as text.
        Id = "id",
    }
);

/// A test of the containers of a subject: true when any of them passes.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainersTest {
    /// Groups or organizations.
    pub kind: SubjectKind,
    /// `groups[…]`: only those for which it holds.
    pub condition: Option<Expression<ContainerTest>>,
    /// What is compared; `None` is any of the fields.
    pub field: Option<ContainerField>,
    /// How it is compared.
    pub check: Check,
}

/// A test of one group or organization, within brackets.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerTest {
    /// What is compared.
    pub field: ContainerField,
    /// How it is compared.
    pub check: Check,
}

/// A test of a JSON value: true when any of the values that the steps lead to
/// passes.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonTest {
    /// The way to the values; never empty, never two `Where` in a row.
    pub steps: Vec<Step>,
    /// How they are compared; `Present` behind a final `Where`.
    pub check: Check,
}

/// One step into a JSON value. Each first unwraps an array, by one level.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// `.name`, case-sensitive.
    Member(String),
    /// `[…]`: only the elements for which it holds (RFC 7644 §3.4.2.2, valuePath).
    Where(Expression<JsonTest>),
}

/// What one value must satisfy.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// `pr`: there is a value that is not empty.
    Present,
    /// An operator and what stands at its right.
    Compare(Operator, Literal),
}

impl Check {
    /// Whether the test is true exactly when *no* value is accepted: `ne`, and
    /// `eq null`.
    pub fn negated(&self) -> bool {
        match self {
            Self::Present => false,
            Self::Compare(operator, Literal::Null) => *operator == Operator::Eq,
            Self::Compare(operator, _) => *operator == Operator::Ne,
        }
    }
}

words!(
    /// The comparison operators (RFC 7644 §3.4.2.2, table 3) besides `pr`.
    Operator {
        /// Equal.
        Eq = "eq",
        /// Not equal.
        Ne = "ne",
        /// Contains.
        Co = "co",
        /// Starts with.
        Sw = "sw",
        /// Ends with.
        Ew = "ew",
        /// Greater than.
        Gt = "gt",
        /// Greater than or equal to.
        Ge = "ge",
        /// Less than.
        Lt = "lt",
        /// Less than or equal to.
        Le = "le",
    }
);

impl Operator {
    /// `gt`, `ge`, `lt` and `le`.
    pub fn orders(self) -> bool {
        matches!(self, Self::Gt | Self::Ge | Self::Lt | Self::Le)
    }

    /// `co`, `sw` and `ew`.
    pub fn searches(self) -> bool {
        matches!(self, Self::Co | Self::Sw | Self::Ew)
    }
}

/// What stands at the right of an operator: a JSON value (RFC 7159) that is
/// neither array nor object.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// A string.
    Text(Text),
    /// A number; numbers compare as IEEE 754 doubles.
    Number(f64),
    /// `true` or `false`.
    Bool(bool),
    /// `null`, which stands for "not present".
    Null,
}
