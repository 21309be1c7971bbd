//! Every change that the API acknowledges is due work of the store's targets.

use diesel::RunQueryDsl;
use diesel::sql_types::{BigInt, Text};
use serde_json::json;

use super::support::TestApi;

#[derive(diesel::QueryableByName)]
struct Due {
    #[diesel(sql_type = BigInt)]
    subject_id: i64,
    #[diesel(sql_type = Text)]
    trigger: String,
}

/// Who is due and why, as `id:trigger`; the queue is empty afterwards.
fn take_due(api: &TestApi) -> Vec<String> {
    let mut due: Vec<Due> = diesel::sql_query("DELETE FROM pending RETURNING subject_id, trigger")
        .load(&mut api.db.connection())
        .unwrap();
    let woken = std::mem::take(&mut *api.nudged.lock().unwrap());
    assert_eq!(woken.is_empty(), due.is_empty(), "the target is woken when it has work");
    due.sort_by_key(|row| row.subject_id);
    due.into_iter().map(|row| format!("{}:{}", row.subject_id, row.trigger)).collect()
}

#[tokio::test]
async fn each_write_is_due_for_its_reason() {
    let api = TestApi::start().await.with_store().await;
    diesel::sql_query("INSERT INTO targets (store_id, name, enabled) SELECT id, 'hr', true FROM stores")
        .execute(&mut api.db.connection())
        .unwrap();
    let ada = api.account(json!({"userName": "ada", "groups": ["Sales"]})).await;
    let bob = api.account(json!({"userName": "bob"})).await;
    let (account, members) = (format!("/accounts/{ada}"), "/groups/1/members");
    assert_eq!(take_due(&api), [format!("{ada}:created"), format!("{bob}:created")]);

    api.patch(&account, json!({"userName": "ada"})).await.expect(200);
    assert_eq!(take_due(&api), [""; 0]);
    api.patch(&account, json!({"attributes": {"a": 1}, "groups": ["Ops"]})).await.expect(200);
    assert_eq!(take_due(&api), [format!("{ada}:updated")]);
    api.patch(&account, json!({"groups": ["Sales", "Ops"]})).await.expect(200);
    assert_eq!(take_due(&api), [format!("{ada}:membershipChanged")]);
    api.patch("/groups/1", json!({"displayName": "Vertrieb"})).await.expect(200);
    assert_eq!(take_due(&api), [format!("{ada}:membershipChanged")]);
    api.patch("/groups/1", json!({"attributes": {"a": 1}})).await.expect(200);
    assert_eq!(take_due(&api), [""; 0], "no account's record holds that");
    api.post(members, json!({"accountId": bob})).await.expect(200);
    assert_eq!(take_due(&api), [format!("{bob}:membershipChanged")]);
    api.delete(&format!("{members}/{bob}")).await;
    assert_eq!(take_due(&api), [format!("{bob}:membershipChanged")]);
    api.delete("/groups/1").await;
    assert_eq!(take_due(&api), [format!("{ada}:membershipChanged")]);
    api.delete(&account).await;
    assert_eq!(take_due(&api), [format!("{ada}:deleted")]);
}

#[tokio::test]
async fn an_import_makes_due_work_of_what_it_changed() {
    let api = TestApi::start().await.with_store().await;
    diesel::sql_query("INSERT INTO targets (store_id, name, enabled) SELECT id, 'hr', true FROM stores")
        .execute(&mut api.db.connection())
        .unwrap();
    let ada = api.account(json!({"userName": "ada"})).await;
    let bob = api.account(json!({"userName": "bob"})).await;
    let eve = api.account(json!({"userName": "eve"})).await;
    take_due(&api);
    let lines = "{\"userName\": \"ada\"}\n{\"userName\": \"bob\", \"attributes\": {\"a\": 1}}\n{\"userName\": \"new\"}";
    let request = api.request(reqwest::Method::POST, "/stores/people/import?deleteMissing=true");
    let report = api.send(request.header("content-type", "application/jsonl").body(lines)).await;
    report.expect(200);
    let due = take_due(&api);
    assert_eq!(due.len(), 3);
    assert!(!due.iter().any(|row| row.starts_with(&format!("{ada}:"))));
    assert!(due.contains(&format!("{bob}:updated")) && due.contains(&format!("{eve}:deleted")));
}
