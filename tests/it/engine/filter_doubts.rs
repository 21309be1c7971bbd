//! Filters that name nothing, compare what never meets, or wait for a day.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use super::{RECORD, settings, settings_with};
use crate::support::app::{TestApp, id_of};
use crate::support::sink::Sink;

fn codes(answer: &Value) -> Vec<&str> {
    let warnings = answer["warnings"].as_array().unwrap();
    warnings.iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn saving_and_previewing_warn_of_what_is_most_likely_a_mistake() {
    let app = TestApp::start().await;
    let store = app.store("people").await;
    app.post("/stores/people/groups", json!({ "displayName": "Staff" })).await.expect(201);
    app.account(&store, "ada", json!({ "department": "Physics", "level": 3, "endDate": "2031-01-01" })).await;
    let path = format!("/stores/{store}/targets");
    let filter = r#"departement eq "Physics""#;
    let made = app.post(&path, json!({ "name": "crm", "filter": filter })).await.expect(201);
    assert_eq!(codes(&made), ["unknownAttribute"]);
    assert_eq!(made["warnings"][0]["detail"], "no account has `departement`; did you mean `department`?");
    let target = format!("/targets/{}", id_of(&made));
    assert_eq!(app.get(&target).await.get("warnings"), None);
    for (filter, expected) in [
        (r#"department eq "Physics" and groups eq "staff""#, vec![]),
        (r#"Department eq "Physics""#, vec!["unknownAttribute"]),
        (r#"groups eq "Staf" or organization eq "Lab""#, vec!["unknownGroup", "unknownOrganization"]),
        (r#"level eq "3""#, vec!["otherType"]),
        (r#"endDate gt "today""#, vec!["noTime"]),
        (r#"endDate gt "now""#, vec!["clock"]),
    ] {
        let preview = app.post(&format!("{target}/filter/preview"), json!({ "filter": filter })).await;
        let mut told = codes(&preview.expect(200)).iter().map(ToString::to_string).collect::<Vec<_>>();
        told.sort_unstable();
        assert_eq!(told, expected, "{filter}");
        let changed = app.patch(&target, json!({ "filter": filter })).await.expect(200);
        assert_eq!(changed["warnings"].as_array().unwrap().len(), expected.len(), "{filter}");
    }
    // Also when something else is changed, such as that it works now.
    assert_eq!(codes(&app.patch(&target, json!({ "order": 3 })).await.expect(200)), ["clock"]);
}

/// The first and the last accounts are looked at, however many tombstones and
/// others lie between.
#[tokio::test]
async fn a_large_store_is_judged_by_some_of_its_accounts() {
    let app = TestApp::start().await;
    let store = app.store("people").await;
    let line = |number: usize| {
        let common = if number == 700 { json!({ "rare": 1 }) } else { json!({ "common": 1 }) };
        json!({ "userName": format!("u{number}"), "attributes": common }).to_string()
    };
    let lines: Vec<String> = (0..1_400).map(line).collect();
    app.import(&store, "", lines.join("\n")).await;
    let made =
        app.post("/stores/people/targets", json!({ "name": "crm", "filter": "rare pr and common pr" }));
    let made = made.await.expect(201);
    assert_eq!(codes(&made), ["unknownAttribute"]);
    assert_eq!(made["warnings"][0]["detail"], "none of the 1000 accounts that were looked at has `rare`");
}

#[tokio::test]
async fn why_tells_how_time_moves_an_account() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let filter = json!({ "filter": r#"ends gt "now""# });
    let target = app.target(&store, settings_with("crm", &sink, filter), RECORD).await;
    let day = Utc::now() + TimeDelta::days(30);
    let ada = app.account(&store, "ada", json!({ "ends": day })).await;
    let bob = app.account(&store, "bob", json!({ "ends": "2001-01-01" })).await;
    let shown = app.until_status(&ada, &target, "provisioned").await;
    let leaves = format!("up to date; leaves the filter at {}, ", day.format("%Y-%m-%dT%H:%M:%SZ"));
    assert!(shown["why"].as_str().unwrap().starts_with(&leaves), "{shown}");
    assert_eq!(app.provision(&bob, &target).await["why"], "does not match the filter of the target");

    // As if the day had come: when the account last changed and ran, it matched.
    let mut connection = app.db.as_ref().unwrap().connection();
    let past = "UPDATE subjects SET updated_at = now() - interval '9 days', \
        attributes = jsonb_build_object('ends', to_char(now() - interval '3 days', 'YYYY-MM-DD')); \
        UPDATE provision_state SET last_run_at = now() - interval '8 days'";
    diesel::connection::SimpleConnection::batch_execute(&mut connection, past).unwrap();
    let shown = app.provision(&ada, &target).await;
    assert!(shown["why"].as_str().unwrap().starts_with("left the filter as time passed"), "{shown}");

    let coming = json!({ "filter": r#"ends lt "now""# });
    let other = app.disabled_target(&store, settings("erp", &sink), RECORD).await;
    app.patch(&format!("/targets/{}", other.id), coming).await.expect(200);
    app.enable(&other).await;
    app.until_status(&bob, &other, "provisioned").await;
    let eve = app.account(&store, "eve", json!({ "ends": day })).await;
    let shown = app.provision(&eve, &other).await;
    let comes = format!("; comes into the filter at {}, ", day.format("%Y-%m-%dT%H:%M:%SZ"));
    assert!(shown["why"].as_str().unwrap().contains(&comes), "{shown}");
}
