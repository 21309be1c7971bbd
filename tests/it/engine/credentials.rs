//! Credentials that are no secrets of the target: of accounts, made by logic,
//! bought by it. They do not turn up anywhere else than where they were put.

use serde_json::{Value, json};

use super::settings_with;
use crate::support::app::{TestApp, TestTarget};
use crate::support::sink::{Answer, Sink};

const OF_ACCOUNT: &str = "Tr0ub4dor&3 \"x\"";
const MADE: &str = "made-up-passw0rd";
const BOUGHT: &str = "session-0004-abcdef";
const PIN: &str = "471100";

/// Buys a session, sends passwords, and repeats what it hears.
const ECHOES: &str = r#"
    export default async (ctx) => {
        const { url } = ctx.target.config;
        const login = await (await fetch(url + "/login", { method: "POST", body: "{}" })).json();
        const body = JSON.stringify({
            name: ctx.account.userName, password: ctx.account.attributes.password,
            recoveryCodes: ["made-up-passw0rd"], pin: 471100,
        });
        const headers = { "content-type": "application/json", "x-session": login.sessionId };
        const answer = await fetch(url + "/users", { method: "POST", headers, body });
        const text = await answer.text();
        console.log("heard", text, login);
        if (!answer.ok) throw new Error(text);
        return {
            status: "provisioned", message: text, remoteId: "r-" + ctx.account.userName,
            metadata: { heard: text, sessionId: login.sessionId, user: ctx.account.userName },
            attributes: { initialPassword: "made-up-passw0rd" },
        };
    };
"#;

fn echo() -> String {
    format!("refused: {OF_ACCOUNT} and {MADE} ({PIN}) of session {BOUGHT}, nobody")
}

async fn target(app: &TestApp, sink: &Sink) -> (String, TestTarget) {
    let store = app.store("people").await;
    let settings = settings_with("crm", sink, json!({ "retry": { "maxAttempts": 1 } }));
    (store.clone(), app.target(&store, settings, ECHOES).await)
}

/// Nothing of it is anywhere in the texts.
#[track_caller]
fn assert_hidden(texts: &[String]) {
    let escaped = serde_json::to_string(OF_ACCOUNT).unwrap();
    for text in texts {
        for credential in [OF_ACCOUNT, escaped.trim_matches('"'), "Tr0ub4dor", MADE, BOUGHT, PIN] {
            assert!(!text.contains(credential), "{credential} in {text}");
        }
    }
}

fn login() -> Answer {
    Answer::new(200).to("/login").body(json!({ "sessionId": BOUGHT, "user": "ada" }))
}

#[tokio::test]
async fn an_echoed_password_is_hidden_in_everything_that_is_kept() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(400).to("/users").body(echo()));
    sink.answer(login());
    let (store, target) = target(&app, &sink).await;
    let ada = app.account(&store, "ada", json!({ "password": OF_ACCOUNT, "title": "nobody" })).await;
    let failed = app.until_status(&ada, &target, "provisionFailed").await;
    let message = failed["message"].as_str().unwrap();
    let expected = "refused: [hidden] and [hidden] ([hidden]) of session [hidden], nobody";
    assert!(message.starts_with(expected), "{message}");
    let dead = app.get(&format!("/targets/{}/deadletters", target.id)).await;
    assert!(dead.to_string().contains(expected), "{dead}");
    let runs = app.runs(&target, &ada).await;
    assert_eq!(runs[0]["exchanges"][1]["response"]["body"], expected);
    let sent = runs[0]["exchanges"][1]["request"]["body"].as_str().unwrap();
    assert!(sent.contains(r#""name":"ada","password":"[hidden]""#), "{sent}");
    let line = runs[0]["log"][0]["text"].as_str().unwrap();
    assert!(line.starts_with(&format!("heard {expected}")), "{line}");
    assert!(line.contains("ada"), "{line}");
    let dry = app.post(&format!("/targets/{}/logic/test", target.id), json!({ "accountId": ada })).await;
    let replay = format!("/runs/{}/replay", runs[0]["id"].as_str().unwrap());
    let replay = app.post(&replay, json!({})).await.expect(200);
    assert_eq!(replay["differences"], json!([]), "{replay:#}");
    // What logic hands over to the account is shown to whoever tries it.
    let dry = dry.expect(200);
    assert_eq!(dry["response"]["attributes"]["initialPassword"], MADE);
    let dry = json!([dry["exchanges"], dry["console"], dry["outcome"]["message"]]);
    let kept = [failed, dead, json!(runs), dry, replay];
    assert_hidden(&kept.map(|value| value.to_string()));
    assert_hidden(&[app.log()]);
}

#[tokio::test]
async fn what_logic_hands_over_arrives_without_passwords() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(200).to("/users").body(echo()));
    sink.answer(login());
    let (store, target) = target(&app, &sink).await;
    let ada = app.account(&store, "ada", json!({ "password": OF_ACCOUNT })).await;
    let kept = app.until_status(&ada, &target, "provisioned").await;
    let expected = "refused: [hidden] and [hidden] ([hidden]) of session [hidden], nobody";
    assert_eq!(kept["message"], expected);
    assert_eq!((&kept["remoteId"], &kept["metadata"]["user"]), (&json!("r-ada"), &json!("ada")));
    // A token is what `metadata` may be for.
    assert_eq!(kept["metadata"]["sessionId"], BOUGHT);
    let heard = format!("refused: [hidden] and [hidden] ([hidden]) of session {BOUGHT}, nobody");
    assert_eq!(kept["metadata"]["heard"], heard);
    let account = app.get(&format!("/accounts/{ada}")).await;
    assert_eq!(account["attributes"]["initialPassword"], MADE, "it is for other targets");
    assert_hidden(&[json!(app.runs(&target, &ada).await).to_string(), app.log()]);
}

/// A target that is quarantined says why; the log says that it is.
#[tokio::test]
async fn the_log_repeats_nothing_that_a_system_says() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(401).to("/users").body(format!("\u{1b}[31mremote words; {}", echo())));
    sink.answer(login());
    let (store, target) = target(&app, &sink).await;
    app.account(&store, "ada", json!({ "password": OF_ACCOUNT })).await;
    let status = app
        .until("the breaker to open".into(), async || {
            let status = app.get(&format!("/targets/{}/status", target.id)).await;
            if status["breaker"]["state"] == "open" { Ok(status) } else { Err(status) }
        })
        .await;
    let reason: &Value = &status["breaker"]["reason"];
    assert!(reason.as_str().unwrap().contains("remote words; refused: [hidden]"), "{reason}");
    let log = app.log();
    assert!(
        log.contains("quarantined since") && log.contains("the credentials were refused with `auth`"),
        "{log}"
    );
    assert!(!log.contains("remote words"), "{log}");
    assert_hidden(&[status.to_string(), log]);
}
