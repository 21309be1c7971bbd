//! A write that fails in its second step leaves nothing of the first.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{PATIENCE, TestApp, id_of};

const CODE: &str = r#"export default async () => ({ status: "provisioned" });"#;

/// Makes every write of a table fail, whether it finds rows or not.
fn break_writes(connection: &mut PgConnection, table: &str) {
    let statement = format!(
        "CREATE OR REPLACE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS \
            $$ BEGIN RAISE EXCEPTION 'the second step fails'; END $$; \
         CREATE TRIGGER broken BEFORE INSERT OR UPDATE OR DELETE ON {table} \
            FOR EACH STATEMENT EXECUTE FUNCTION broken()"
    );
    connection.batch_execute(&statement).unwrap();
}

#[derive(QueryableByName)]
struct Content {
    #[diesel(sql_type = Text)]
    content: String,
}

/// All that requests write, but for what the engine notes beside it.
fn content(connection: &mut PgConnection) -> Vec<String> {
    let whole = [
        "stores",
        "subjects",
        "memberships",
        "target_secrets",
        "target_dependencies",
        "logic_drafts",
        "logic_artefacts",
        "logic_versions",
        "logic_canaries",
        "pending",
        "sweeps",
    ];
    let targets = "(SELECT id, name, enabled, paused, filter, secret_hosts, logic_version, version, deleted_at \
        FROM targets)";
    whole
        .iter()
        .copied()
        .chain([targets])
        .map(|rows| {
            let query = format!(
                "SELECT coalesce(string_agg(r::text, E'\\n' ORDER BY r::text), '') AS content FROM {rows} r"
            );
            diesel::sql_query(query).get_result::<Content>(connection).unwrap().content
        })
        .collect()
}

struct World {
    app: TestApp,
    target: String,
    account: String,
}

impl World {
    /// An account, and an enabled target that is paused so that nothing happens
    /// by itself.
    async fn new() -> Self {
        let app = TestApp::start().await;
        app.store("people").await;
        let account = app.account("people", "ada", json!({})).await;
        let target = app.disabled_target("people", json!({ "name": "crm" }), CODE).await.id;
        app.post(&format!("/targets/{target}/pause"), json!({})).await.expect(200);
        app.patch(&format!("/targets/{target}"), json!({ "enabled": true })).await.expect(200);
        let sweeps = format!("/targets/{target}/sweeps");
        app.until("the first sweep".into(), async || {
            let seen = app.get(&sweeps).await;
            if seen["items"][0]["finishedAt"].is_null() { Err(seen) } else { Ok(()) }
        })
        .await;
        app.put(&format!("/targets/{target}/logic"), json!({ "code": CODE })).await.expect(200);
        Self { app, target, account }
    }

    /// No sweep goes on that would write beside the request.
    async fn until_calm(&self, connection: &mut PgConnection) {
        let deadline = Instant::now() + PATIENCE;
        while diesel::sql_query("SELECT FROM sweeps WHERE finished_at IS NULL").execute(connection).unwrap()
            > 0
        {
            assert!(Instant::now() < deadline, "a sweep does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The request fails, in the step that writes `table`, and nothing has changed;
    /// once the table is well again, it does what it should.
    async fn fails(&self, table: &str, method: Method, path: &str, body: Value) {
        let mut connection = self.app.db.as_ref().unwrap().connection();
        self.until_calm(&mut connection).await;
        let before = content(&mut connection);
        break_writes(&mut connection, table);
        let failed = self.app.call(method.clone(), path, Some(body.clone())).await;
        assert!(failed.status.is_server_error(), "{method} {path} without {table}: {failed:?}");
        connection.batch_execute(&format!("DROP TRIGGER broken ON {table}")).unwrap();
        let after = content(&mut connection);
        assert_eq!(before, after, "{method} {path} without {table}");
        let done = self.app.call(method.clone(), path, Some(body)).await;
        assert!(done.status.is_success(), "{method} {path}: {done:?}");
        assert_ne!(content(&mut connection), before, "{method} {path} writes something");
    }
}

#[tokio::test]
async fn of_a_target_and_its_logic() {
    let world = World::new().await;
    let target = format!("/targets/{}", world.target);
    let secrets = json!({ "secrets": { "token": "s" }, "secretHosts": { "token": ["a.example"] } });
    let create = json!({ "name": "erp", "connection": secrets });
    world.fails("target_secrets", Method::POST, "/stores/people/targets", create).await;
    let create = json!({ "name": "mail", "dependsOn": ["crm"] });
    world.fails("target_dependencies", Method::POST, "/stores/people/targets", create).await;
    let change = json!({ "description": "new", "connection": secrets });
    world.fails("target_secrets", Method::PATCH, &target, change).await;
    let change = json!({ "filter": "department pr" });
    world.fails("sweeps", Method::PATCH, &target, change).await;
    let draft = json!({ "code": format!("{CODE}\n") });
    world.fails("logic_drafts", Method::PUT, &format!("{target}/logic"), draft).await;
    world.fails("sweeps", Method::POST, &format!("{target}/logic/publish"), json!({ "force": true })).await;
    let draft = json!({ "code": format!("{CODE}\n\n") });
    world.app.put(&format!("{target}/logic"), draft).await.expect(200);
    let trial = json!({ "canary": { "percent": 50 } });
    world.fails("logic_canaries", Method::POST, &format!("{target}/logic/publish"), trial).await;
    let rollback = json!({ "version": 1, "force": true });
    world.fails("sweeps", Method::POST, &format!("{target}/logic/rollback"), rollback).await;
    let mail = world.app.get("/stores/people/targets").await;
    let mail = mail["items"].as_array().unwrap().iter().find(|item| item["name"] == "mail").unwrap();
    let path = format!("/targets/{}", id_of(mail));
    world.fails("guard_released", Method::DELETE, &path, json!({ "name": "mail" })).await;
}

#[tokio::test]
async fn of_accounts_and_what_they_belong_to() {
    let world = World::new().await;
    let account = format!("/accounts/{}", world.account);
    let create = json!({ "userName": "bob", "groups": ["Staff"] });
    world.fails("memberships", Method::POST, "/stores/people/accounts", create).await;
    let create = json!({ "displayName": "Lab", "members": ["ada"] });
    world.fails("memberships", Method::POST, "/stores/people/groups", create).await;
    let change = json!({ "attributes": { "title": "Director" } });
    world.fails("pending", Method::PATCH, &account, change).await;
    let replace = json!({ "userName": "ada", "groups": ["Board"] });
    world.fails("pending", Method::PUT, &account, replace).await;
    world.fails("pending", Method::DELETE, &account, json!({})).await;
}
