//! Filters as SQL. Every rule here has its counterpart in
//! `domain::filter::evaluate`; a property test holds the two equal.
//!
//! Nothing that a person wrote becomes part of the SQL: names and literals
//! travel in one `text[]` parameter, the SQL only counts its elements.

mod json;

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::domain::filter::Filter;
use crate::domain::filter::ast::{
    Check, ContainerField, ContainerTest, ContainersTest, Expression, Field, Literal, Operator, SubjectTest,
};
use crate::domain::filter::text::{Case, Text};

/// A filter as a condition of a `WHERE` clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlFilter {
    /// A boolean expression over the table `subjects` under the alias `s`, in
    /// parentheses where it needs them. It is never NULL.
    pub sql: String,
    /// What to bind, as `text[]`, to the parameter that was named.
    pub values: Vec<String>,
}

/// Compiles a filter. `parameter` is the number of the caller's parameter that
/// [`SqlFilter::values`] will be bound to; `now` decides about relative times
/// and about which memberships are in force.
pub fn compile(filter: &Filter, parameter: usize, now: DateTime<Utc>) -> SqlFilter {
    let mut compiler = Compiler { parameter, now, values: Vec::new(), aliases: 0 };
    let sql = match filter.expression() {
        Some(expression) => compiler.expression(expression, &mut Compiler::subject),
        None => "true".into(),
    };
    SqlFilter { sql, values: compiler.values }
}

struct Compiler {
    parameter: usize,
    now: DateTime<Utc>,
    values: Vec<String>,
    aliases: usize,
}

type Leaf<'f, T> = &'f mut dyn FnMut(&mut Compiler, &T) -> String;

impl Compiler {
    /// A reference to a value, which the SQL then casts as it needs it.
    fn bind(&mut self, value: impl Into<String>) -> String {
        let value = value.into();
        let index = self.values.iter().position(|known| *known == value).unwrap_or_else(|| {
            self.values.push(value);
            self.values.len() - 1
        });
        format!("(${}::text[])[{}]", self.parameter, index + 1)
    }

    fn alias(&mut self, letter: char) -> String {
        self.aliases += 1;
        format!("{letter}{}", self.aliases)
    }

    fn expression<T>(&mut self, expression: &Expression<T>, leaf: Leaf<'_, T>) -> String {
        match expression {
            Expression::All(parts) => self.joined(parts, " AND ", leaf),
            Expression::Any(parts) => self.joined(parts, " OR ", leaf),
            Expression::Not(part) => format!("(NOT {})", self.expression(part, leaf)),
            Expression::Test(test) => leaf(self, test),
        }
    }

    fn joined<T>(&mut self, parts: &[Expression<T>], separator: &str, leaf: Leaf<'_, T>) -> String {
        let parts: Vec<_> = parts.iter().map(|part| self.expression(part, leaf)).collect();
        format!("({})", parts.join(separator))
    }

    fn subject(&mut self, test: &SubjectTest) -> String {
        match test {
            SubjectTest::Core(field, check) => negate(check, self.core(*field, check)),
            SubjectTest::Containers(test) => negate(&test.check, self.containers(test)),
            SubjectTest::Attributes(test) => self.json("s.attributes", test),
        }
    }

    fn core(&mut self, field: Field, check: &Check) -> String {
        match field {
            Field::UserName => self.text("s.user_name", Case::Folded, check),
            Field::DisplayName => self.text("s.display_name", Case::Folded, check),
            Field::ExternalId => self.text("s.external_id", Case::Exact, check),
            Field::Status => self.text("s.status", Case::Folded, check),
            Field::Id => self.text("s.id::text", Case::Exact, check),
            Field::CreatedAt => self.time("s.created_at", check),
            Field::UpdatedAt => self.time("s.updated_at", check),
        }
    }

    /// A condition on a column that may be NULL. Not `coalesce`, which would
    /// keep the planner from using an index on the column.
    fn text(&mut self, column: &str, case: Case, check: &Check) -> String {
        match check {
            Check::Present | Check::Compare(_, Literal::Null) => {
                format!("({column} IS NOT NULL AND {column} <> '')")
            }
            Check::Compare(operator, Literal::Text(text)) => {
                let condition = self.relation(column, *operator, text, case);
                format!("({column} IS NOT NULL AND {condition})")
            }
            Check::Compare(..) => "false".into(),
        }
    }

    fn relation(&mut self, value: &str, operator: Operator, text: &Text, case: Case) -> String {
        let literal = self.bind(text.compared(case));
        let value = match case {
            Case::Folded => format!("lower({value} COLLATE \"C\")"),
            Case::Exact => format!("({value} COLLATE \"C\")"),
        };
        match operator {
            Operator::Co => format!("strpos({value}, {literal}) > 0"),
            Operator::Sw => format!("starts_with({value}, {literal})"),
            Operator::Ew => format!("right({value}, length({literal})) = {literal}"),
            _ => format!("{value} {} {literal}", symbol(operator)),
        }
    }

    fn time(&mut self, column: &str, check: &Check) -> String {
        match check {
            Check::Present | Check::Compare(_, Literal::Null) => "true".into(),
            Check::Compare(operator, Literal::Text(text)) => match text.moment() {
                Some(moment) => {
                    let literal = DateTime::from_timestamp_micros(moment.micros(self.now.timestamp_micros()));
                    let literal = self.instant(literal.unwrap_or(self.now));
                    format!("({column} {} {literal})", symbol(*operator))
                }
                None => "false".into(),
            },
            Check::Compare(..) => "false".into(),
        }
    }

    fn instant(&mut self, instant: DateTime<Utc>) -> String {
        let value = self.bind(instant.to_rfc3339_opts(SecondsFormat::Micros, true));
        format!("{value}::timestamptz")
    }

    fn containers(&mut self, test: &ContainersTest) -> String {
        let now = self.instant(self.now);
        let mut sql = format!(
            "EXISTS (SELECT FROM memberships m JOIN subjects g ON g.id = m.container_id \
             WHERE m.member_id = s.id AND m.role = 'member' AND g.kind = '{}' AND g.deleted_at IS NULL \
             AND (m.valid_from IS NULL OR m.valid_from <= {now}) \
             AND (m.valid_through IS NULL OR m.valid_through > {now})",
            test.kind
        );
        if let Some(condition) = &test.condition {
            let condition = self.expression(condition, &mut Self::container);
            let _ = write!(sql, " AND {condition}");
        }
        let _ = write!(sql, " AND {})", self.container_check(test));
        sql
    }

    fn container_check(&mut self, test: &ContainersTest) -> String {
        match (test.field, &test.check) {
            (Some(field), check) => self.container_field(field, check),
            (None, Check::Present | Check::Compare(_, Literal::Null)) => "true".into(),
            (None, check) => {
                let any: Vec<_> =
                    ContainerField::ALL.iter().map(|field| self.container_field(*field, check)).collect();
                format!("({})", any.join(" OR "))
            }
        }
    }

    fn container(&mut self, test: &ContainerTest) -> String {
        negate(&test.check, self.container_field(test.field, &test.check))
    }

    fn container_field(&mut self, field: ContainerField, check: &Check) -> String {
        match field {
            ContainerField::DisplayName => self.text("g.display_name", Case::Folded, check),
            ContainerField::ExternalId => self.text("g.external_id", Case::Exact, check),
            ContainerField::Id => self.text("g.id::text", Case::Exact, check),
        }
    }
}

fn negate(check: &Check, sql: String) -> String {
    if check.negated() { format!("(NOT {sql})") } else { sql }
}

/// The SQL operator of one that compares; the others are functions.
fn symbol(operator: Operator) -> &'static str {
    match operator {
        Operator::Gt => ">",
        Operator::Ge => ">=",
        Operator::Lt => "<",
        Operator::Le => "<=",
        _ => "=",
    }
}
