//! Accounts that were deleted and come back, by a line, a POST or a person's word.

use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use reqwest::Method;
use serde_json::{Value, json};

use super::super::support::TestApi;
use super::{accounts, counts, import, lines, names, people, reasons};

fn person(external_id: &str, user_name: &str) -> Value {
    json!({ "externalId": external_id, "userName": user_name })
}

#[derive(Debug, PartialEq, QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    subject_id: i64,
    #[diesel(sql_type = Text)]
    trigger: String,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    departure: Option<String>,
}

/// The queue of all targets.
fn queue(api: &TestApi) -> Vec<Row> {
    sql_query("SELECT subject_id, trigger, reason, departure FROM pending ORDER BY target_id, subject_id")
        .load(&mut api.db.connection())
        .unwrap()
}

fn sql(api: &TestApi, statement: &str) {
    sql_query(statement).execute(&mut api.db.connection()).unwrap();
}

/// A target with a filter that holds every account, and has nothing to do.
fn target(api: &TestApi, name: &str, filter: &str) {
    sql(
        api,
        &format!(
            "INSERT INTO targets (store_id, name, enabled, filter) SELECT id, '{name}', true, '{filter}' FROM stores"
        ),
    );
    sql(
        api,
        "INSERT INTO provision_state (target_id, subject_id, status, present, in_scope, done_version, remote_id) \
         SELECT t.id, s.id, 'provisioned', true, true, s.version, 'r' || s.id FROM targets t, subjects s \
         WHERE s.kind = 'account' ON CONFLICT DO NOTHING",
    );
    sql(api, "DELETE FROM pending");
}

async fn deleted(api: &TestApi, kind: &str) -> Vec<Value> {
    let list = api.get(&format!("/stores/people/{kind}?deleted=only")).await.expect(200);
    list["items"].as_array().unwrap().clone()
}

/// What a cut export and then the full one do.
#[tokio::test]
async fn whom_a_full_export_names_again_is_who_they_were() {
    for batches in [3, 500] {
        let api = TestApi::with_batches_of(batches).await.with_store().await;
        import(&api, "", people(0..40)).await.expect(200);
        let before = accounts(&api).await;
        target(&api, "crm", "");
        let cut = import(&api, "?deleteMissing=true&confirmDeletions=true", people(0..10)).await.expect(200);
        assert_eq!(counts(&cut), [0, 0, 10, 30, 0, 10]);
        let rows = queue(&api);
        assert_eq!(rows.len(), 30);
        assert!(rows.iter().all(|row| row.reason.is_some() && row.departure.as_deref() == Some("held")));

        let full = import(&api, "?deleteMissing=true", people(0..40)).await.expect(200);
        assert_eq!((counts(&full), &full["restored"]), ([0, 0, 10, 0, 0, 40], &json!(30)));
        assert_eq!(accounts(&api).await, before, "the same accounts with the same ids");
        let rows = queue(&api);
        assert_eq!(rows.len(), 30);
        let provision = |row: &Row| row.reason.is_none() && row.departure.is_none();
        assert!(rows.iter().all(|row| provision(row) && row.trigger == "enteredFilter"), "{rows:?}");
        let one = api.get("/stores/people/accounts?userName=user30").await.body["items"][0].clone();
        assert_eq!((&one["version"], &one["groups"]), (&json!(3), &json!(["Everybody", "Group 2"])));
        assert_eq!(deleted(&api, "accounts").await, Vec::<Value>::new());
        assert_eq!(counts(&import(&api, "", people(0..40)).await.expect(200)), [0, 0, 40, 0, 0, 40]);
    }
}

#[tokio::test]
async fn removals_stay_where_a_returner_is_not_wanted() {
    let api = TestApi::start().await.with_store().await;
    let id = api.account(json!({ "userName": "a", "externalId": "1", "attributes": { "site": "N" } })).await;
    target(&api, "north", "site eq \"N\"");
    target(&api, "all", "");
    // It was switched to manual mode after the deletion.
    target(&api, "manual", "");
    api.delete(&format!("/accounts/{id}")).await;
    sql(&api, "UPDATE targets SET mode = 'manual' WHERE name = 'manual'");
    let back = json!({ "userName": "a", "externalId": "1", "attributes": { "site": "S" } });
    assert_eq!(import(&api, "", lines(&[back])).await.expect(200)["restored"], 1);
    let rows: Vec<_> = queue(&api).into_iter().map(|row| (row.reason, row.departure)).collect();
    let removal = (Some("deprovision".to_owned()), Some("due".to_owned()));
    assert_eq!(rows, [removal, (None, None), (None, None)]);
}

/// A run that is under way is not disturbed; the row is looked at again after it.
#[tokio::test]
async fn a_removal_that_runs_ends_first() {
    #[derive(QueryableByName)]
    struct Lease {
        #[diesel(sql_type = Nullable<Text>)]
        owner: Option<String>,
        #[diesel(sql_type = diesel::sql_types::Bool)]
        leased: bool,
        #[diesel(sql_type = BigInt)]
        change_seq: i64,
    }
    let lease = |api: &TestApi| -> Lease {
        sql_query("SELECT owner, due_at > now() + interval '30 s' AS leased, change_seq FROM pending")
            .get_result(&mut api.db.connection())
            .unwrap()
    };
    let api = TestApi::start().await.with_store().await;
    let id = api.account(person("1", "a")).await;
    target(&api, "crm", "");
    api.delete(&format!("/accounts/{id}")).await;
    sql(&api, "UPDATE pending SET owner = 'node', fence = 7, due_at = now() + interval '60 s'");
    let before = lease(&api).change_seq;
    import(&api, "", lines(&[person("1", "a")])).await.expect(200);
    let Lease { owner, leased, change_seq } = lease(&api);
    assert_eq!((owner.as_deref(), leased), (Some("node"), true));
    assert!(change_seq > before, "its completion sees that something came in");
    assert_eq!(queue(&api)[0].reason, None);
}

#[tokio::test]
async fn a_post_restores_too_and_keeps_what_logic_wrote() {
    let api = TestApi::start().await.with_store().await;
    let first = json!({ "userName": "jo", "externalId": "1", "attributes": { "title": "Dr", "room": 4 } });
    let id = api.account(first).await;
    sql(
        &api,
        "UPDATE subjects SET attributes = attributes || '{\"mail\": \"jo@x\"}', written_back = '{mail}'",
    );
    api.delete(&format!("/accounts/{id}")).await;
    let again = json!({ "userName": "jo2", "externalId": "1", "attributes": { "title": "Prof" } });
    let answer = api.post("/stores/people/accounts", again).await;
    assert_eq!(answer.header("location"), format!("/api/v1/accounts/{id}"));
    assert_eq!(answer.header("etag"), "\"3\"");
    let account = answer.expect(201);
    assert_eq!((&account["id"], &account["version"]), (&json!(id), &json!(3)));
    assert_eq!(account["attributes"], json!({ "title": "Prof", "mail": "jo@x" }));
    let taken = api.post("/stores/people/accounts", person("1", "kim")).await;
    assert_eq!(taken.problem(), (409, "conflict".into(), "externalId".into()));
    assert!(taken.body["detail"].as_str().unwrap().contains(&format!("account {id} has")), "{}", taken.body);
}

#[tokio::test]
async fn a_store_may_want_new_accounts_instead() {
    let api = TestApi::start().await;
    let store = api.post("/stores", json!({ "name": "people", "restoreOnReturn": false })).await.expect(201);
    assert_eq!(store["restoreOnReturn"], false);
    let id = api.account(person("1", "a")).await;
    api.delete(&format!("/accounts/{id}")).await;
    let report = import(&api, "", lines(&[person("1", "a")])).await.expect(200);
    assert_eq!((counts(&report), &report["restored"]), ([1, 0, 0, 0, 0, 1], &json!(0)));
    let second = accounts(&api).await[0].2.clone();
    assert_ne!(second, id);
    api.delete(&format!("/accounts/{second}")).await;
    let third = api.account(person("1", "a")).await;
    assert!(third != id && third != second);
    api.delete(&format!("/accounts/{third}")).await;

    let patched = api.patch("/stores/people", json!({ "restoreOnReturn": null })).await.expect(200);
    assert_eq!((&patched["restoreOnReturn"], &patched["name"]), (&json!(true), &json!("people")));
    assert_eq!(api.get("/stores/people").await.body["restoreOnReturn"], true);
    let report = import(&api, "", lines(&[person("1", "a")])).await.expect(200);
    assert_eq!(report["restored"], 1);
    assert_eq!(accounts(&api).await[0].2, third, "of several the latest");
    let refused = api.patch("/stores/people", json!({ "name": "x" })).await;
    assert_eq!(refused.problem(), (422, "validation".into(), "name".into()));
}

#[tokio::test]
async fn deleted_ones_are_listed_and_restored_as_they_were() {
    let api = TestApi::start().await.with_store().await;
    let body = json!({
        "userName": "jo", "externalId": "1", "attributes": { "n": 1 }, "groups": ["A", "B"], "organization": "Acme",
    });
    let (id, kim) = (api.account(body).await, api.account(person("2", "kim")).await);
    let before = api.get(&format!("/accounts/{id}")).await.body;
    api.delete(&format!("/accounts/{id}")).await;
    let groups = api.get("/stores/people/groups").await.body["items"].clone();
    let b = groups.as_array().unwrap().iter().find(|group| group["displayName"] == "B").unwrap();
    api.delete(&format!("/groups/{}", b["id"].as_str().unwrap())).await;

    let listed = deleted(&api, "accounts").await;
    assert_eq!(listed.len(), 1);
    let (deleted_at, version) = (&listed[0]["deletedAt"], &listed[0]["version"]);
    assert_eq!((&listed[0]["id"], deleted_at, version), (&json!(id), &listed[0]["updatedAt"], &json!(2)));
    let count = async |query: &str| {
        let list = api.get(&format!("/stores/people/accounts?deleted={query}")).await.expect(200);
        list["items"].as_array().unwrap().len()
    };
    assert_eq!([count("true").await, count("false").await, count("only").await], [2, 1, 1]);
    let living = api.get(&format!("/accounts/{kim}")).await.body;
    assert_eq!(living.get("deletedAt"), None);
    let wrong = api.get("/stores/people/accounts?deleted=yes").await;
    assert_eq!(wrong.problem().0, 400);
    for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
        let answer = api.call(method, &format!("/accounts/{id}"), json!({ "userName": "jo" })).await;
        assert_eq!(answer.problem().0, 404, "nothing but a restore is done to a deleted one");
    }

    let restore = format!("/subjects/{id}/restore");
    let stale = api.send(api.request(Method::POST, &restore).header("if-match", "\"1\"")).await;
    assert_eq!(stale.problem(), (412, "version-mismatch".into(), String::new()));
    let answer = api.send(api.request(Method::POST, &restore).header("if-match", "\"2\"")).await;
    assert_eq!(answer.header("etag"), "\"3\"");
    let mut after = answer.expect(200);
    assert_eq!(after["groups"], json!(["A"]), "what lives of its groups");
    assert_eq!(after["version"], 3);
    for member in ["groups", "version", "updatedAt"] {
        after[member] = before[member].clone();
    }
    assert_eq!(after, before);
    let again = api.post(&restore, json!({})).await.expect(200);
    assert_eq!(again["version"], 3, "one that lives stays as it is");
    let unknown = api.post("/subjects/4711/restore", json!({})).await;
    assert_eq!(unknown.problem(), (404, "not-found".into(), String::new()));
}

#[tokio::test]
async fn a_restore_names_who_has_the_name_by_now() {
    let api = TestApi::start().await.with_store().await;
    let id = api.account(person("1", "jo")).await;
    api.delete(&format!("/accounts/{id}")).await;
    let other = api.account(person("2", "JO")).await;
    let refused = api.post(&format!("/subjects/{id}/restore"), json!({})).await;
    assert_eq!(refused.problem(), (409, "conflict".into(), "userName".into()));
    assert_eq!(refused.body["detail"], format!("account {other} has the same `userName`"));
    api.patch(&format!("/accounts/{other}"), json!({ "userName": "kim", "externalId": "1" }))
        .await
        .expect(200);
    let refused = api.post(&format!("/subjects/{id}/restore"), json!({})).await;
    assert_eq!(refused.problem(), (409, "conflict".into(), "externalId".into()));
    api.patch(&format!("/accounts/{other}"), json!({ "externalId": null })).await.expect(200);
    api.post(&format!("/subjects/{id}/restore"), json!({})).await.expect(200);

    let line = import(&api, "", lines(&[person("9", "jo")])).await.expect(200);
    let said = format!("1: userName belongs to account {id}, which has the external id `1`");
    assert!(reasons(&line)[0].starts_with(&said), "{line}");
}

/// Who comes back has the name of someone who has left meanwhile.
#[tokio::test]
async fn a_returner_waits_for_a_name() {
    let api = TestApi::with_batches_of(1).await.with_store().await;
    let id = api.account(person("1", "jo")).await;
    api.delete(&format!("/accounts/{id}")).await;
    import(&api, "", lines(&[person("2", "jo"), person("3", "kim")])).await.expect(200);
    let feed = lines(&[person("1", "Jo"), person("3", "kim"), person("1", "x")]);
    let twice = import(&api, "", feed).await.expect(200);
    assert_eq!(counts(&twice)[4], 2, "{twice}");
    let feed = lines(&[person("1", "Jo"), person("3", "kim")]);
    let report = import(&api, "?deleteMissing=true", feed).await.expect(200);
    assert_eq!((counts(&report), &report["restored"]), ([0, 0, 1, 1, 0, 2], &json!(1)));
    assert_eq!(names(&api).await, ["Jo=1", "kim=3"]);
    assert_eq!(accounts(&api).await[0].2, id);
}

#[tokio::test]
async fn a_group_comes_back_with_its_members() {
    let api = TestApi::start().await.with_store().await;
    for name in ["a", "b"] {
        api.account(json!({ "userName": name, "groups": ["Sales"], "organization": "Acme" })).await;
    }
    let id = async |kind: &str| -> String {
        api.get(&format!("/stores/people/{kind}")).await.body["items"][0]["id"].as_str().unwrap().into()
    };
    let (sales, acme) = (id("groups").await, id("organizations").await);
    api.delete(&format!("/groups/{sales}")).await;
    api.delete(&format!("/organizations/{acme}")).await;
    assert_eq!(deleted(&api, "groups").await[0]["displayName"], "Sales");
    let b = accounts(&api).await[1].2.clone();
    api.patch(&format!("/accounts/{b}"), json!({ "organization": "Other" })).await.expect(200);
    let restored = api.post(&format!("/subjects/{sales}/restore"), json!({})).await.expect(200);
    assert_eq!((&restored["displayName"], &restored["version"]), (&json!("Sales"), &json!(3)));
    api.post(&format!("/subjects/{acme}/restore"), json!({})).await.expect(200);
    let list = api.get("/stores/people/accounts").await.body["items"].clone();
    let of = |at: usize, name: &str| list[at][name].clone();
    assert_eq!([of(0, "groups"), of(0, "organization")], [json!(["Sales"]), json!("Acme")]);
    assert_eq!([of(1, "groups"), of(1, "organization")], [json!(["Sales"]), json!("Other")]);
    let members = api.get(&format!("/organizations/{acme}/members")).await.body["items"].clone();
    assert_eq!(members.as_array().unwrap().len(), 1, "nobody belongs to two organizations");

    // By a POST with the external id, and with another name.
    api.patch(&format!("/groups/{sales}"), json!({ "externalId": "G" })).await.expect(200);
    api.delete(&format!("/groups/{sales}")).await;
    let group = json!({ "displayName": "Selling", "externalId": "G" });
    let group = api.post("/stores/people/groups", group).await.expect(201);
    assert_eq!(group["id"], sales);
    assert_eq!(api.get(&format!("/accounts/{b}")).await.body["groups"], json!(["Selling"]));
}

/// What others restore while an import runs is not the import's to delete.
#[tokio::test]
async fn who_is_restored_during_an_import_is_not_missing() {
    use provisiond::storage::import;
    let api = TestApi::start().await.with_store().await;
    let (a, b) = (api.account(person("1", "a")).await, api.account(person("2", "b")).await);
    api.delete(&format!("/accounts/{a}")).await;
    let store = provisiond::domain::ids::StoreId(1);
    let connection = &mut api.db.connection();
    let session = import::begin(connection, store).unwrap();
    api.post(&format!("/subjects/{a}/restore"), json!({})).await.expect(200);
    assert_eq!(import::missing(connection, session).unwrap().missing, 1);
    assert_eq!(import::delete_missing(connection, session, &Default::default()).unwrap().deleted, 1);
    let left: Vec<String> = accounts(&api).await.into_iter().map(|(_, _, id)| id).collect();
    assert_eq!(left, [a]);
    assert_ne!(left, [b]);
}
