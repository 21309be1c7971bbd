//! Tests of attributes: jsonpath finds the values, SQL compares them. jsonpath
//! alone would not do, as its own comparisons know no ASCII folding and no
//! times. Its lax mode unwraps an array by one level before each member, and
//! `[*]` does at the end, which is what filters say of many values.

use super::{Compiler, negate, symbol};
use crate::domain::filter::ast::{Check, JsonTest, Literal, Operator, Step};
use crate::domain::filter::text::{Case, Text};
use crate::domain::filter::time::Moment;

/// The `FROM` and `WHERE` that lead to the values of a path.
struct Way {
    sources: Vec<String>,
    conditions: Vec<String>,
}

impl Compiler {
    /// A test of the JSON value `context`.
    pub(super) fn json(&mut self, context: &str, test: &JsonTest) -> String {
        let mut way = Way { sources: Vec::new(), conditions: Vec::new() };
        let mut context = context.to_owned();
        let mut value = String::new();
        // The members as far as the next condition are one jsonpath.
        for steps in test.steps.chunk_by(|step, _| matches!(step, Step::Member(_))) {
            value = self.follow(&context, steps, &mut way);
            context = opened(&value);
        }
        let accepted = self.accepts(&value, &test.check, &mut way);
        way.conditions.push(accepted);
        let (sources, conditions) = (way.sources.join(", "), way.conditions.join(" AND "));
        negate(&test.check, format!("EXISTS (SELECT FROM {sources} WHERE {conditions})"))
    }

    /// Goes from one JSON value through members and perhaps a condition.
    fn follow(&mut self, context: &str, steps: &[Step], way: &mut Way) -> String {
        let alias = self.alias('e');
        let path = self.bind(path(steps));
        way.sources.push(format!("jsonb_path_query({context}, {path}::jsonpath) AS {alias}(v)"));
        let value = format!("{alias}.v");
        if let Some(Step::Where(condition)) = steps.last() {
            let inner = opened(&value);
            way.conditions
                .push(self.expression(condition, &mut |compiler, test| compiler.json(&inner, test)));
        }
        value
    }

    fn accepts(&mut self, value: &str, check: &Check, way: &mut Way) -> String {
        let (operator, literal) = match check {
            Check::Present | Check::Compare(_, Literal::Null) => {
                return format!("{value} NOT IN ('null', '\"\"', '[]', '{{}}')");
            }
            Check::Compare(operator, literal) => (*operator, literal),
        };
        let alias = self.alias('x');
        // An object is compared by its member `value`.
        way.sources.push(format!(
            "LATERAL (SELECT CASE jsonb_typeof({value}) WHEN 'object' THEN {value} -> 'value' ELSE {value} END) \
             AS {alias}(v)"
        ));
        match literal {
            Literal::Text(text) => {
                let relation = self.text_relation(&format!("({alias}.v #>> '{{}}')"), operator, text);
                format!("jsonb_typeof({alias}.v) = 'string' AND {relation}")
            }
            Literal::Number(number) => {
                // jsonb compares numbers as exact decimals; those of attributes
                // are the shortest that name a double, so the verdict is that of doubles.
                let literal = self.bind(number.to_string());
                format!(
                    "jsonb_typeof({alias}.v) = 'number' AND {alias}.v {} {literal}::jsonb",
                    symbol(operator)
                )
            }
            Literal::Bool(value) => format!("{alias}.v = '{value}'"),
            Literal::Null => "false".into(),
        }
    }

    /// Two times compare as times; a relative time compares with nothing else.
    fn text_relation(&mut self, value: &str, operator: Operator, text: &Text) -> String {
        let Some(moment) = text.moment() else {
            return self.relation(value, operator, text, Case::Folded);
        };
        let micros = self.bind(moment.micros(self.now.timestamp_micros()).to_string());
        let otherwise = match moment {
            Moment::Relative(_) => "false".into(),
            Moment::At(_) => self.relation(value, operator, text, Case::Folded),
        };
        format!("coalesce(filter_instant({value}) {} {micros}::bigint, {otherwise})", symbol(operator))
    }
}

/// The jsonpath through members to the values behind the last.
fn path(steps: &[Step]) -> String {
    let members = steps.iter().filter_map(|step| match step {
        Step::Member(name) => Some(format!(".{}", serde_json::Value::from(name.as_str()))),
        Step::Where(_) => None,
    });
    format!("${}[*]", members.collect::<String>())
}

/// In brackets or behind them a simple value stands for the object `{"value": it}`.
fn opened(value: &str) -> String {
    format!(
        "CASE jsonb_typeof({value}) WHEN 'object' THEN {value} ELSE jsonb_build_object('value', {value}) END"
    )
}
