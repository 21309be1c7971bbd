//! What is published is what its author has seen.

use serde_json::{Value, json};

use super::file;
use crate::support::app::TestApp;
use crate::support::sink::{Answer, Sink};

fn says(word: &str) -> String {
    format!("export default () => ({{ status: 'provisioned', message: '{word}' }});")
}

async fn published(app: &TestApp, target: &str) -> Value {
    let logic = app.get(&format!("/targets/{target}/logic")).await;
    let Some(number) = logic["publishedVersion"].as_i64() else { return Value::Null };
    app.get(&format!("/targets/{target}/logic/versions/{number}")).await
}

#[tokio::test]
async fn a_draft_of_another_token_needs_a_word() {
    let app = TestApp::start().await;
    let target = app.bare_target().await;
    let (alice, bob) = (app.another_token("alice", "editor").await, app.another_token("bob", "editor").await);
    let (ours, theirs) = (file(&app, "ours.js", says("ours")), file(&app, "theirs.js", says("theirs")));
    assert_eq!(app.cli_as(&alice, &["logic", "put", "crm", "--file", &ours]).0, 0);
    assert_eq!(app.cli_as(&bob, &["logic", "put", "crm", "--file", &theirs]).0, 0);
    // Whoever builds it again has not written it.
    assert_eq!(app.cli_as(&alice, &["logic", "validate", "crm"]).0, 0);
    let (code, said) = app.cli_as(&alice, &["logic", "publish", "crm"]);
    assert_eq!(code, 4, "{said}");
    for part in ["the draft was saved by bob (token 3, from 127.0.0.1)", "--saved-by=3 crm`"] {
        assert!(said.contains(part), "`{part}` is missing in {said}");
    }
    assert_eq!(published(&app, &target).await, Value::Null);
    assert_eq!(app.cli_as(&alice, &["logic", "publish", "crm", "--saved-by", "carol"]).0, 4);
    assert_eq!(app.cli_as(&alice, &["logic", "publish", "crm", "--saved-by", "bob"]).0, 0);
    let version = published(&app, &target).await;
    assert_eq!(version["code"], says("theirs"));
    assert_eq!(
        (&version["publishedBy"], &version["publishedByTokenId"], &version["publishedByAddress"]),
        (&json!("alice"), &json!("2"), &json!("127.0.0.1"))
    );
    // One's own needs none, and the word is about the author.
    assert_eq!(app.cli_as(&bob, &["logic", "publish", "crm", "--saved-by", "alice"]).0, 4);
    assert_eq!(app.cli_as(&bob, &["logic", "publish", "crm"]).0, 0);
    assert_eq!(app.cli_as(&alice, &["logic", "publish", "crm", "--saved-by", "3"]).0, 0);
}

#[tokio::test]
async fn a_token_of_the_same_name_is_another_one() {
    let app = TestApp::start().await;
    let target = app.bare_target().await;
    let first = app.another_token("ci", "editor").await;
    let ours = file(&app, "ours.js", says("ours"));
    assert_eq!(app.cli_as(&first, &["logic", "put", "crm", "--file", &ours]).0, 0);
    app.delete("/tokens/2").await.expect(204);
    let second = app.another_token("ci", "editor").await;
    assert_eq!(app.cli_as(&second, &["logic", "publish", "crm"]).0, 4);
    let draft = &app.get(&format!("/targets/{target}/logic")).await["draft"];
    assert_eq!((&draft["savedBy"], &draft["savedByTokenId"]), (&json!("ci"), &json!("2")));
}

/// Another daemon in its place, so that the draft changes at the worst time.
#[tokio::test]
async fn a_draft_that_is_overwritten_meanwhile_is_not_published() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let saved = json!({ "draft": { "state": "validated", "report": { "tests": [] } } });
    let ours = file(&app, "ours.js", says("ours"));
    let run = |arguments: &[&str]| {
        let mut command = app.command(arguments);
        command.env("PROVISIOND_URL", &sink.url).env("PROVISIOND_TOKEN", &app.token);
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let mine = json!({ "draft": { "savedByTokenId": "1", "savedBy": "me" } });
    sink.answer(Answer::new(200).only_to("/api/v1/me").body(json!({ "token": { "id": "1", "name": "me" } })));
    sink.answer(Answer::new(200).method("GET").to("/targets/1/logic").header("etag", "\"6\"").body(mine));
    sink.answer(Answer::new(200).method("PUT").header("etag", "\"7\"").body(saved));
    sink.answer(Answer::new(412).method("POST"));
    for (arguments, tag) in
        [(&["logic", "publish", "1", "--file", &ours][..], "\"7\""), (&["logic", "publish", "1"], "\"6\"")]
    {
        let (code, said) = run(arguments);
        assert!(code == 4 && said.contains("somebody else saved a draft meanwhile"), "{code} {said}");
        let calls = sink.calls();
        let publish = calls.last().unwrap();
        assert_eq!((publish.method.as_str(), publish.header("if-match")), ("POST", Some(tag)));
    }
}
