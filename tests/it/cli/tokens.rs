//! Tokens on the command line, and who they are.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::file;
use crate::support::app::TestApp;

/// Makes a token; how it ended, its text and what was said beside it.
fn create(app: &TestApp, arguments: &[&str]) -> (i32, String, String) {
    let place = app.data_dir.to_str().unwrap();
    let mut command = app.command(&["token", "create", "--role", "viewer", "--data-dir", place]);
    let output = command.args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

async fn newest(app: &TestApp) -> Value {
    let list = app.get("/tokens?limit=500").await;
    list["items"].as_array().unwrap().last().unwrap().clone()
}

fn life(token: &Value) -> Option<TimeDelta> {
    let time = |name: &str| token[name].as_str()?.parse::<DateTime<Utc>>().ok();
    Some(time("expiresAt")? - time("createdAt")?)
}

#[tokio::test]
async fn a_token_has_an_end_unless_somebody_says_never() {
    let app = TestApp::start().await;
    let near = |token: &Value, days: i64| {
        let off = life(token).unwrap() - TimeDelta::days(days);
        assert!(off.abs() < TimeDelta::hours(1), "{token}");
    };
    let (code, text, said) = create(&app, &[]);
    assert!(code == 0 && said.starts_with("works until 20"), "{said}");
    near(&newest(&app).await, 90);
    assert_eq!(app.cli_as(text.trim(), &["target", "list"]).0, 0, "the token stands alone");
    create(&app, &["--expires", "7d"]);
    near(&newest(&app).await, 7);
    let (_, _, said) = create(&app, &["--expires", "never"]);
    assert_eq!((said.as_str(), life(&newest(&app).await)), ("works until it is revoked\n", None));
    for bad in ["soon", "2020-01-01T00:00:00Z", "-1d", "0d"] {
        assert_eq!(create(&app, &[&format!("--expires={bad}")]).0, 2, "{bad}");
    }

    app.post("/tokens", json!({ "name": "a", "role": "viewer" })).await.expect(201);
    near(&newest(&app).await, 90);
    app.post("/tokens", json!({ "name": "b", "role": "viewer", "expiresAt": null })).await.expect(201);
    assert_eq!(life(&newest(&app).await), None);
}

#[tokio::test]
async fn names_of_tokens_in_force_are_unique() {
    let app = TestApp::start().await;
    let body = |name: &str| json!({ "name": name, "role": "viewer" });
    let first = app.post("/tokens", body("Console")).await.expect(201);
    let taken = app.post("/tokens", body("console")).await.expect(409);
    assert_eq!(taken["errors"][0]["field"], "name");
    let (code, _, said) = create(&app, &["--name=CONSOLE"]);
    assert!(code == 4 && said.contains("a token in force is called `CONSOLE`"), "{said}");
    for bad in ["con\u{200b}sole", "\u{202e}console", " console"] {
        app.post("/tokens", body(bad)).await.expect(422);
    }
    app.delete(&format!("/tokens/{}", first["id"].as_str().unwrap())).await.expect(204);
    app.post("/tokens", body("console")).await.expect(201);
    // Without a name there is always a free one.
    assert_eq!((create(&app, &[]).0, create(&app, &[]).0), (0, 0));
    assert_eq!(newest(&app).await["name"], "command line 2");
    // Of many at once one gets it.
    let requests = (0..8).map(|_| app.post("/tokens", body("racer")));
    let answers = futures_util::future::join_all(requests).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 409).count(), 7);
}

#[tokio::test]
async fn an_expired_token_frees_its_name() {
    let app = TestApp::start().await;
    let until = Utc::now() + TimeDelta::seconds(2);
    let body = json!({ "name": "short", "role": "viewer", "expiresAt": until });
    app.post("/tokens", body).await.expect(201);
    app.until("the name to be free".into(), async || {
        let answer = app.post("/tokens", json!({ "name": "short", "role": "viewer" })).await;
        if answer.status == 201 { Ok(()) } else { Err(answer.body) }
    })
    .await;
}

#[tokio::test]
async fn a_token_comes_from_a_file_or_the_environment_and_never_from_an_argument() {
    let app = TestApp::start().await;
    let run = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = app.command(arguments).envs(environment.iter().copied()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (good, bad) = (file(&app, "good", &app.token), file(&app, "bad", "x".repeat(48)));
    let list = ["target", "list"];
    let (code, said) = run(&["target", "list", "--token", &app.token], &[]);
    assert!(code == 2 && said.contains("unexpected argument '--token'"), "{said}");
    let (code, said) = run(&list, &[]);
    assert!(code == 2 && said.contains("no API token"), "{said}");
    assert_eq!(run(&list, &[("PROVISIOND_TOKEN", &app.token)]).0, 0);
    assert_eq!(run(&list, &[("PROVISIOND_TOKEN", ""), ("PROVISIOND_TOKEN_FILE", &good)]).0, 0);
    assert_eq!(run(&["target", "list", "--token-file", &good], &[("PROVISIOND_TOKEN", "other")]).0, 0);
    let (code, said) = run(&["target", "list", "--token-file", &bad], &[("PROVISIOND_TOKEN", &app.token)]);
    assert!(code == 2 && said.contains("is not a token"), "{said}");
    assert!(!said.contains(&"x".repeat(48)), "{said}");
}

#[tokio::test]
async fn who_decided_is_told_by_id() {
    let app = TestApp::start().await;
    let me = app.get("/me").await;
    assert_eq!(me, json!({ "token": { "id": "1", "name": "made at the first start", "role": "owner" } }));
    let list = app.cli(&["token", "list"]).1;
    assert!(list.contains("made at the first start") && list.contains("expires never"), "{list}");
}
