//! Every status, and what the run log keeps of a run.

use reqwest::Method;
use serde_json::{Value, json};

use super::{settings, settings_with};
use crate::support::app::TestApp;
use crate::support::sink::{Answer, Sink};

const ANSWER: &str = r#"export default async (ctx) => ctx.account.attributes.answer"#;

#[tokio::test]
async fn every_status_is_shown() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), ANSWER).await;
    for (user, answer, message) in [
        ("ok", json!({ "status": "provisioned", "message": "made" }), "made"),
        ("no", json!({ "status": "provisionNotNeeded", "message": "guest" }), "guest"),
        ("slow", json!({ "status": "provisionOngoing", "message": "building" }), "building"),
        ("bad", json!({ "status": "provisionFailed", "message": "refused" }), "refused"),
    ] {
        let account = app.account(&store, user, json!({ "answer": answer })).await;
        let status = answer["status"].as_str().unwrap();
        let shown = app.until_status(&account, &target, status).await;
        assert_eq!(shown["message"], message, "{shown}");
        assert_ne!(shown["lastRunAt"], Value::Null);
        assert_eq!(shown["nextRunAt"].is_string(), ["slow", "bad"].contains(&user), "{shown}");
    }
}

#[tokio::test]
async fn bad_answers_say_what_was_wrong() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), ANSWER).await;
    for (user, answer, part) in [
        ("null", Value::Null, "must return an object"),
        ("text", json!("provisioned"), "but returned a string"),
        ("word", json!({ "status": "done" }), "not `done`"),
        ("typo", json!({ "status": "provisioned", "remoteid": "x" }), "`remoteid`"),
    ] {
        let account = app.account(&store, user, json!({ "answer": answer })).await;
        let shown = app.until_status(&account, &target, "provisionFailed").await;
        assert!(shown["message"].as_str().unwrap().contains(part), "{shown}");
    }
}

#[tokio::test]
async fn a_run_keeps_lines_and_exchanges_without_secrets() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(201).body(json!({ "id": "77", "echo": "s3cret-Value" })).method("POST"));
    let store = app.store("people").await;
    let code = r#"export default async (ctx) => {
        console.log("hello", ctx.account.userName, { deep: [1] });
        console.warn(ctx.connection.secrets.token);
        const response = await fetch(ctx.connection.baseUrl + "/users", {
            method: "POST",
            headers: { authorization: "Bearer " + ctx.connection.secrets.token },
            body: JSON.stringify({ userName: ctx.account.userName }),
        });
        const body = await response.json();
        console.log(JSON.stringify(body));
        return { status: "provisioned", remoteId: body.id };
    }"#;
    let connection = json!({ "connection": {
        "properties": { "baseUrl": sink.url }, "secrets": { "token": "s3cret-Value" },
    }});
    let target = app.target(&store, settings_with("crm", &sink, connection), code).await;
    let ada = app.account(&store, "ada", json!({})).await;
    app.until_status(&ada, &target, "provisioned").await;
    assert_eq!(sink.calls()[0].header("authorization"), Some("Bearer s3cret-Value"));

    let run = app.runs(&target, &ada).await.remove(0);
    let mut whole = app.get(&format!("/runs/{}", run["id"].as_str().unwrap())).await;
    assert_eq!(whole.as_object_mut().unwrap().remove("replayable"), Some(json!(false)));
    assert_eq!(whole, run);
    assert_eq!(run["log"][0]["text"], "hello ada { deep: [ 1 ] }");
    assert_eq!(run["log"][1]["level"], "warn");
    let exchange = &run["exchanges"][0];
    assert_eq!(
        (&exchange["request"]["method"], &exchange["response"]["status"]),
        (&json!("POST"), &json!(201))
    );
    assert_eq!((&run["statusBefore"], &run["status"]), (&json!("pending"), &json!("provisioned")));
    let shown = app.get(&format!("/targets/{}", target.id)).await;
    assert_eq!(shown["secretNames"], json!(["token"]));
    for text in [run.to_string(), shown.to_string(), app.log()] {
        assert!(!text.contains("s3cret-Value"), "{text}");
    }
}

/// What logic sends may be long, and the list of runs carries it: a page is cut by
/// its bytes too, and the next one goes on.
#[tokio::test]
async fn a_page_of_runs_has_a_size() {
    const LONG: &str = r#"
        export default async (ctx) => {
            const headers = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`x-${n}`, "v".repeat(900)]));
            const body = "b".repeat(5000);
            const call = () => fetch(`${ctx.target.config.url}/`, { method: "POST", headers, body });
            await Promise.all(Array.from({ length: 50 }, call));
            return { status: "provisioned" };
        };"#;
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), LONG).await;
    let lines: String = (0..20).map(|n| format!("{{\"userName\":\"user{n}\"}}\n")).collect();
    app.import(&store, "", lines).await;
    app.until_idle(&target).await;
    let (mut seen, mut cursor) = (std::collections::BTreeSet::new(), String::new());
    let mut pages = 0;
    loop {
        let page = app.get(&format!("/targets/{}/runs?limit=100{cursor}", target.id)).await;
        assert!(page.to_string().len() < 20 << 20);
        pages += 1;
        for run in page["items"].as_array().unwrap() {
            assert!(run["exchanges"].to_string().len() < 50 * (20 << 10), "a head is cut as a body is");
            assert!(seen.insert(run["id"].as_str().unwrap().to_owned()));
        }
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen.len(), 20);
    assert!(pages > 1, "{pages}");
}

/// Times beyond what PostgreSQL keeps, and other parameters that cannot be.
#[tokio::test]
async fn parameters_of_the_log_are_named_when_they_are_wrong() {
    let app = TestApp::start().await;
    let target = app.bare_target().await;
    let ask =
        async |query: &str| app.call(Method::GET, &format!("/targets/{target}/runs?{query}"), None).await;
    for query in ["since=-262143-01-01T00:00:00Z", "since=%2B10000-01-01T00:00:00Z", "since=yesterday"] {
        let problem = ask(query).await.expect(400);
        assert_eq!(problem["errors"][0]["field"], "since", "{problem}");
        let rule = problem["errors"][0]["rule"].as_str().unwrap();
        assert!(rule.ends_with("in the years 1 to 9999"), "{rule}");
    }
    for (query, field) in [("account=x", "account"), ("status=odd", "status"), ("sinse=x", "sinse")] {
        let problem = ask(query).await.expect(400);
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    for query in ["since=0001-01-01T00:00:00Z", "since=9999-12-31T23:59:59.999999Z"] {
        assert_eq!(ask(query).await.expect(200)["items"], json!([]));
    }
}
