use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Filter;
use crate::domain::ids::{StoreId, SubjectId};
use crate::domain::subject::{Container, Subject, SubjectKind, SubjectStatus};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn container(id: i64, kind: SubjectKind, name: &str, external_id: Option<&str>) -> Container {
    Container {
        id: SubjectId(id),
        kind,
        display_name: name.into(),
        external_id: external_id.map(str::to_owned),
    }
}

fn subject(attributes: &Value) -> Subject {
    Subject {
        id: SubjectId(42),
        store: StoreId(1),
        kind: SubjectKind::Account,
        external_id: Some("E-7".into()),
        user_name: Some("Ada.Lovelace".into()),
        display_name: None,
        status: SubjectStatus::GracePeriod,
        attributes: attributes.as_object().cloned().unwrap(),
        version: 1,
        created_at: at("2024-01-31T12:00:00Z"),
        updated_at: at("2024-06-01T00:00:00.5Z"),
        deleted_at: None,
        containers: vec![
            container(7, SubjectKind::Group, "Staff", Some("grp-1")),
            container(8, SubjectKind::Group, "Über uns", None),
            container(9, SubjectKind::Organization, "Institute", Some("org-1")),
            container(10, SubjectKind::Type, "faculty", None),
        ],
    }
}

fn ada() -> Subject {
    subject(&json!({
        "title": "Dr.", "active": true, "age": 36, "rate": 0.1, "empty": "", "none": null, "list": [], "bare": {},
        "emails": [
            {"type": "work", "value": "ada@example.org", "primary": true},
            {"type": "home", "value": "ada@home.example"}
        ],
        "name": {"familyName": "Lovelace", "givenName": "Ada"},
        "tags": ["red", "Green", null, 5],
        "nested": [["inner"], [{"a": 1}]],
        "startDate": "2024-02-01", "endDate": "2024-12-31T23:00:00-01:00", "date": "2024-02-31",
        "userName": "shadow", "größe": 3, "cost-center": "c1", "$ref": "r", "_x": 1, "and": 1,
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Sales"},
        "meta": {"created": "never", "version": "v1"}
    }))
}

/// Every filter of the list is read, holds or not as said, and means the same
/// once printed.
fn expect(verdict: bool, filters: &[&str]) {
    for source in filters {
        let filter = Filter::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(filter.matches(&ada(), at("2024-02-10T00:00:00Z")), verdict, "{source}");
        let printed = filter.to_string();
        let again = Filter::parse(&printed).unwrap_or_else(|error| panic!("{printed}: {error}"));
        assert_eq!(again.expression(), filter.expression(), "{source} printed as {printed}");
    }
}

#[test]
fn core_fields_come_first_in_any_case() {
    expect(
        true,
        &[
            "",
            "  ",
            r#"userName eq "ada.lovelace""#,
            r#"USERNAME sw "ADA""#,
            r#"userName ew "Lovelace""#,
            r#"userName co "A.l""#,
            r#"externalId eq "E-7""#,
            r#"id eq "42""#,
            r#"status eq "graceperiod""#,
            r#"status sw "grace""#,
            "id pr",
            "not (displayName pr)",
            r#"displayName ne "x""#,
            "displayName eq null",
            "userName ne null",
            r#"userName gt "ada""#,
            r#"attributes.userName eq "shadow""#,
            r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "ada""#,
            r#"id lt "5""#,
            r#"userName co """#,
        ],
    );
    expect(
        false,
        &[
            r#"externalId eq "e-7""#,
            r#"id eq "042""#,
            r#"userName eq "shadow""#,
            "displayName pr",
            r#"displayName co """#,
            r#"displayName lt "x""#,
            r#"userName ne "ADA.LOVELACE""#,
        ],
    );
}

#[test]
fn precedence_is_that_of_the_rfc() {
    expect(
        true,
        &[
            "age eq 1 and age eq 2 or age eq 36",
            "age eq 36 or age eq 1 and age eq 2",
            "NOT (age eq 1) AND age eq 36",
            "not(age eq 1)and(age eq 36)",
            "((age eq 36))",
            "not (not (age eq 36))",
        ],
    );
    expect(false, &["(age eq 36 or age eq 1) and age eq 2", "not (age eq 36 or age eq 1)"]);
}

#[test]
fn attributes_are_found_by_exact_names() {
    expect(
        true,
        &[
            r#"title eq "dr.""#,
            r#"name.familyName eq "lovelace""#,
            "größe eq 3",
            r#"cost-center eq "c1""#,
            r#"$ref eq "r""#,
            "_x eq 1",
            "attributes.and eq 1",
            r#"meta.version eq "V1""#,
            r#"attributes.meta.created eq "never""#,
            r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "sales""#,
            r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department pr"#,
        ],
    );
    expect(
        false,
        &[r#"Title eq "dr.""#, r#"name.familyname pr"#, "unknown pr", "unknown.deep pr", "age.deep pr"],
    );
}

#[test]
fn numbers_and_booleans_compare_by_value() {
    expect(
        true,
        &[
            "age eq 36.0",
            "age eq 3.6e1",
            "age gt 35",
            "age le 36",
            "rate eq 0.1",
            "rate lt 0.10000001",
            "rate ge 1e-1",
            "active eq TRUE",
            "active ne false",
            "age ne 37",
            "age gt -1",
            "_x gt -0",
        ],
    );
    expect(
        false,
        &[
            r#"age eq "36""#,
            "title eq 5",
            "active eq false",
            r#"active eq "true""#,
            "age eq true",
            "title gt 1",
            "unknown gt 1",
            "unknown eq false",
        ],
    );
}

#[test]
fn presence_asks_for_a_value_that_is_not_empty() {
    expect(
        true,
        &[
            "title pr",
            "active pr",
            "tags pr",
            "nested pr",
            "empty eq null",
            r#"empty eq """#,
            "none eq null",
            "list eq null",
            "title ne null",
        ],
    );
    expect(
        false,
        &["empty pr", "none pr", "list pr", "bare pr", "unknown pr", "title eq null", "none ne null"],
    );
}

#[test]
fn any_value_of_many_will_do() {
    expect(
        true,
        &[
            r#"tags eq "green""#,
            "tags eq 5",
            r#"emails.type eq "work""#,
            r#"emails co "example.org""#,
            r#"emails[type eq "work"]"#,
            r#"emails[type eq "work" and value ew ".org"]"#,
            r#"emails[type eq "work"].value co "ada@""#,
            "emails[primary eq true]",
            r#"emails[type ne "work"]"#,
            r#"tags[value sw "R"]"#,
            r#"tags[value eq "red"].value ew "d""#,
            "not (nested.a eq 1)",
            r#"tags ne "blue""#,
            r#"emails[type eq "other"].value ne "x""#,
            r#"emails[not (primary pr)].type eq "home""#,
        ],
    );
    expect(
        false,
        &[
            r#"tags ne "red""#,
            r#"emails[type eq "work" and value ew ".example"]"#,
            r#"emails.type ne "work""#,
            r#"nested eq "inner""#,
            r#"emails[type eq "home"].value co "example.org""#,
            "tags[value eq null]",
            r#"unknown[a ne "b"]"#,
        ],
    );
}

#[test]
fn groups_and_organization_compare_by_name_or_id() {
    expect(
        true,
        &[
            r#"groups eq "staff""#,
            r#"groups eq "grp-1""#,
            r#"groups eq "8""#,
            r#"groups.displayName sw "Über""#,
            r#"groups.value eq "7""#,
            r#"groups.display eq "STAFF""#,
            r#"groups[displayName eq "staff" and id eq "7"]"#,
            r#"groups[externalId sw "grp"].displayName co "af""#,
            r#"groups[not (externalId pr)]"#,
            "groups pr",
            r#"organization eq "institute""#,
            r#"organization.externalId eq "org-1""#,
            "organization ne null",
            r#"groups ne "faculty""#,
            r#"organization[id eq "9"]"#,
            r#"groups.id gt "6""#,
            r#"groups.externalId eq "grp-1""#,
        ],
    );
    expect(
        false,
        &[
            r#"groups eq "GRP-1""#,
            r#"groups.displayName sw "über""#,
            r#"groups eq "faculty""#,
            r#"groups eq "Institute""#,
            r#"groups[displayName eq "staff" and id eq "8"]"#,
            r#"groups ne "staff""#,
            "organization eq null",
        ],
    );
}

#[test]
fn times_compare_as_times() {
    expect(
        true,
        &[
            r#"createdAt gt "2024-01-31""#,
            r#"createdAt eq "2024-01-31T13:00:00+01:00""#,
            r#"meta.created le "2024-01-31T12:00:00.0000009Z""#,
            r#"meta.lastModified gt "2024-06-01T00:00:00.49Z""#,
            r#"updatedAt ne "2024-06-01""#,
            r#"startDate eq "2024-02-01T00:00:00Z""#,
            r#"endDate eq "2025-01-01""#,
            r#"endDate gt "2024-12-31T23:30:00Z""#,
            r#"startDate le "now""#,
            r#"startDate gt "now-10d""#,
            r#"endDate gt "now+7d""#,
            r#"createdAt lt "NOW-1w""#,
            r#"date gt "2024-02-30""#,
            r#"startDate sw "2024-02""#,
            r#"startDate ne "now""#,
        ],
    );
    expect(
        false,
        &[
            r#"createdAt gt "2024-02-01""#,
            r#"startDate gt "now""#,
            r#"title gt "now-7d""#,
            r#"title lt "now+7d""#,
            r#"date le "now+99999w""#,
            r#"startDate eq "now""#,
            "createdAt eq null",
        ],
    );
}

#[test]
fn strings_take_every_escape_of_json() {
    let value = json!({"s": "a\"\\/\u{8}\u{c}\n\r\té😀\u{7f}"});
    let filter = Filter::parse(r#"s eq "a\"\\\/\b\f\n\r\t\u00E9\ud83d\uDE00\u007f""#).unwrap();
    assert!(filter.matches(&subject(&value), Utc::now()));
    assert_eq!(Filter::parse(&filter.to_string()).unwrap().expression(), filter.expression());
}

#[test]
fn the_canonical_text_is_what_the_rfc_would_write() {
    for (source, canonical) in [
        (r#"USERNAME EQ "a"AND(active Eq TRUE)"#, r#"userName eq "a" and active eq true"#),
        ("( a pr or b pr ) and c pr", "(a pr or b pr) and c pr"),
        ("a pr or ( b pr and c pr )", "a pr or b pr and c pr"),
        ("not(a pr)", "not (a pr)"),
        (r#"emails [ type eq "work" ].value  pr"#, r#"emails[type eq "work"].value pr"#),
        (
            r#"groups.value eq "1" or meta.created gt "2024-01-01""#,
            r#"groups.id eq "1" or createdAt gt "2024-01-01""#,
        ),
        ("attributes.ID eq 1e2 or attributes.x eq 0.50", "attributes.ID eq 100 or x eq 0.5"),
        (r#"a eq "\u0041\u0001""#, r#"a eq "A\u0001""#),
        ("a eq -0", "a eq 0"),
    ] {
        assert_eq!(Filter::parse(source).unwrap().to_string(), canonical);
    }
}

#[test]
fn errors_say_where_and_what_was_expected() {
    let deep = format!("{}a pr{}", "(".repeat(33), ")".repeat(33));
    let long = "x".repeat(9_000);
    let many = vec!["a pr"; 257].join(" or ");
    let sources = [
        r#"userName equals "ada""#,
        "userName",
        "userName eq",
        r#"userName = "ada""#,
        "userName eq ada",
        "userName eq 'ada'",
        "userName eq “ada”",
        r#"userName eq "ada"#,
        r#"userName eq "a\q""#,
        r#"userName eq "a\u12""#,
        r#"userName eq "\ud83d""#,
        r#"userName eq "\u0000""#,
        "userName eq \"a\nb\"",
        r#"(userName eq "ada""#,
        r#"userName eq "ada")"#,
        r#"(a pr b pr)"#,
        r#"emails[type eq "work""#,
        r#"emails[type eq "work")"#,
        "emails[]",
        "emails[type]",
        r#"emails[type eq "work"] eq "x""#,
        r#"emails[type eq "work"]. pr"#,
        "not userName pr",
        "and userName pr",
        "a pr and",
        "a pr or or b pr",
        "a pr,b pr",
        r#""userName" eq "ada""#,
        "5 eq 5",
        "a..b pr",
        "a. pr",
        "a/b pr",
        "größe+ pr",
        "a eq 01",
        "a eq 1.",
        "a eq 1e999",
        "a eq 99999999999999999999",
        "a eq -",
        "active gt true",
        "a lt null",
        "a co 5",
        "a sw true",
        "userName eq 5",
        "userName eq true",
        "id eq 5",
        "status eq 1",
        r#"status eq "activ""#,
        r#"createdAt gt "yesterday""#,
        r#"createdAt gt "2024-02-31""#,
        "createdAt gt 5",
        r#"createdAt co "2024""#,
        r#"createdAt eq "now""#,
        r#"startDate gt "now+7y""#,
        "userName.x pr",
        "meta.created.x pr",
        "groups eq 5",
        r#"groups.name eq "x""#,
        r#"groups[type eq "x"]"#,
        r#"groups[id eq "1"].name eq "x""#,
        "groups[].id pr",
        "attributes pr",
        "attributes. pr",
        "urn:example:User: pr",
        "urn:exämple:User:a pr",
        "()",
        "not ()",
        "\u{7}a\u{0} pr",
        &deep,
        &long,
        &many,
    ];
    let errors: Vec<String> = sources
        .iter()
        .map(|source| match Filter::parse(source) {
            Ok(filter) => format!("{source}\n  is read as {filter}"),
            Err(error) => {
                format!("{}\n  {error}", source.chars().take(60).collect::<String>().escape_debug())
            }
        })
        .collect();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn limits_are_reachable() {
    for source in [
        format!("{}a pr{}", "(".repeat(32), ")".repeat(32)),
        vec!["a pr"; 256].join(" or "),
        format!("a eq \"{}\"", "é".repeat(8_185)),
    ] {
        assert_eq!(Filter::parse(&source).map(|_| ()), Ok(()));
    }
}

proptest! {
    #[test]
    fn no_text_makes_reading_panic(source in "\\PC{0,60}") {
        let _ = Filter::parse(&source);
    }

    #[test]
    fn what_is_read_prints_and_reads_the_same(
        words in prop::collection::vec(prop::sample::select(vec![
            "userName", "a", "a.b", "and", "or", "not", "(", ")", "[", "]", "eq", "ne", "co", "gt", "pr", "\"x\"",
            "1", "true", "null", "groups", "groups.id", ".c", "\"2024-01-01\"", "id", "created", "meta.created",
        ]), 1..12),
        spaced in any::<bool>(),
    ) {
        if let Ok(filter) = Filter::parse(&words.join(if spaced { " " } else { "" })) {
            let printed = filter.to_string();
            let again = Filter::parse(&printed).map_err(|error| TestCaseError::fail(format!("{printed}: {error}")))?;
            prop_assert_eq!(again.expression(), filter.expression());
        }
    }
}
