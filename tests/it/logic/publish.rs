//! Drafts, publication, history: through the API, as a person does it.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::registry::{FakeRegistry, Release};
use crate::support::app::{Answered, TestApp, TestTarget};
use crate::support::sink::{Answer, Sink};

const SAYS: &str = "export default async (ctx) => ({ status: ctx.reason === 'provision' ? 'provisioned' : 'deprovisioned', message: 'WORD' });";

fn says(word: &str) -> String {
    SAYS.replace("WORD", word)
}

async fn publish(app: &TestApp, target: &TestTarget, code: &str, body: Value) -> Value {
    app.put(&format!("/targets/{}/logic", target.id), json!({ "code": code })).await.expect(200);
    app.post(&format!("/targets/{}/logic/publish", target.id), body).await.expect(200)
}

#[tokio::test]
async fn a_draft_becomes_a_version_with_a_history() {
    let app = TestApp::start().await;
    app.store("people").await;
    let ada = app.account("people", "ada", json!({})).await;
    let target = app.target("people", json!({ "name": "crm" }), &says("one")).await;
    app.until_status(&ada, &target, "provisioned").await;

    let path = format!("/targets/{}/logic", target.id);
    let second = publish(&app, &target, &says("two"), json!({ "note": "says two" })).await;
    assert_eq!(
        (&second["version"], &second["note"], &second["accountsToForce"]),
        (&json!(2), &json!("says two"), &json!(1))
    );
    assert!(second.get("sweep").is_none(), "publishing runs nothing: {second}");
    let null = json!({ "code": says("two"), "language": null, "packageDependencies": null });
    app.put(&path, null).await.expect(200);
    let shown = app.get(&path).await;
    assert_eq!(shown["publishedVersion"], 2);
    assert_eq!(shown["draft"]["state"], "validated");
    let numbers: Vec<_> =
        shown["versions"].as_array().unwrap().iter().map(|version| &version["version"]).collect();
    assert_eq!(numbers, [&json!(2), &json!(1)]);
    assert_eq!(app.runs(&target, &ada).await.len(), 1, "nothing ran again by itself");

    let third = publish(&app, &target, &says("three"), json!({ "force": true })).await;
    assert!(third["sweep"]["id"].is_string(), "{third}");
    let runs = app.until_runs(&target, &ada, 2).await;
    assert_eq!((&runs[1]["message"], &runs[1]["logicVersion"]), (&json!("three"), &json!(3)));

    let diff = app.get(&format!("{path}/diff?from=1&to=3")).await;
    let text = diff["diff"].as_str().unwrap();
    assert!(
        text.starts_with("--- version 1\n+++ version 3\n") && text.contains("message: 'three'"),
        "{text}"
    );
    let bundle = app.get(&format!("{path}/versions/3/bundle")).await;
    assert!(bundle.as_str().unwrap().contains("message: \"three\""), "{bundle}");

    let back = app.post(&format!("{path}/rollback"), json!({ "note": "three was wrong" })).await.expect(200);
    assert_eq!(
        (&back["version"], &back["restores"], &back["code"]),
        (&json!(4), &json!(2), &json!(says("two")))
    );
    let further = app.post(&format!("{path}/rollback"), json!({})).await.expect(200);
    assert_eq!((&further["version"], &further["restores"]), (&json!(5), &json!(1)));
    app.post(&format!("{path}/rollback"), json!({})).await.expect(409);
    let chosen =
        app.post(&format!("{path}/rollback"), json!({ "version": 3, "force": true })).await.expect(200);
    assert_eq!((&chosen["version"], &chosen["restores"]), (&json!(6), &json!(3)));
    let runs = app.until_runs(&target, &ada, 3).await;
    assert_eq!((&runs[2]["message"], &runs[2]["logicVersion"]), (&json!("three"), &json!(6)));
    app.post(&format!("{path}/rollback"), json!({ "version": 77 })).await.expect(404);
}

#[tokio::test]
async fn the_history_comes_in_pages() {
    let app = TestApp::start().await;
    app.store("people").await;
    let target = app.disabled_target("people", json!({ "name": "crm" }), &says("one")).await;
    let path = format!("/targets/{}/logic", target.id);
    for _ in 0..54 {
        app.post(&format!("{path}/publish"), json!({})).await.expect(200);
    }
    let numbers = |versions: &Value| -> Vec<i64> {
        versions.as_array().unwrap().iter().map(|version| version["version"].as_i64().unwrap()).collect()
    };
    let newest = app.get(&path).await["versions"].clone();
    assert_eq!(numbers(&newest), (6..=55).rev().collect::<Vec<_>>());
    let page = app.get(&format!("{path}/versions?limit=2")).await;
    assert_eq!(numbers(&page["items"]), [55, 54]);
    assert!(page["items"][0].get("code").is_none() && page["items"][0].get("report").is_none(), "{page}");
    let cursor = page["next"].as_str().unwrap();
    let rest = app.get(&format!("{path}/versions?limit=500&cursor={cursor}")).await;
    assert_eq!((numbers(&rest["items"]), &rest["next"]), ((1..=53).rev().collect::<Vec<_>>(), &Value::Null));
    app.call(Method::GET, "/targets/77/logic/versions", None).await.expect(404);
}

/// As many lines as there can be, all different, and in reverse: the worst that a
/// difference can be.
#[tokio::test]
async fn a_difference_is_not_looked_for_for_ever() {
    let app = TestApp::start().await;
    app.store("people").await;
    let mut lines: Vec<String> = ('\u{1000}'..'\u{d000}').map(|letter| format!("//{letter}\n")).collect();
    let code = |lines: &[String]| format!("{}\n{}", says("x"), lines.concat());
    let target = app.disabled_target("people", json!({ "name": "crm" }), &code(&lines)).await;
    let path = format!("/targets/{}/logic", target.id);
    lines.reverse();
    app.put(&path, json!({ "code": code(&lines) })).await.expect(200);
    let diff = app.get(&format!("{path}/diff")).await["diff"].as_str().unwrap().to_owned();
    assert!(diff.starts_with("--- version 1\n+++ draft\n"));
    for sign in ['-', '+'] {
        assert!(diff.lines().filter(|line| line.starts_with(sign)).count() > 40_000);
    }
}

/// PostgreSQL keeps no NUL, in no text.
#[tokio::test]
async fn a_nul_on_the_console_harms_nobody() {
    let app = TestApp::start().await;
    app.store("people").await;
    let ada = app.account("people", "ada", json!({})).await;
    let code = "export default () => { console.log('a\\0b'); return { status: 'provisioned' } };
        export const tests = { good(t) { console.log('c\\0d') }, bad(t) { throw new Error('e\\0f') } };";
    let target = app.disabled_target("people", json!({ "name": "crm" }), &says("one")).await;
    let path = format!("/targets/{}/logic", target.id);
    let saved = app.put(&path, json!({ "code": code })).await.expect(200);
    let tests = &saved["draft"]["report"]["tests"];
    assert_eq!(tests[0]["log"][0]["text"], "c\u{fffd}d");
    assert!(tests[1]["message"].as_str().unwrap().starts_with("e\u{fffd}f"), "{saved}");
    let named = "export default () => 1; export const tests = { 'a\\0b'(t) {} };";
    let refused = app.put(&path, json!({ "code": named })).await.expect(422);
    assert_eq!(refused["errors"][0]["rule"], "cannot be loaded: the name of a test contains NUL (U+0000)");

    let good = code.replace("throw new Error('e\\0f')", "");
    publish(&app, &target, &good, json!({})).await;
    app.enable(&target).await;
    let runs = app.until_runs(&target, &ada, 1).await;
    assert_eq!(
        (&runs[0]["status"], &runs[0]["log"][0]["text"]),
        (&json!("provisioned"), &json!("a\u{fffd}b"))
    );
}

#[tokio::test]
async fn tests_that_fail_keep_a_draft_from_being_published() {
    let app = TestApp::start().await;
    app.store("people").await;
    let target = app.disabled_target("people", json!({ "name": "crm" }), &says("one")).await;
    let path = format!("/targets/{}/logic", target.id);
    let code =
        format!("{}\nexport const tests = {{ good(t) {{}}, bad(t) {{ t.equal(1, 2) }} }};", says("two"));
    let saved = app.put(&path, json!({ "code": code })).await.expect(200);
    let tests = saved["draft"]["report"]["tests"].as_array().unwrap().clone();
    assert_eq!(
        (&tests[0]["passed"], &tests[1]["passed"]),
        (&json!(true), &json!(false)),
        "a draft may fail: {saved}"
    );
    let refused = app.post(&format!("{path}/publish"), json!({})).await.expect(422);
    assert_eq!(refused["errors"][0]["rule"], "1 of 2 tests failed: \"bad\"");
    assert!(
        refused["tests"][1]["message"]
            .as_str()
            .unwrap()
            .starts_with("expected 2, got 1\nat bad (logic.js:2:"),
        "{refused}"
    );
    assert_eq!(app.get(&path).await["publishedVersion"], 1);
}

#[tokio::test]
async fn a_registry_outage_loses_no_draft_and_stops_no_provisioning() {
    let registry =
        FakeRegistry::start(&[Release::new("a", "1.2.3", "module.exports = 'from a package'")]).await;
    let app = TestApp::start_with(&[("PROVISIOND_PACKAGES_REGISTRY", &registry.sink.url)]).await;
    app.store("people").await;
    let ada = app.account("people", "ada", json!({})).await;
    let target = app.disabled_target("people", json!({ "name": "crm" }), &says("one")).await;
    let path = format!("/targets/{}/logic", target.id);
    let code = "import a from 'a'; export default () => ({ status: 'provisioned', message: a });";
    let body = json!({ "code": code, "packageDependencies": { "a": "^1.0.0" } });

    registry.sink.answer(Answer::new(502));
    let saved = app.put(&path, body.clone()).await.expect(200);
    assert_eq!((&saved["draft"]["state"], &saved["draft"]["artefact"]), (&json!("draft"), &Value::Null));
    assert_eq!(saved["draft"]["report"]["problem"], "the package registry answers 502 Bad Gateway");
    let refused = app.post(&format!("{path}/publish"), json!({})).await.expect(503);
    assert!(refused["detail"].as_str().unwrap().contains("502"), "{refused}");

    registry.publish(&[Release::new("a", "1.2.3", "module.exports = 'from a package'")]);
    let version = app.post(&format!("{path}/publish"), json!({})).await.expect(200);
    let whole = app.get(&format!("{path}/versions/{}", version["version"])).await;
    let package = &whole["artefact"]["packages"][0];
    assert_eq!(
        (&package["name"], &package["version"], &package["licence"]),
        (&json!("a"), &json!("1.2.3"), &json!("MIT"))
    );

    // From now on nobody asks the registry for anything.
    registry.sink.answer(Answer::new(502));
    let before = registry.sink.calls().len();
    app.enable(&target).await;
    let state = app.until_status(&ada, &target, "provisioned").await;
    assert_eq!(state["message"], "from a package");
    assert_eq!(registry.sink.calls().len(), before);
}

#[tokio::test]
async fn a_draft_that_was_validated_is_what_is_published() {
    let registry = FakeRegistry::start(&[Release::new("a", "1.0.0", "module.exports = 1")]).await;
    let app = TestApp::start_with(&[("PROVISIOND_PACKAGES_REGISTRY", &registry.sink.url)]).await;
    app.store("people").await;
    let target = app.disabled_target("people", json!({ "name": "crm" }), &says("one")).await;
    let path = format!("/targets/{}/logic", target.id);
    let body = json!({ "code": "import a from 'a'; export default () => a", "packageDependencies": { "a": "^1.0.0" } });
    let saved = app.put(&path, body).await.expect(200);
    registry.publish(&[
        Release::new("a", "1.0.0", "module.exports = 1"),
        Release::new("a", "1.1.0", "module.exports = 2"),
    ]);
    let asked = registry.sink.calls().len();
    let version = app.post(&format!("{path}/publish"), json!({})).await.expect(200);
    assert_eq!(version["artefact"]["id"], saved["draft"]["artefact"]["id"]);
    assert_eq!(registry.sink.calls().len(), asked, "nothing was chosen anew");

    let same = app.post(&format!("{path}/validate"), json!({})).await.expect(200);
    assert_eq!(same["draft"]["artefact"]["packages"][0]["version"], "1.0.0");
    // What the registry says is remembered for some minutes; another daemon asks anew.
    let beside = app.start_beside().await;
    let newer = beside.post(&format!("{path}/validate"), json!({ "update": true })).await.expect(200);
    assert_eq!(newer["draft"]["artefact"]["packages"][0]["version"], "1.1.0");
    let diff = app.get(&format!("{path}/diff")).await;
    assert_eq!(diff["packages"], json!([{ "name": "a", "from": "1.0.0", "to": "1.1.0" }]));
    assert_eq!(diff["diff"], "");
}

#[tokio::test]
async fn a_run_names_the_lines_of_typescript() {
    let app = TestApp::start().await;
    app.store("people").await;
    let ada = app.account("people", "ada", json!({})).await;
    let code = "interface Context { account: { userName: string } }\n\nfunction check(name: string): void {\n  throw new Error(`no ${name}`);\n}\n\nexport default (ctx: Context) => {\n  check(ctx.account.userName);\n};";
    let target = app.target("people", json!({ "name": "crm" }), code).await;
    let runs = app.until_runs(&target, &ada, 1).await;
    let message = runs[0]["message"].as_str().unwrap();
    assert!(message.starts_with("no ada\nat check (logic.ts:4:"), "{message}");
    assert!(message.contains("(logic.ts:8:"), "{message}");
}

#[tokio::test]
async fn types_and_packages_are_served_to_editors() {
    let registry = FakeRegistry::start(&[Release::new("a", "1.0.0", "")]).await;
    let app = TestApp::start_with(&[("PROVISIOND_PACKAGES_REGISTRY", &registry.sink.url)]).await;
    let types = app.call(Method::GET, "/logic/types", None).await;
    assert!(types.headers["content-type"].to_str().unwrap().starts_with("application/typescript"));
    let types = types.body.as_str().unwrap().to_owned();
    for module in ["declare module \"provisiond\"", "declare module \"provisiond:mapping\""] {
        assert!(types.contains(module), "{module}");
    }
    let versions = app.get("/packages/versions?name=a").await;
    assert_eq!(
        (&versions["items"][0]["version"], &versions["items"][0]["coolingDown"]),
        (&json!("1.0.0"), &json!(false))
    );
    assert_eq!(app.get("/packages?query=a").await["items"][0]["name"], "a");
    app.call(Method::GET, "/packages/versions?name=missing", None).await.expect(404);
    app.call(Method::GET, "/packages/versions?name=..", None).await.expect(400);
    app.call(Method::GET, "/packages?query=%20", None).await.expect(400);
    registry.sink.answer(Answer::new(500));
    app.call(Method::GET, "/packages/versions?name=b", None).await.expect(503);
}

#[tokio::test]
async fn runs_that_are_under_way_finish_on_their_version() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    app.store("people").await;
    let ada = app.account("people", "ada", json!({})).await;
    let waits = format!(
        "export default async () => {{ await fetch('{}/slow'); return {{ status: 'provisioned', message: 'old' }} }}",
        sink.url
    );
    sink.answer(Answer::new(200).to("/slow").after(Duration::from_secs(3)));
    let target = app.target("people", json!({ "name": "crm", "egressAllow": [sink.address] }), &waits).await;
    sink.wait_until(|calls| !calls.is_empty()).await;
    publish(&app, &target, &says("new"), json!({})).await;
    let state = app.until_status(&ada, &target, "provisioned").await;
    assert_eq!(state["message"], "old");
    let runs = app.runs(&target, &ada).await;
    assert_eq!((runs.len(), &runs[0]["logicVersion"]), (1, &json!(1)));
}

/// Two people edit at a time: who saves last is told that there was another one.
#[tokio::test]
async fn a_draft_that_was_changed_meanwhile_is_not_overwritten() {
    let app = TestApp::start().await;
    let path = format!("/targets/{}/logic", app.bare_target().await);
    let tag = |answer: &Answered| answer.headers["etag"].to_str().unwrap().to_owned();
    let save = async |word: &str, tag: &str| {
        app.call_if_match(Method::PUT, &path, json!({ "code": says(word) }), tag).await
    };
    let none = tag(&app.call(Method::GET, &path, None).await);
    let first = save("first", &none).await;
    assert_eq!(first.status, 200);
    let seen = app.call(Method::GET, &path, None).await;
    assert_eq!(tag(&seen), tag(&first));
    assert_eq!(seen.body["draft"]["updatedAt"], first.body["draft"]["updatedAt"]);
    let refused = save("second", &none).await.expect(412);
    assert_eq!(refused["detail"], "the draft is not the one that `If-Match` names");
    assert_eq!(save("third", &tag(&seen)).await.status, 200);
    let publish = format!("{path}/publish");
    app.call_if_match(Method::POST, &publish, json!({}), &tag(&seen)).await.expect(412);
    let now = app.call(Method::GET, &path, None).await;
    assert_eq!(now.body["publishedVersion"], Value::Null);
    app.call_if_match(Method::POST, &publish, json!({}), &tag(&now)).await.expect(200);
}

#[tokio::test]
async fn a_draft_whose_tests_fail_is_not_validated() {
    let app = TestApp::start().await;
    let path = format!("/targets/{}/logic", app.bare_target().await);
    let code = format!("{}\nexport const tests = {{ fails() {{ throw new Error('no') }} }};", says("x"));
    let saved = app.put(&path, json!({ "code": code })).await.expect(200)["draft"].clone();
    assert_eq!((&saved["state"], &saved["report"]["tests"][0]["passed"]), (&json!("draft"), &json!(false)));
}
