//! Subjects and filters made of the same few values, so that they often meet.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;
use provisiond::domain::subject::{SubjectKind, SubjectStatus};
use serde_json::{Map, Value, json};

/// When the filters are evaluated.
pub fn now() -> DateTime<Utc> {
    "2024-03-01T12:00:00.000001Z".parse().unwrap()
}

/// What a subject is made of, before it has an id.
#[derive(Debug, Clone)]
pub struct Draft {
    pub kind: SubjectKind,
    pub name: String,
    pub external_id: Option<String>,
    pub status: SubjectStatus,
    pub attributes: Map<String, Value>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub deleted: bool,
    pub memberships: Vec<Membership>,
}

/// That a subject belongs to one of the containers of a world.
#[derive(Debug, Clone)]
pub struct Membership {
    pub container: usize,
    pub role: &'static str,
    pub valid_from: Option<DateTime<Utc>>,
    pub valid_through: Option<DateTime<Utc>>,
}

const STRINGS: [&str; 44] = [
    "", "a", "A", "b", "ab", "aB", "Ab c", "abab", "ä", "Ä", "ß", "SS", "é", "e\u{301}", "İ", "ı",
    "\u{212a}", "k", "😀", "\u{ffff}", "z", "Z", "_", "%", "[", "\\", "a\"b", "a'b", "$1", "{}", "null",
    "true", "5", "1e2", " a", "a ", "a\nb", "now", "now+1d", "NOW-1d", "a\u{7f}", "work", "Work", "@",
];

const TIMES: [&str; 30] = [
    "2024-01-31",
    "2024-01-31T00:00:00Z",
    "2024-01-31t01:00:00+01:00",
    "2024-01-30T23:59:59.999999Z",
    "2024-02-29",
    "2024-02-30",
    "2024-02-31",
    "2023-02-29",
    "1900-02-29",
    "2000-02-29",
    "0000-01-01",
    "0001-01-01",
    "0001-01-01T00:00:00+01:00",
    "0001-01-01T00:00:00-01:00",
    "9999-12-31",
    "9999-12-31T23:59:59-01:00",
    "2024-01-31T23:59:60Z",
    "2024-01-31T24:00:00Z",
    "2024-01-31T00:00:00.5Z",
    "2024-01-31T00:00:00.1234567Z",
    "2024-01-31T00:00:00.123456Z",
    "2024-01-31 00:00:00Z",
    "2024-01-31T00:00:00",
    "2024-01-31T00:00:00+24:00",
    "2024-01-31\n",
    "2024-3-01",
    "2024-03-01T12:00:00.000001Z",
    "2024-03-01T12:00:00.000000999Z",
    "2024-03-02T12:00:00.000001Z",
    "2024-13-01",
];

const NUMBERS: [f64; 17] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    5.0,
    100.0,
    0.1,
    0.3,
    0.300_000_000_000_000_04,
    0.5,
    1e-7,
    1e15,
    5e-324,
    -2.5,
    9_007_199_254_740_991.0,
    -9_007_199_254_740_991.0,
    9_007_199_254_740_990.0,
];

/// Names of members; the first ones are the frequent ones.
const NAMES: [&str; 14] =
    ["a", "a", "a", "b", "b", "b", "value", "value", "type", "c", "größe", "x-y", "$ref", "userName"];
const SCHEMA: &str = "urn:example:2.0:User";

fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(&STRINGS[..8]).prop_map(str::to_owned),
        4 => select(&STRINGS[..]).prop_map(str::to_owned),
        3 => select(&TIMES[..]).prop_map(str::to_owned),
        1 => (2023..2025_u32, 0..14_u32, 0..33_u32).prop_map(|(y, m, d)| format!("{y}-{m:02}-{d:02}")),
        1 => (0..25_u32, 58..61_u32, 0..12_345_678_u32, select(&["Z", "z", "+00:30", "-23:59", "+01:60", ""][..]))
            .prop_map(|(h, s, f, zone)| format!("2024-01-31T{h:02}:00:{s}.{f}{zone}")),
        1 => "[^\\x00]{0,3}",
        1 => "[a-bA-B]{1,4}",
    ]
}

/// Texts that are times, or nearly.
pub fn nearly_time() -> impl Strategy<Value = String> {
    let year = select(&["0000", "0001", "1900", "2000", "2023", "2024", "9999", "999"][..]);
    let day = (0..14_u32, prop_oneof![0..3_u32, 27..33_u32])
        .prop_map(|(month, day)| format!("{month:02}-{day:02}"));
    let hour = select(
        &["", "T00:00:00", "t23:59:59", "T23:59:60", "T24:00:00", "T12:60:00", "T7:00:00", " 12:00:00"][..],
    );
    let fraction = select(&["", "", ".", ".5", ".000001", ".999999999", ".1234567890"][..]);
    let zone =
        select(&["Z", "Z", "z", "", "+00:00", "-00:01", "+23:59", "+24:00", "-14:60", "+0100", "Z "][..]);
    let whole = (year, day, hour, fraction, zone).prop_map(|(year, day, hour, fraction, zone)| {
        if hour.is_empty() { format!("{year}-{day}") } else { format!("{year}-{day}{hour}{fraction}{zone}") }
    });
    prop_oneof![8 => whole, 1 => string()]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => select(&NUMBERS[..]).prop_map(|number| json!(number)),
        1 => (-3..101_i64).prop_map(|number| json!(number)),
        1 => (-1e6..1e6).prop_map(|number: f64| json!(number)),
        1 => (-1e15..1e15).prop_map(|number: f64| json!(number / 3.0)),
    ]
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        5 => string().prop_map(Value::from),
        3 => number(),
        2 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((select(&NAMES[..]), inner), 0..4).prop_map(object),
        ]
    })
}

fn object(members: Vec<(&'static str, Value)>) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn attributes() -> impl Strategy<Value = Map<String, Value>> {
    let member = (prop_oneof![12 => select(&NAMES[..]), 1 => Just(SCHEMA)], json());
    prop::collection::vec(member, 2..10)
        .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn time() -> impl Strategy<Value = DateTime<Utc>> {
    let known = ["2024-01-31T00:00:00Z", "2024-01-31T00:00:00.123456Z", "2024-03-02T12:00:00.000001Z"];
    prop_oneof![
        select(known.map(|time| time.parse().unwrap()).to_vec()),
        (-3_000_000_i64..3_000_000).prop_map(|seconds| now() + TimeDelta::seconds(seconds)),
        Just(now()),
    ]
}

fn membership(containers: usize) -> impl Strategy<Value = Membership> {
    let role = prop_oneof![5 => Just("member"), 1 => Just("owner")];
    (0..containers, role, prop::option::weighted(0.3, time()), prop::option::weighted(0.3, time())).prop_map(
        |(container, role, valid_from, valid_through)| Membership {
            container,
            role,
            valid_from,
            valid_through,
        },
    )
}

/// A subject that may belong to one of `containers`.
pub fn draft(containers: usize) -> impl Strategy<Value = Draft> {
    let kind = prop_oneof![8 => Just(SubjectKind::Account), 1 => Just(SubjectKind::Group)];
    (
        (kind, string(), prop::option::of(string()), select(SubjectStatus::ALL)),
        (attributes(), time(), time(), prop::bool::weighted(0.1)),
        prop::collection::vec(membership(containers), 0..5),
    )
        .prop_map(
            |(
                (kind, name, external_id, status),
                (attributes, created_at, updated_at, deleted),
                memberships,
            )| {
                Draft {
                    kind,
                    name,
                    external_id,
                    status,
                    attributes,
                    created_at,
                    updated_at,
                    deleted,
                    memberships,
                }
            },
        )
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn operator(words: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    select(words)
}

const ALL: &[&str] = &["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "EQ", "Ne"];
const COMPARING: &[&str] = &["eq", "ne", "gt", "ge", "lt", "le"];
const ORDERING: &[&str] = &["gt", "ge", "lt", "le"];
const EQUALITY: &[&str] = &["eq", "ne"];

fn text_check() -> BoxedStrategy<String> {
    prop_oneof![
        8 => (operator(ALL), string()).prop_map(|(operator, text)| format!("{operator} {}", quoted(&text))),
        1 => operator(EQUALITY).prop_map(|operator| format!("{operator} null")),
        1 => Just("pr".to_owned()),
    ]
    .boxed()
}

fn time_check() -> BoxedStrategy<String> {
    let relative = select(&["now", "now+1d", "now-4w", "now+999h", "now-1m", "NOW+2w"][..]);
    prop_oneof![
        4 => (operator(COMPARING), select(&TIMES[..])).prop_map(|(op, time)| format!("{op} {}", quoted(time))),
        2 => (operator(ORDERING), relative).prop_map(|(op, time)| format!("{op} {}", quoted(time))),
    ]
    .boxed()
}

fn any_check() -> BoxedStrategy<String> {
    prop_oneof![
        5 => text_check(),
        2 => time_check(),
        3 => (operator(COMPARING), number()).prop_map(|(operator, number)| format!("{operator} {number}")),
        1 => (operator(EQUALITY), any::<bool>()).prop_map(|(operator, value)| format!("{operator} {value}")),
    ]
    .boxed()
}

fn path() -> impl Strategy<Value = String> {
    let names = |length| prop::collection::vec(select(&NAMES[..]), length).prop_map(|names| names.join("."));
    prop_oneof![6 => names(1), 3 => names(2), 1 => names(3)]
}

/// Tests within brackets, or of attributes when `prefix` says so.
fn json_test(depth: u32) -> BoxedStrategy<String> {
    let plain = (path(), any_check()).prop_map(|(path, check)| format!("{path} {check}"));
    if depth == 0 {
        return plain.boxed();
    }
    let condition = || logical(json_test(depth - 1).boxed());
    prop_oneof![
        3 => plain,
        1 => (path(), condition()).prop_map(|(path, condition)| format!("{path}[{condition}]")),
        1 => (path(), condition(), path(), any_check())
            .prop_map(|(path, condition, behind, check)| format!("{path}[{condition}].{behind} {check}")),
    ]
    .boxed()
}

fn container_test() -> BoxedStrategy<String> {
    let field = select(&["displayName", "externalId", "id", "value", "display"][..]);
    (field, text_check()).prop_map(|(field, check)| format!("{field} {check}")).boxed()
}

fn containers_test() -> BoxedStrategy<String> {
    let name = || select(&["groups", "organization", "GROUPS"][..]);
    prop_oneof![
        (name(), text_check()).prop_map(|(name, check)| format!("{name} {check}")),
        (name(), container_test()).prop_map(|(name, test)| format!("{name}.{test}")),
        (name(), logical(container_test())).prop_map(|(name, condition)| format!("{name}[{condition}]")),
        (name(), logical(container_test()), container_test())
            .prop_map(|(name, condition, test)| format!("{name}[{condition}].{test}")),
    ]
    .boxed()
}

fn subject_test() -> BoxedStrategy<String> {
    let text = select(&["userName", "externalId", "displayName", "id", "USERNAME"][..]);
    let time = select(&["createdAt", "updatedAt", "meta.created", "meta.lastModified"][..]);
    let status = (operator(EQUALITY), select(SubjectStatus::ALL))
        .prop_map(|(op, word)| format!("status {op} \"{word}\""));
    let prefix = select(&["attributes.", "attributes.", "attributes.", "urn:example:2.0:User:"][..]);
    Union::new_weighted(vec![
        (3, (text, text_check()).prop_map(|(name, check)| format!("{name} {check}")).boxed()),
        (1, (time, time_check()).prop_map(|(name, check)| format!("{name} {check}")).boxed()),
        (1, status.boxed()),
        (3, containers_test()),
        (9, json_test(2)),
        (3, (prefix, json_test(1)).prop_map(|(prefix, test)| format!("{prefix}{test}")).boxed()),
    ])
    .boxed()
}

fn logical(test: BoxedStrategy<String>) -> BoxedStrategy<String> {
    test.prop_recursive(2, 6, 3, |inner| {
        let parts = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            2 => inner.clone(),
            1 => parts.clone().prop_map(|parts| parts.join(" and ")),
            1 => parts.prop_map(|parts| parts.join(" or ")),
            1 => inner.clone().prop_map(|test| format!("not ({test})")),
            1 => inner.prop_map(|test| format!("({test})")),
        ]
    })
    .boxed()
}

/// The text of a filter; a few are refused when read.
pub fn filter() -> impl Strategy<Value = String> {
    logical(subject_test())
}
