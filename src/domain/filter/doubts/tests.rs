use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::ids::{StoreId, SubjectId};
use crate::domain::subject::{Subject, SubjectStatus};

fn sample(accounts: &[Value]) -> Sample {
    let accounts = accounts.iter().map(|account| account.as_object().unwrap().clone()).collect();
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    Sample { accounts, whole: true, groups: names(&["Staff", "Faculty"]), organizations: names(&[]) }
}

fn told(filter: &str, accounts: &[Value]) -> Vec<String> {
    let sample = sample(accounts);
    let doubts = Filter::parse(filter).unwrap().doubts(&sample);
    doubts.iter().map(|doubt| doubt.sentence(&sample)).collect()
}

fn people() -> Vec<Value> {
    vec![
        json!({
            "department": "Physics", "level": 3, "contractor": true, "endDate": "2031-12-31",
            "address": { "city": "Bonn" }, "tags": ["red"], "left": null,
            "emails": [{ "type": "work", "value": "a@example.org" }],
        }),
        json!({ "department": "Law", "level": 5, "endDate": "2030-01-01", "since": "31.12.2001" }),
    ]
}

#[test]
fn a_filter_that_names_what_there_is_raises_no_doubt() {
    for filter in [
        "",
        r#"userName sw "a" and department eq "Physics""#,
        r#"department eq "Chemistry" or level gt 2 or contractor eq true"#,
        r#"emails[type eq "work" and value ew "@example.org"].value pr"#,
        r#"emails.type eq "home" and address.city eq "Bonn" and tags[value eq "red"]"#,
        r#"groups eq "staff" or groups[displayName eq "Faculty"] or groups eq "17" or groups pr"#,
        r#"endDate gt "2024-01-31" and department gt "M" and emails co "@""#,
        r#"createdAt gt "2024-01-31""#,
        r#"not (endDate pr)"#,
    ] {
        assert_eq!(told(filter, &people()), Vec::<String>::new(), "{filter}");
    }
}

#[test]
fn names_that_nobody_has_are_told() {
    let one = |filter: &str| told(filter, &people()).join(" | ");
    assert_eq!(
        one(r#"departement eq "Physics""#),
        "no account has `departement`; did you mean `department`?"
    );
    assert_eq!(one(r#"not (Department pr)"#), "no account has `Department`; did you mean `department`?");
    assert_eq!(one(r#"costCenter eq "7""#), "no account has `costCenter`");
    assert_eq!(one("left pr"), "no account has `left`");
    assert_eq!(one(r#"address.cty eq "Bonn""#), "no account has `address.cty`; did you mean `address.city`?");
    assert_eq!(one(r#"emails[typ eq "work"]"#), "no account has `emails.typ`; did you mean `emails.type`?");
    assert_eq!(one(r#"tags[valu eq "red"]"#), "no account has `tags.valu`; did you mean `tags.value`?");
    assert_eq!(one(r#"groups eq "Staf""#), "there is no group `Staf`; did you mean `Staff`?");
    assert_eq!(one(r#"organization eq "Physics""#), "there is no organization `Physics`");
    let part = Sample { whole: false, ..sample(&people()) };
    let doubts = Filter::parse("departement pr").unwrap().doubts(&part);
    assert_eq!(
        doubts[0].sentence(&part),
        "none of the 2 accounts that were looked at has `departement`; did you mean `department`?"
    );
    assert_eq!(doubts[0].code(), "unknownAttribute");
    // An empty store says nothing, and neither do groups that are too many.
    assert_eq!(told("departement pr", &[]), Vec::<String>::new());
    let many = Sample { groups: None, ..sample(&people()) };
    assert_eq!(Filter::parse(r#"groups eq "Staf""#).unwrap().doubts(&many), []);
}

#[test]
fn types_that_never_meet_are_told() {
    let one = |filter: &str| told(filter, &people()).join(" | ");
    assert_eq!(
        one(r#"level eq "3""#),
        "`level` is compared with text, and no account has one there, only numbers: types are never converted"
    );
    assert!(one("department eq 7").starts_with("`department` is compared with a number"));
    assert!(one("department eq true").starts_with("`department` is compared with `true` or `false`"));
}

#[test]
fn what_was_meant_as_a_time_is_told() {
    let texts = |filter: &str| told(filter, &people());
    for (filter, literal) in [
        (r#"endDate gt "today""#, "today"),
        (r#"endDate ge "today+7d""#, "today+7d"),
        (r#"endDate le "+7d""#, "+7d"),
        (r#"endDate lt "31.12.2029""#, "31.12.2029"),
        (r#"endDate eq "tomorrow""#, "tomorrow"),
    ] {
        let told = texts(filter);
        assert!(told[0].starts_with(&format!("`{literal}` is no time: write")), "{filter}: {told:?}");
        assert_eq!(told.len(), 1, "{filter}: {told:?}");
    }
    assert!(texts(r#"endDate eq "now""#)[0].starts_with("`now` is a time only behind `gt`"));
    assert!(texts(r#"since lt "now""#)[0..2].iter().any(|text| text.contains("is compared with a time")));
    // Also where nobody is yet.
    assert!(told(r#"endDate gt "today""#, &[])[0].starts_with("`today` is no time"));
    // It may be a word like any other.
    assert_eq!(told(r#"day eq "today""#, &[json!({ "day": "Today" })]), Vec::<String>::new());
}

#[test]
fn a_filter_that_looks_at_the_time_says_so() {
    let clock = Doubt::Clock.sentence(&Sample::default());
    for filter in [
        r#"endDate gt "now""#,
        r#"not (endDate le "now-7d")"#,
        r#"createdAt gt "now-1w""#,
        r#"emails[verified lt "now"]"#,
    ] {
        assert!(told(filter, &[]).contains(&clock), "{filter}");
    }
    assert!(!told(r#"note co "now""#, &[]).contains(&clock));
}

fn subject(attributes: Value) -> Subject {
    Subject {
        id: SubjectId(1),
        store: StoreId(1),
        kind: SubjectKind::Account,
        external_id: None,
        user_name: Some("ada".into()),
        display_name: None,
        status: SubjectStatus::Active,
        attributes: attributes.as_object().unwrap().clone(),
        containers: Vec::new(),
        version: 1,
        created_at: at("2024-01-01T00:00:00Z"),
        updated_at: at("2024-01-01T00:00:00Z"),
        deleted_at: None,
    }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[test]
fn the_day_on_which_a_verdict_turns_is_known() {
    let ada = subject(json!({ "endDate": "2024-06-30T12:00:00Z", "starts": ["2024-03-01", "2024-04-01"] }));
    let now = at("2024-02-01T00:00:00Z");
    let turns = |filter: &str| Filter::parse(filter).unwrap().turns(&ada, now);
    assert_eq!(turns(r#"endDate gt "now""#), Some(at("2024-06-30T12:00:00Z")));
    assert_eq!(turns(r#"endDate ge "now""#), Some(at("2024-06-30T12:00:00.000001Z")));
    assert_eq!(turns(r#"endDate gt "now+7d""#), Some(at("2024-06-23T12:00:00Z")));
    assert_eq!(turns(r#"starts le "now""#), Some(at("2024-03-01T00:00:00Z")));
    assert_eq!(
        turns(r#"starts[value lt "now" and value gt "now-1d"]"#),
        Some(at("2024-03-01T00:00:00.000001Z"))
    );
    assert_eq!(turns(r#"createdAt gt "now-90d""#), Some(at("2024-03-31T00:00:00Z")));
    assert_eq!(turns(r#"endDate lt "2024-01-01""#), None);
    assert_eq!(turns(r#"endDate gt "now" or userName eq "ada""#), None);
    assert_eq!(turns(r#"department lt "now" or nothing gt "now""#), None);
}

proptest! {
    /// Between now and the moment that is named the verdict stays, and there it is
    /// another.
    #[test]
    fn no_turn_is_missed(days in prop::collection::vec(0_i64..60, 1..4), offset in -20_i64..20, at_day in 0_i64..60) {
        let day = |days: i64| at("2024-01-01T00:00:00Z") + chrono::TimeDelta::days(days);
        let dates: Vec<String> = days.iter().map(|days| day(*days).to_rfc3339()).collect();
        let ada = subject(json!({ "dates": dates, "end": dates[0] }));
        let sign = if offset < 0 { '-' } else { '+' };
        let source = format!(
            r#"dates gt "now{sign}{0}d" and not (dates le "now-{0}d") or end lt "now{sign}{0}d""#, offset.abs()
        );
        let filter = Filter::parse(&source).unwrap();
        let now = day(at_day);
        let verdict = filter.matches(&ada, now);
        let turn = filter.turns(&ada, now);
        for half_days in 0..240 {
            let moment = now + chrono::TimeDelta::hours(half_days * 12);
            if turn.is_none_or(|turn| moment < turn) {
                prop_assert_eq!(filter.matches(&ada, moment), verdict, "{} at {}", source, moment);
            }
        }
        if let Some(turn) = turn {
            prop_assert_ne!(filter.matches(&ada, turn), verdict);
        }
    }
}
