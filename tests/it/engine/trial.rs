//! Dry runs: what logic would do, and that it does not do it.

use std::time::Duration;

use diesel::sql_types::Text;
use diesel::{PgConnection, QueryableByName, RunQueryDsl};
use reqwest::Method;
use serde_json::{Value, json};

use super::scim::scim_target;
use super::{RECORD, settings, settings_with};
use crate::support::app::{PATIENCE, TestApp, TestTarget};
use crate::support::scim::ScimServer;
use crate::support::sink::{Answer, Sink};

/// Tries the logic of a target; the answer must be a report.
pub async fn dry_run(app: &TestApp, target: &TestTarget, body: Value) -> Value {
    app.post(&format!("/targets/{}/logic/test", target.id), body).await.expect(200)
}

/// Method and effect of each exchange.
pub fn effects(run: &Value) -> Vec<(&str, &str)> {
    let exchanges = run["exchanges"].as_array().unwrap().iter();
    exchanges
        .map(|exchange| {
            (exchange["request"]["method"].as_str().unwrap(), exchange["effect"].as_str().unwrap())
        })
        .collect()
}

#[derive(QueryableByName, PartialEq, Debug)]
pub struct Table {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    content: String,
}

/// How many rows each table has, and for those that only work changes what is in
/// them. The record of what was tried is what a dry run does write.
pub fn database(connection: &mut PgConnection) -> Vec<Table> {
    let names: Vec<Table> = diesel::sql_query(
        "SELECT c.relname::text AS name, '' AS content FROM pg_class c \
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') \
         AND c.relname !~ '^dry_runs' ORDER BY 1",
    )
    .load(connection)
    .unwrap();
    let read = |Table { name, .. }| {
        // A node renews what it owns, and notes when a token was used.
        let content = match name.as_str() {
            "targets" | "tokens" => "''".to_owned(),
            _ => "coalesce(md5(string_agg(t::text, ',' ORDER BY t::text)), '')".to_owned(),
        };
        let query = format!("SELECT '{name}' AS name, count(*) || ' ' || {content} AS content FROM {name} t");
        diesel::sql_query(query).get_result(connection).unwrap()
    };
    names.into_iter().map(read).collect()
}

#[tokio::test]
async fn the_scim_logic_reads_really_and_writes_nothing() {
    let (app, server) = (TestApp::start().await, ScimServer::start().await);
    let store = app.store("people").await;
    let target = scim_target(&app, &store, &server).await;
    let ada = app.account(&store, "ada", json!({ "department": "Sales", "title": "Director" })).await;
    app.until_status(&ada, &target, "provisioned").await;
    app.until_idle(&target).await;
    let (users, rows) = (server.users().await, database(&mut app.db.as_ref().unwrap().connection()));

    let update = dry_run(&app, &target, json!({ "accountId": ada })).await;
    assert_eq!(effects(&update), [("PUT", "recorded")]);
    assert_eq!(
        (&update["outcome"]["status"], &update["reason"]),
        (&json!("provisioned"), &json!("provision"))
    );
    assert_eq!(
        (&update["inScope"], &update["ran"], &update["logic"]),
        (&json!(true), &json!(true), &json!("draft"))
    );
    assert_eq!(update["diff"], json!({ "state": {}, "attributes": [] }));

    let forgotten = json!({ "accountId": ada, "previous": { "status": "pending" } });
    let adopt = dry_run(&app, &target, forgotten).await;
    assert_eq!(effects(&adopt), [("GET", "sent"), ("PUT", "recorded")]);
    assert_eq!(adopt["outcome"]["remoteId"], users[0]["id"], "it was really looked up");
    let body: Value =
        serde_json::from_str(adopt["exchanges"][1]["request"]["body"].as_str().unwrap()).unwrap();
    assert_eq!((&body["userName"], &body["title"]), (&json!("ada"), &json!("Director")));
    let headers = adopt["exchanges"][1]["request"]["headers"].to_string();
    assert!(headers.contains("Bearer [secret:token]"), "{headers}");

    let gone = dry_run(&app, &target, json!({ "accountId": ada, "reason": "deprovision" })).await;
    assert_eq!(effects(&gone), [("DELETE", "recorded")]);
    assert_eq!(gone["diff"]["state"]["status"], json!(["provisioned", "deprovisioned"]));
    assert_eq!(gone["outcome"]["nextRunAt"], Value::Null);

    assert_eq!(server.users().await, users);
    assert_eq!(database(&mut app.db.as_ref().unwrap().connection()), rows);
}

#[tokio::test]
async fn an_account_can_be_made_up() {
    let (app, server) = (TestApp::start().await, ScimServer::start().await);
    let store = app.store("people").await;
    let target = scim_target(&app, &store, &server).await;
    let grace =
        json!({ "userName": "grace", "attributes": { "familyName": "Hopper" }, "organization": "Navy" });
    let run = dry_run(&app, &target, json!({ "account": grace })).await;
    assert_eq!(effects(&run), [("GET", "sent"), ("POST", "recorded")]);
    assert_eq!((&run["accountId"], &run["outcome"]["remoteId"]), (&Value::Null, &json!("dryrun-1")));
    assert_eq!(run["exchanges"][1]["response"]["status"], 201);
    assert_eq!(run["diff"]["state"]["remoteId"], json!([null, "dryrun-1"]));
    let body = run["exchanges"][1]["request"]["body"].as_str().unwrap();
    assert!(body.contains("Hopper") && body.contains("Navy"), "{body}");
    assert!(server.users().await.is_empty());

    let offline = dry_run(&app, &target, json!({ "account": { "userName": "grace" }, "reads": false })).await;
    assert_eq!(effects(&offline), [("GET", "pretended"), ("POST", "recorded")]);
    let outside = json!({ "userName": "eve", "status": "suspended" });
    let run = dry_run(&app, &target, json!({ "account": outside, "reads": false })).await;
    assert_eq!((&run["inScope"], &run["ran"]), (&json!(false), &json!(true)));
}

/// Creates, reads back, deletes, reads again.
const THERE_AND_BACK: &str = r#"
    export default async (ctx) => {
        const url = ctx.target.config.url + "/users";
        const made = await (await fetch(url, { method: "POST", body: JSON.stringify({ name: ctx.account.userName }),
            headers: { "content-type": "application/json" } })).json();
        const read = await (await fetch(`${url}/${made.id}`)).json();
        await fetch(`${url}/${made.id}`, { method: "DELETE" });
        const gone = await fetch(`${url}/${made.id}`);
        console.warn("looking", read.name, gone.status);
        await fetch(url + "/query", { method: "POST", effect: "read", body: "all" });
        await fetch(url + "/confirm", { effect: "write" });
        return { status: "provisioned", remoteId: made.id, metadata: { n: 1 }, attributes: { mail: null, a: { b: 2 } },
            runAgainIn: 3600 };
    };
"#;

#[tokio::test]
async fn what_was_made_up_is_remembered_and_what_is_declared_counts() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target = app.disabled_target(&store, settings("crm", &sink), RECORD).await;
    let ada = app.account(&store, "ada", json!({ "mail": "ada@example.org", "a": { "c": 3 } })).await;
    let run = dry_run(&app, &target, json!({ "accountId": ada, "code": THERE_AND_BACK })).await;
    assert_eq!(
        effects(&run),
        [
            ("POST", "recorded"),
            ("GET", "pretended"),
            ("DELETE", "recorded"),
            ("GET", "pretended"),
            ("POST", "sent"),
            ("GET", "recorded"),
        ]
    );
    assert_eq!((&run["logic"], &run["console"][0]["text"]), (&json!("unsaved"), &json!("looking ada 404")));
    let calls = sink.calls();
    assert_eq!((calls.len(), calls[0].path.as_str(), &calls[0].body[..]), (1, "/users/query", &b"all"[..]));
    assert_eq!(run["diff"]["state"]["metadata"], json!([null, { "n": 1 }]));
    assert_eq!(
        run["diff"]["attributes"],
        json!([
            { "path": "a.b", "before": null, "after": 2 },
            { "path": "mail", "before": "ada@example.org", "after": null },
        ])
    );
    assert_eq!(run["outcome"]["nextRunTrigger"], "schedule");
    let typed =
        "export default (ctx: { account: object }) => { const n: number = 1; throw new Error(`${n}`); };";
    let run =
        dry_run(&app, &target, json!({ "accountId": ada, "code": typed, "language": "typescript" })).await;
    assert!(run["thrown"]["stack"].as_str().unwrap().contains("logic.ts:1"), "{run}");
    assert!(run["wallMs"].is_u64() && run["cpuMs"].is_u64(), "{run}");
}

#[tokio::test]
async fn answers_can_be_scripted() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target = app.disabled_target(&store, settings("crm", &sink), RECORD).await;
    let ada = app.account(&store, "ada", json!({})).await;
    let answers = json!([
        { "method": "POST", "url": "*/provision", "status": 429, "headers": { "Retry-After": "120" }, "times": 1 },
        { "status": 400, "body": { "error": "no" } },
    ]);
    let run = dry_run(&app, &target, json!({ "accountId": ada, "answers": answers, "attempt": 2 })).await;
    assert_eq!(effects(&run), [("POST", "scripted")]);
    assert_eq!(run["outcome"]["errorClass"], "rateLimited");
    assert_eq!((&run["outcome"]["retryAfter"], &run["outcome"]["deadLetter"]), (&json!(120), &json!(false)));
    assert!(run["outcome"]["message"].as_str().unwrap().starts_with("the sink answered 429"));
    let bad = dry_run(&app, &target, json!({ "accountId": ada, "answers": [answers[1]] })).await;
    assert_eq!(
        (&bad["outcome"]["errorClass"], &bad["outcome"]["deadLetter"]),
        (&json!("permanent"), &json!(true))
    );
    assert!(sink.calls().is_empty());
}

#[tokio::test]
async fn what_goes_wrong_is_told() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let limits = json!({ "limits": { "cpuMs": 500, "wallMs": 60000, "heapMib": 64 } });
    let target = app.disabled_target(&store, settings_with("crm", &sink, limits), RECORD).await;
    let ada = app.account(&store, "ada", json!({})).await;
    let tried = async |code: &str| dry_run(&app, &target, json!({ "accountId": ada, "code": code })).await;
    let threw = tried(
        "export default (ctx) => {\n  function inner() { throw new Error('no such thing'); }\n  inner();\n};",
    )
    .await;
    assert_eq!((&threw["thrown"]["message"], &threw["response"]), (&json!("no such thing"), &Value::Null));
    assert!(threw["thrown"]["stack"].as_str().unwrap().contains("logic.js:2"), "{threw}");
    assert_eq!(
        (&threw["outcome"]["status"], &threw["outcome"]["errorClass"]),
        (&json!("provisionFailed"), &json!("logic"))
    );
    let spins = tried("export default () => { for (;;); };").await;
    assert_eq!(spins["limit"], "the CPU limit of 500 ms was reached");
    let odd = tried("export default () => ({ status: 'done' });").await;
    assert_eq!(odd["response"], json!({ "status": "done" }));
    assert!(odd["outcome"]["message"].as_str().unwrap().contains("must be one of"));
    let refused =
        tried("export default (ctx) => fetch('http://10.1.2.3/', { method: 'POST', effect: 'write' });")
            .await;
    assert_eq!(effects(&refused), [("POST", "recorded")]);
    assert!(refused["outcome"]["message"].as_str().unwrap().contains("egressAllow"), "{refused}");
    let mistaken = tried("export default () => fetch('http://a.example/', { effect: 'none' });").await;
    assert!(mistaken["outcome"]["message"].as_str().unwrap().contains("'effect' must be"), "{mistaken}");
    assert!(sink.calls().is_empty());
}

#[tokio::test]
async fn bad_requests_say_what_is_wrong() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target = app.disabled_target(&store, settings("crm", &sink), RECORD).await;
    let path = format!("/targets/{}/logic/test", target.id);
    let account = json!({ "userName": "x" });
    for (body, field) in [
        (json!({}), "accountId"),
        (json!({ "accountId": "999999" }), "accountId"),
        (json!({ "accountId": "1", "sample": 5 }), "accountId"),
        (json!({ "sample": 201 }), "sample"),
        (json!({ "sample": 5, "reason": "provision" }), "reason"),
        (json!({ "account": { "userName": "" } }), "account.userName"),
        (json!({ "account": { "userName": "x", "id": "7" } }), "account.id"),
        (json!({ "account": account, "logic": "newest" }), "logic"),
        (json!({ "account": account, "logic": 0 }), "logic"),
        (json!({ "account": account, "logic": -1 }), "logic"),
        (json!({ "account": account, "attempt": -1 }), "attempt"),
        (json!({ "account": account, "previous": [] }), "previous"),
        (json!({ "account": account, "answers": [{ "status": 204, "body": "x" }] }), "answers[0].body"),
        (json!({ "account": account, "code": "export default 1" }), "code"),
        (json!({ "account": account, "code": "" }), "code"),
        (json!({ "account": account, "attempt": 0 }), "attempt"),
        (json!({ "account": account, "answers": [{ "status": 100 }] }), "answers[0].status"),
        (json!({ "account": account, "answers": [{ "headers": { "a b": "" } }] }), "answers[0].headers"),
    ] {
        let refused = app.post(&path, body.clone()).await.expect(422);
        assert_eq!(refused["errors"][0]["field"], field, "{body}: {refused}");
    }
    for sample in [json!(0), json!(-5), json!(201), json!(1.5), json!("ALL"), json!("50")] {
        let refused = app.post(&path, json!({ "sample": sample })).await.expect(422);
        let rule = "must be a whole number from 1 to 200, or \"all\"";
        assert_eq!(refused["errors"], json!([{ "field": "sample", "rule": rule }]), "{sample}");
    }
    let many = vec![json!({}); 101];
    let refused = app.post(&path, json!({ "account": account, "answers": many })).await.expect(422);
    assert_eq!(refused["errors"][0]["rule"], "must not have more than 100 entries");
    app.post(&path, json!({ "account": account, "logic": 7 })).await.expect(404);
    let rollback = format!("/targets/{}/logic/rollback", target.id);
    let refused = app.post(&rollback, json!({ "version": 0 })).await.expect(422);
    assert_eq!(refused["errors"][0]["field"], "version");
    app.post(&rollback, json!({ "version": 7 })).await.expect(404);
    app.post("/targets/999999/logic/test", json!({ "account": account })).await.expect(404);
}

/// Child processes of the daemon that are JavaScript hosts.
fn hosts(app: &TestApp) -> usize {
    let children = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let path = entry.ok()?.path();
        let stat = std::fs::read_to_string(path.join("stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let (state, parent) = (fields.next()?, fields.next()?);
        (state != "Z" && parent == app.pid().to_string()).then_some(())
    });
    children.count()
}

#[tokio::test]
async fn a_few_at_a_time_and_gone_with_the_caller() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target = app.disabled_target(&store, settings("crm", &sink), RECORD).await;
    let ada = app.account(&store, "ada", json!({})).await;
    sink.answer(Answer::new(200).after(Duration::from_secs(60)));
    let waits = "export default async (ctx) => { await fetch(ctx.target.config.url); return { status: 'provisioned' }; };";
    let body = json!({ "accountId": ada, "code": waits });
    let url = format!("{}/api/v1/targets/{}/logic/test", app.url, target.id);
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let request = reqwest::Client::builder().no_proxy().build().unwrap().post(&url);
            tokio::spawn(request.bearer_auth(&app.token).json(&body).send_text())
        })
        .collect();
    sink.wait_until(|calls| calls.len() == 4).await;
    let refused = app.call(Method::POST, &format!("/targets/{}/logic/test", target.id), Some(body)).await;
    assert_eq!(refused.headers["retry-after"], "2");
    refused.expect(429);
    assert_eq!(hosts(&app), 4);
    callers.iter().for_each(tokio::task::JoinHandle::abort);
    let deadline = std::time::Instant::now() + PATIENCE;
    while hosts(&app) > 0 {
        assert!(std::time::Instant::now() < deadline, "{} hosts outlive their callers", hosts(&app));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    sink.answer_well();
    let run = dry_run(&app, &target, json!({ "accountId": ada })).await;
    assert_eq!(run["outcome"]["status"], "provisioned");
}

trait SendText {
    async fn send_text(self) -> reqwest::Result<String>;
}

impl SendText for reqwest::RequestBuilder {
    async fn send_text(self) -> reqwest::Result<String> {
        self.send().await?.text().await
    }
}

#[tokio::test]
async fn the_command_line_shows_what_would_happen() {
    let (app, server) = (TestApp::start().await, ScimServer::start().await);
    let store = app.store("people").await;
    let target = scim_target(&app, &store, &server).await;
    app.account(&store, "ada", json!({ "title": "Director" })).await;
    app.until_idle(&target).await;
    let (code, text) = app.cli(&["logic", "test", "scim", "--account", "ada"]);
    assert_eq!(code, 0, "{text}");
    for part in ["provision ada", "logic: draft", "provisioned", "recorded   PUT http", "Director"] {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
    let file = app.data_dir.join("new.js");
    std::fs::write(&file, "export default () => { throw new Error('not yet'); };").unwrap();
    let (code, text) =
        app.cli(&["logic", "test", "scim", "--account", "ada", "--file", file.to_str().unwrap()]);
    assert!(code == 1 && text.contains("not yet") && text.contains("the run would fail"), "{code} {text}");
    assert!(text.contains(&format!("({}:1:", file.display())) && !text.contains("logic.js"), "{text}");
    let (code, text) = app.cli(&["logic", "test", "scim", "--sample", "5", "--json"]);
    let plan: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    assert_eq!((code, &plan["plan"]["updates"]), (0, &json!(1)));
    let (code, text) = app.cli(&["logic", "test", "scim", "--sample", "all", "--offline"]);
    assert!(code == 0 && text.contains("tried 1 of 1 accounts"), "{code} {text}");
}
