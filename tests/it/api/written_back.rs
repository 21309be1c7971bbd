//! One rule for what logic wrote back: who does not know it does not erase it.

use diesel::RunQueryDsl;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::TestApi;

/// Logic writes `mail`, and `phone.extension` beside the source's `phone.office`.
fn logic_writes(api: &TestApi) {
    diesel::sql_query(
        "UPDATE subjects SET written_back = '{mail,\"[\\\"phone\\\",\\\"extension\\\"]\"}', attributes = attributes \
         || '{\"mail\": \"jo@x\", \"phone\": {\"office\": 1, \"extension\": 42}}', version = version + 1 \
         WHERE kind = 'account'",
    )
    .execute(&mut api.db.connection())
    .unwrap();
}

/// The ways in which a source gives the whole record.
#[derive(Clone, Copy, Debug)]
enum Way {
    Put,
    Import,
    Post,
}

async fn give(api: &TestApi, way: Way, id: &str, attributes: Value) -> Value {
    let record = json!({ "userName": "jo", "externalId": "1", "attributes": attributes });
    match way {
        Way::Put => _ = api.put(&format!("/accounts/{id}"), record).await.expect(200),
        Way::Import => {
            let request = api.request(Method::POST, "/stores/people/import");
            let request = request.header("content-type", "application/jsonl").body(record.to_string());
            assert_eq!(api.send(request).await.expect(200)["failed"], 0);
        }
        Way::Post => {
            api.delete(&format!("/accounts/{id}")).await;
            assert_eq!(api.post("/stores/people/accounts", record).await.expect(201)["id"], id);
        }
    }
    api.get(&format!("/accounts/{id}")).await.expect(200)
}

#[tokio::test]
async fn what_a_source_leaves_out_stays_if_logic_wrote_it() {
    for way in [Way::Put, Way::Import, Way::Post] {
        let api = TestApi::start().await.with_store().await;
        let first = json!({ "title": "Dr", "room": 4, "phone": { "office": 1 } });
        let id = api.account(json!({ "userName": "jo", "externalId": "1", "attributes": first })).await;
        logic_writes(&api);
        let full =
            json!({ "title": "Dr", "room": 4, "mail": "jo@x", "phone": { "office": 1, "extension": 42 } });
        let same = give(&api, way, &id, first.clone()).await;
        assert_eq!(same["attributes"], full, "{way:?}");
        if !matches!(way, Way::Post) {
            assert_eq!(same["version"], 2, "{way:?}: nothing changed");
        }
        assert_eq!(
            give(&api, way, &id, full.clone()).await["attributes"],
            full,
            "{way:?}: read and sent back"
        );

        let less = give(&api, way, &id, json!({ "title": "Prof" })).await;
        let kept = json!({ "title": "Prof", "mail": "jo@x", "phone": { "extension": 42 } });
        assert_eq!(less["attributes"], kept, "{way:?}: the source's own go, logic's stay");

        // What the source gives is the source's: `null`, another value, no object.
        let given = json!({ "mail": null, "phone": { "extension": 7 } });
        assert_eq!(give(&api, way, &id, given.clone()).await["attributes"], given, "{way:?}");
        assert_eq!(give(&api, way, &id, json!({})).await["attributes"], json!({}), "{way:?}");
        logic_writes(&api);
        let given = json!({ "phone": "none" });
        let expected = json!({ "phone": "none", "mail": "jo@x" });
        assert_eq!(give(&api, way, &id, given).await["attributes"], expected, "{way:?}");
    }
}

#[tokio::test]
async fn a_patch_of_what_logic_wrote_makes_it_the_sources() {
    let api = TestApi::start().await.with_store().await;
    let id = api.account(json!({ "userName": "jo", "externalId": "1" })).await;
    logic_writes(&api);
    let patch = json!({ "attributes": { "mail": "other@x", "phone": { "office": 2 } } });
    api.patch(&format!("/accounts/{id}"), patch).await.expect(200);
    let put = give(&api, Way::Put, &id, json!({})).await;
    assert_eq!(put["attributes"], json!({ "phone": { "extension": 42 } }));
    api.patch(&format!("/accounts/{id}"), json!({ "attributes": { "phone": null } })).await.expect(200);
    assert_eq!(give(&api, Way::Put, &id, json!({})).await["attributes"], json!({}));
}
