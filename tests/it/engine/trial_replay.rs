//! Replays: a failed run again, offline.

use serde_json::{Value, json};

use super::settings_with;
use crate::support::app::{TestApp, TestTarget};
use crate::support::sink::{Answer, Sink};

/// Looks the user up and saves it; a field has the wrong name.
const BROKEN: &str = r#"
    export default async (ctx) => {
        const url = ctx.connection.url + "/users";
        const headers = { authorization: `Bearer ${ctx.connection.secrets.token}`, "content-type": "application/json" };
        const found = await (await fetch(`${url}?name=${ctx.account.userName}`, { headers })).json();
        const saved = await fetch(`${url}/${found.user.ident}`, {
            method: "PUT", headers, body: JSON.stringify({ name: ctx.account.userName }) });
        if (!saved.ok) throw new Error(`saving: ${saved.status}`);
        return { status: "provisioned", remoteId: String(found.user.ident) };
    };
"#;

const SECRET: &str = "correct-horse-battery";

async fn failing(app: &TestApp, sink: &Sink) -> (TestTarget, String, Value) {
    let store = app.store("people").await;
    let connection = json!({ "properties": { "url": sink.url }, "secrets": { "token": SECRET } });
    let settings =
        settings_with("crm", sink, json!({ "connection": connection, "retry": { "maxAttempts": 1 } }));
    // Long enough that the log cuts it, with the secret at its end.
    let filler = "x".repeat(6_000);
    let user = json!({ "user": { "id": 7, "filler": filler, "echo": SECRET } });
    sink.answer(Answer::new(200).body(user).method("GET"));
    let target = app.target(&store, settings, BROKEN).await;
    let ada = app.account(&store, "ada", json!({ "title": "Director" })).await;
    sink.answer(Answer::new(404).method("PUT"));
    app.until_status(&ada, &target, "provisionFailed").await;
    let run = app.runs(&target, &ada).await.remove(0);
    (target, ada, run)
}

fn kinds(answer: &Value) -> Vec<&str> {
    answer["differences"].as_array().unwrap().iter().map(|item| item["kind"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_failed_run_is_run_again_with_a_mended_draft_and_nothing_is_sent() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let (target, ada, run) = failing(&app, &sink).await;
    let path = format!("/runs/{}/replay", run["id"].as_str().unwrap());
    sink.forget();
    assert_eq!(app.get(&format!("/runs/{}", run["id"].as_str().unwrap())).await["replayable"], true);

    let same = app.post(&path, json!({})).await.expect(200);
    assert_eq!(
        (&same["recorded"]["status"], &same["recorded"]["message"]),
        (&run["status"], &run["message"])
    );
    assert_eq!(same["replayed"]["outcome"]["status"], "provisionFailed");
    assert_eq!(kinds(&same), [""; 0], "{:#}", same["differences"]);
    let effects: Vec<_> = same["replayed"]["exchanges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|exchange| &exchange["effect"])
        .collect();
    assert_eq!(effects, ["replayed", "replayed"]);

    let mended = BROKEN.replace("found.user.ident", "found.user.id");
    app.put(&format!("/targets/{}/logic", target.id), json!({ "code": mended })).await.expect(200);
    let missed = app.post(&path, json!({})).await.expect(200);
    let message = missed["replayed"]["outcome"]["message"].as_str().unwrap();
    assert!(message.contains(&format!("no recorded answer for PUT {}/users/7", sink.url)), "{message}");
    assert_eq!(kinds(&missed), ["message", "notRecorded", "notMade"]);

    let answers = json!([{ "method": "PUT", "url": "*/users/7", "status": 200 }]);
    let answer = app.post(&path, json!({ "answers": answers })).await.expect(200);
    assert_eq!(answer["replayed"]["outcome"]["status"], "provisioned", "{answer:#}");
    assert_eq!(answer["replayed"]["outcome"]["remoteId"], "7");
    assert_eq!(answer["replayed"]["accountId"], ada);
    assert_eq!(kinds(&answer), ["status", "notMade"]);

    // Nothing of the mended kind needs an answer: the logic looks before it saves.
    let careful =
        BROKEN.replace("found.user.ident", "found.user.id").replace("method: \"PUT\"", "method: \"GET\"");
    let careful = careful.replace("`${url}/${found.user.id}`", "`${url}?name=${ctx.account.userName}`");
    let careful = careful.replace(", body: JSON.stringify({ name: ctx.account.userName })", "");
    let answer = app.post(&path, json!({ "code": careful })).await.expect(200);
    assert_eq!(answer["replayed"]["outcome"]["status"], "provisioned", "{answer:#}");
    assert_eq!(kinds(&answer), ["status", "repeated", "notMade"]);
    assert!(sink.calls().is_empty(), "a replay has called");
    assert!(!answer.to_string().contains(SECRET));
}

#[tokio::test]
async fn bodies_that_differ_are_shown_and_the_command_line_tells() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let (_, _, run) = failing(&app, &sink).await;
    let id = run["id"].as_str().unwrap();
    let other = BROKEN.replace(
        "{ name: ctx.account.userName }",
        "{ name: ctx.account.userName, title: ctx.account.attributes.title }",
    );
    let answer = app.post(&format!("/runs/{id}/replay"), json!({ "code": other })).await.expect(200);
    assert_eq!(kinds(&answer), ["body"]);
    let difference = &answer["differences"][0];
    assert_eq!(
        (&difference["recorded"], &difference["replayed"]),
        (&json!("{\"name\":\"ada\"}"), &json!("{\"name\":\"ada\",\"title\":\"Director\"}"))
    );
    let file = app.data_dir.join("other.js");
    std::fs::write(&file, other).unwrap();
    let (code, text) = app.cli(&["run", "replay", id, "--file", file.to_str().unwrap()]);
    assert_eq!(code, 1, "{text}");
    for part in
        ["recorded, with version 1", "replayed   PUT", "differences", "Director", "the run would fail"]
    {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
}

#[tokio::test]
async fn another_class_is_a_difference_also_of_a_run_that_fails_as_before() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let (_, _, run) = failing(&app, &sink).await;
    let id = run["id"].as_str().unwrap();
    assert_eq!(run["errorClass"], "permanent");
    let other = BROKEN.replace(
        "throw new Error(`saving: ${saved.status}`)",
        "throw Object.assign(new Error(`saving: ${saved.status}`), { errorClass: \"transient\" })",
    );
    let answer = app.post(&format!("/runs/{id}/replay"), json!({ "code": other })).await.expect(200);
    let differences = answer["differences"].as_array().unwrap();
    let class = json!({ "kind": "errorClass", "recorded": "permanent", "replayed": "transient" });
    assert!(differences.contains(&class), "{differences:#?}");
    let file = app.data_dir.join("other.js");
    std::fs::write(&file, other).unwrap();
    let (code, text) = app.cli(&["run", "replay", id, "--file", file.to_str().unwrap()]);
    assert_eq!(code, 1, "{text}");
    for part in ["  errorClass", "    recorded  permanent", "    replayed  transient"] {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
}

#[tokio::test]
async fn only_what_may_be_kept_is_kept() {
    let app = TestApp::start_with(&[("PROVISIOND_LIMITS_REPLAY_RETENTION_DAYS", "0")]).await;
    let sink = Sink::start().await;
    let (target, ada, run) = failing(&app, &sink).await;
    let path = |run: &Value| format!("/runs/{}/replay", run["id"].as_str().unwrap());
    let refused = app.post(&path(&run), json!({})).await.expect(409);
    assert!(refused["detail"].as_str().unwrap().contains("limits.replayRetentionDays"));
    sink.answer_well();
    sink.answer(Answer::new(200).body(json!({ "user": { "ident": 7 } })));
    app.set(&ada, json!({ "title": "Chief" })).await;
    app.until_status(&ada, &target, "provisioned").await;
    let well = app.runs(&target, &ada).await.pop().unwrap();
    app.post(&path(&well), json!({})).await.expect(409);
    assert_eq!(app.get(&format!("/runs/{}", well["id"].as_str().unwrap())).await["replayable"], false);
    app.post("/runs/1.999999/replay", json!({})).await.expect(404);
}

#[tokio::test]
async fn a_secret_of_digits_does_not_spoil_numbers() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let connection = json!({ "properties": { "url": sink.url }, "secrets": { "pin": "31415" } });
    let settings =
        settings_with("crm", &sink, json!({ "connection": connection, "retry": { "maxAttempts": 1 } }));
    let fails = "export default (ctx) => { throw new Error(`${typeof ctx.account.attributes.number} ${ctx.account.attributes.text}`) };";
    let target = app.target(&store, settings, fails).await;
    let ada = app.account(&store, "ada", json!({ "number": 1_314_151, "text": "x31415" })).await;
    app.until_status(&ada, &target, "provisionFailed").await;
    let run = app.runs(&target, &ada).await.remove(0);
    let replayed =
        app.post(&format!("/runs/{}/replay", run["id"].as_str().unwrap()), json!({})).await.expect(200);
    assert_eq!(kinds(&replayed), [""; 0], "{replayed:#}");
    let message = replayed["replayed"]["outcome"]["message"].as_str().unwrap();
    assert!(message.starts_with("number x[secret:pin]"), "{message}");
}

/// Sends what it signs with a secret.
const SIGNING: &str = r#"
    export default async (ctx) => {
        const hmac = { name: "HMAC", hash: "SHA-256" };
        const key = await crypto.subtle.importKey("raw", ctx.connection.secrets.token, hmac, false, ["sign"]);
        const signed = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(ctx.account.userName));
        const proof = Array.from(new Uint8Array(signed), (byte) => byte.toString(16).padStart(2, "0")).join("");
        const answer = await fetch(ctx.connection.url, { method: "POST", body: JSON.stringify({ proof }) });
        if (!answer.ok) throw new Error(`refused: ${answer.status}`);
        return { status: "provisioned" };
    };
"#;

#[tokio::test]
async fn what_is_not_real_signs_like_a_real_run() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let connection = json!({ "properties": { "url": sink.url }, "secrets": { "token": SECRET } });
    let settings =
        settings_with("crm", &sink, json!({ "connection": connection, "retry": { "maxAttempts": 1 } }));
    sink.answer(Answer::new(400));
    let target = app.target(&store, settings, SIGNING).await;
    let ada = app.account(&store, "ada", json!({})).await;
    app.until_status(&ada, &target, "provisionFailed").await;
    let sent = sink.calls()[0].json();
    assert_eq!(sent["proof"].as_str().unwrap().len(), 64);
    sink.forget();
    let run = app.runs(&target, &ada).await.remove(0);
    let replayed =
        app.post(&format!("/runs/{}/replay", run["id"].as_str().unwrap()), json!({})).await.expect(200);
    assert_eq!(kinds(&replayed), [""; 0], "{:#}", replayed["differences"]);
    let tried = super::trial::dry_run(&app, &target, json!({ "accountId": ada })).await;
    let body = tried["exchanges"][0]["request"]["body"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(body).unwrap(), sent);
    assert!(sink.calls().is_empty());
}

/// The same calls come to the same class, whoever answers them.
#[tokio::test]
async fn a_class_is_the_same_in_earnest_dry_and_again() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(429).header("retry-after", 300).only_to("/save"));
    let store = app.store("people").await;
    let code = "export default async (ctx) => {
        const post = (path) => fetch(ctx.target.config.url + path, { method: 'POST', body: '{}' });
        const saved = await post('/save');
        await post('/audit');
        if (!saved.ok) throw new Error(`saving: ${saved.status}`);
        return { status: 'provisioned' };
    }";
    let target = app.target(&store, super::settings("crm", &sink), code).await;
    let ada = app.account(&store, "ada", json!({})).await;
    app.until_status(&ada, &target, "provisionFailed").await;
    let run = app.runs(&target, &ada).await.remove(0);
    assert_eq!(run["errorClass"], "rateLimited");

    let path = format!("/runs/{}/replay", run["id"].as_str().unwrap());
    let again = app.post(&path, json!({})).await.expect(200);
    assert_eq!(
        (&again["replayed"]["outcome"]["errorClass"], kinds(&again).len()),
        (&json!("rateLimited"), 0)
    );

    let answers = json!([{ "url": "*/save", "status": 429, "headers": { "retry-after": "300" } }, {}]);
    let dry = app
        .post(&format!("/targets/{}/logic/test", target.id), json!({ "accountId": ada, "answers": answers }))
        .await
        .expect(200);
    assert_eq!(dry["outcome"]["errorClass"], "rateLimited", "{dry:#}");
}
