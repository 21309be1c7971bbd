//! User names that pass from one account to another, and names of digits.

use serde_json::{Value, json};

use super::super::support::TestApi;
use super::{accounts, counts, import, lines, names, reasons};

fn person(external_id: &str, user_name: &str) -> Value {
    json!({ "externalId": external_id, "userName": user_name })
}

/// Batches of two lines, so that lines are far from each other.
async fn start() -> TestApi {
    TestApi::with_batches_of(2).await.with_store().await
}

fn ids(accounts: Vec<(String, String, String)>) -> Vec<(String, String)> {
    let mut ids: Vec<_> = accounts.into_iter().map(|(_, external_id, id)| (external_id, id)).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn names_that_move_on_settle_in_one_import_in_any_order() {
    let api = start().await;
    let first = [("1", "a"), ("2", "b"), ("3", "c"), ("4", "d"), ("5", "e")];
    import(&api, "", lines(&first.map(|(id, name)| person(id, name)))).await.expect(200);
    let before = ids(accounts(&api).await);
    // a → b → c → d → e → f, and someone new becomes a.
    let moved = [("6", "A"), ("1", "b"), ("2", "c"), ("3", "d"), ("4", "e"), ("5", "f")];
    let report = import(&api, "", lines(&moved.map(|(id, name)| person(id, name)))).await.expect(200);
    assert_eq!(counts(&report), [1, 5, 0, 0, 0, 6], "{report}");
    assert_eq!(names(&api).await, ["A=6", "b=1", "c=2", "d=3", "e=4", "f=5"]);
    let after = ids(accounts(&api).await);
    assert_eq!(after[..5], before, "everybody is who they were");
    let versions = api.get("/stores/people/accounts?userName=c").await.body["items"][0]["version"].clone();
    assert_eq!(versions, 2, "each was written once");

    let back = [("5", "e"), ("4", "d"), ("3", "c"), ("2", "b"), ("1", "a"), ("6", "f")];
    let report = import(&api, "", lines(&back.map(|(id, name)| person(id, name)))).await.expect(200);
    assert_eq!(counts(&report), [0, 6, 0, 0, 0, 6], "{report}");
    assert_eq!(names(&api).await, ["a=1", "b=2", "c=3", "d=4", "e=5", "f=6"]);
}

#[tokio::test]
async fn names_that_are_swapped_settle_in_one_import() {
    for apart in [0, 3] {
        let api = start().await;
        let filler: Vec<Value> = (0..apart).map(|n| person(&format!("x{n}"), &format!("x{n}"))).collect();
        let feed = |one: &str, two: &str, three: &str| {
            let mut feed = vec![person("1", one)];
            feed.extend(filler.iter().cloned());
            feed.extend([person("2", two), person("3", three)]);
            lines(&feed)
        };
        import(&api, "", feed("a", "b", "c")).await.expect(200);
        let swapped = import(&api, "", feed("b", "A", "c")).await.expect(200);
        assert_eq!(counts(&swapped), [0, 2, 1 + apart, 0, 0, 3 + apart], "{swapped}");
        let ring = import(&api, "", feed("c", "b", "a")).await.expect(200);
        assert_eq!(counts(&ring), [0, 3, apart, 0, 0, 3 + apart], "{ring}");
        assert_eq!(names(&api).await[..3], ["a=3", "b=2", "c=1"]);
    }
}

#[tokio::test]
async fn a_name_that_stays_with_another_account_is_a_bad_line() {
    let api = start().await;
    import(&api, "", lines(&[person("1", "a"), person("2", "b"), person("3", "c")])).await.expect(200);
    let feed = [person("2", "b"), person("1", "B"), person("4", "a"), person("5", "x"), person("6", "X")];
    let report = import(&api, "", lines(&feed)).await.expect(200);
    assert_eq!(counts(&report), [1, 0, 1, 0, 3, 5]);
    let said = reasons(&report);
    assert_eq!(said[0], "2: userName is that of line 1");
    let a = &accounts(&api).await[0].2;
    assert_eq!(
        said[1],
        format!(
            "3: userName belongs to account {a}, which has the external id `1`; no good line names that \
             account, and the name is free once it is deleted"
        )
    );
    assert!(said[2].starts_with("5: userName belongs to account 4"), "{said:?}");
    assert_eq!(names(&api).await, ["a=1", "b=2", "c=3", "x=5"], "nothing half done");
}

#[tokio::test]
async fn lines_that_wait_for_one_name_are_twins() {
    let api = start().await;
    import(&api, "", lines(&[person("1", "a")])).await.expect(200);
    let feed = [("2", "a"), ("9", "z"), ("3", "A"), ("8", "y"), ("1", "b")];
    let report = import(&api, "", lines(&feed.map(|(id, name)| person(id, name)))).await.expect(200);
    assert_eq!(counts(&report), [3, 1, 0, 0, 1, 5], "{report}");
    assert_eq!(reasons(&report), ["3: userName is that of line 1"]);
    assert_eq!(names(&api).await, ["a=2", "b=1", "y=8", "z=9"]);
}

#[tokio::test]
async fn a_line_without_an_external_id_takes_no_identified_account_over() {
    let api = start().await;
    let known = json!({ "externalId": "E", "userName": "jo", "attributes": { "boss": true } });
    import(&api, "", lines(&[known, json!({ "userName": "kim" })])).await.expect(200);
    let before = accounts(&api).await;
    let feed = [json!({ "userName": "Jo" }), json!({ "userName": "KIM", "externalId": "K" })];
    let report = import(&api, "", lines(&feed)).await.expect(200);
    assert_eq!(counts(&report), [0, 1, 0, 0, 1, 2], "one who has no id may get one");
    let id = &before[0].2;
    assert_eq!(
        reasons(&report),
        [format!("1: userName belongs to account {id}, which has the external id `E`")]
    );
    let jo = api.get(&format!("/accounts/{id}")).await.expect(200);
    assert_eq!((&jo["externalId"], &jo["attributes"]["boss"]), (&json!("E"), &json!(true)));
    assert_eq!(names(&api).await, ["KIM=K", "jo=E"]);
    let refused = import(&api, "?deleteMissing=true", lines(&feed)).await;
    assert_eq!(refused.problem().1, "deletion-guard", "it may be jo: jo is not deleted for it");
    assert_eq!(names(&api).await, ["KIM=K", "jo=E"]);
    // Who has another name by now leaves the old one to whoever wants it.
    let moved = [json!({ "userName": "jo" }), json!({ "userName": "joan", "externalId": "E" })];
    let report = import(&api, "", lines(&moved)).await.expect(200);
    assert_eq!(counts(&report), [1, 1, 0, 0, 0, 2]);
    assert_eq!(names(&api).await, ["KIM=K", "jo=-", "joan=E"]);
}

/// Digits are a name as any other: neither ids of groups that exist nor refused.
#[tokio::test]
async fn groups_and_organizations_may_have_names_of_digits() {
    let api = start().await;
    let boss = api.post("/stores/people/groups", json!({ "displayName": "Bosses" })).await.expect(201);
    let boss = boss["id"].as_str().unwrap();
    let line = json!({ "userName": "a", "groups": [boss, "4711"], "organization": "0815" });
    let report = import(&api, "", lines(std::slice::from_ref(&line))).await.expect(200);
    assert_eq!(counts(&report), [1, 0, 0, 0, 0, 1]);
    let account = api.get("/stores/people/accounts").await.body["items"][0].clone();
    let mut groups = vec![json!(boss), json!("4711")];
    groups.sort_by_key(Value::to_string);
    assert_eq!((&account["groups"], &account["organization"]), (&json!(groups), &json!("0815")));
    let members = api.get(&format!("/groups/{boss}/members")).await.body["items"].clone();
    assert_eq!(members, json!([]), "nobody joined by the id of a group");
    assert_eq!(counts(&import(&api, "", lines(&[line])).await.expect(200)), [0, 0, 1, 0, 0, 1]);
    let put = json!({ "userName": "a", "groups": ["1", "2"], "organization": "3" });
    let put = api.put(&format!("/accounts/{}", account["id"].as_str().unwrap()), put).await.expect(200);
    assert_eq!((&put["groups"], &put["organization"]), (&json!(["1", "2"]), &json!("3")));
}
