//! Secrets of a target, from the API to what is kept of its runs.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::settings_with;
use crate::support::app::TestApp;
use crate::support::sink::{Answer, Sink};

const SECRET: &str = "correct horse/battery";

/// The example of the guide, with the private key at no host at all.
#[tokio::test]
async fn a_service_account_signs_with_a_key_that_stays_in_the_daemon() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(200).to("/token").body(json!({ "access_token": "at-1", "expires_in": 3600 })));
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = STANDARD.encode(AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
    let connection = json!({ "connection": {
        "properties": {
            "url": sink.url, "tokenUrl": format!("{}/token", sink.url),
            "clientEmail": "sync@project.example", "scope": "directory",
        },
        "secrets": { "privateKey": pem },
        "secretHosts": { "privateKey": [] },
    }});
    let store = app.store("people").await;
    let code = include_str!("../../../samples/logic-examples/service-account.js");
    let target = app.target(&store, settings_with("directory", &sink, connection), code).await;
    let ada = app.account(&store, "ada", json!({})).await;
    app.until_status(&ada, &target, "provisioned").await;

    let calls = sink.calls();
    let form = String::from_utf8(calls[0].body.to_vec()).unwrap();
    let assertion = form.split("assertion=").nth(1).unwrap();
    let (text, signature) = assertion.rsplit_once('.').unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
    public.verify(text.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(text.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["iss"], "sync@project.example");
    assert_eq!(calls[1].header("authorization"), Some("Bearer at-1"));

    let run = app.runs(&target, &ada).await.remove(0);
    let line = run["log"][0]["text"].as_str().unwrap();
    assert!(
        line.starts_with("signed ") && line.ends_with("with [secret:privateKey] (RSASSA-PKCS1-v1_5)"),
        "{line}"
    );
    assert!(!run.to_string().contains(&der[..40]) && !run.to_string().contains("__secret_"));
}

/// Whatever logic prints, throws or returns: handles and echoes of values.
#[tokio::test]
async fn nothing_that_is_kept_has_a_secret_in_it() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let basic = STANDARD.encode(format!("admin:{SECRET}"));
    sink.answer(
        Answer::new(200).body(json!({ "raw": SECRET, "basic": basic, "id": "7" })).header("x-echo", &basic),
    );
    // The last one is in a form that egress does not know: backwards.
    let code = r#"export default async (ctx) => {
        const { token } = ctx.connection.secrets;
        const response = await fetch(ctx.connection.url);
        const echo = { ...await response.json(), header: response.headers.get("x-echo") };
        const value = [..."yrettab/esroh tcerroc"].reverse().join("");
        console.log(echo, token, value);
        if (ctx.account.attributes.throws) throw new Error(`${token} ${echo.raw} ${value}`);
        return {
            status: "provisioned", remoteId: `${echo.raw} ${value}`, message: `${token} ${value}`,
            metadata: { echo, token, [value]: [{ value }] }, attributes: { echo, value },
        };
    }"#;
    let connection =
        json!({ "connection": { "properties": { "url": sink.url }, "secrets": { "token": SECRET } } });
    let store = app.store("people").await;
    let target = app.target(&store, settings_with("crm", &sink, connection), code).await;
    let ada = app.account(&store, "ada", json!({})).await;
    let kept = app.until_status(&ada, &target, "provisioned").await;
    assert_eq!(kept["remoteId"], "[secret:token] [secret:token]");
    assert_eq!(kept["message"], "[secret:token] [secret:token]");
    assert_eq!(kept["metadata"]["[secret:token]"], json!([{ "value": "[secret:token]" }]));
    assert_eq!(kept["metadata"]["echo"]["id"], "7");
    let bob = app.account(&store, "bob", json!({ "throws": true })).await;
    let failed = app.until_status(&bob, &target, "provisionFailed").await;
    assert!(failed["message"].as_str().unwrap().starts_with("[secret:token] [secret:token] [secret:token]"));

    let account = app.get(&format!("/accounts/{ada}")).await;
    assert_eq!(account["attributes"]["value"], "[secret:token]");
    let runs = json!([app.runs(&target, &ada).await, app.runs(&target, &bob).await]);
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    for text in [kept.to_string(), failed.to_string(), account.to_string(), runs.to_string(), app.log()] {
        for form in [SECRET, &basic[8..], &hex, "__secret_"] {
            assert!(!text.contains(form), "{form} in {text}");
        }
    }
}

#[tokio::test]
async fn where_a_secret_may_go_is_a_setting() {
    let (mut app, sink, other) = (TestApp::start().await, Sink::start().await, Sink::start().await);
    let code = r#"export default async (ctx) => {
        const headers = { authorization: `Bearer ${ctx.connection.secrets.token}` };
        const response = await fetch(ctx.account.attributes.url, { headers });
        return { status: "provisioned", message: String(response.status) };
    }"#;
    let store = app.store("people").await;
    let more = json!({
        "egressAllow": [sink.address, other.address],
        "connection": { "secrets": { "token": SECRET }, "secretHosts": { "token": [sink.address] } },
    });
    let target = app.target(&store, settings_with("crm", &sink, more), code).await;
    let shown = app.get(&format!("/targets/{}", target.id)).await;
    assert_eq!(shown["connection"]["secretHosts"], json!({ "token": [sink.address] }));
    let ada = app.account(&store, "ada", json!({ "url": sink.url })).await;
    app.until_status(&ada, &target, "provisioned").await;
    let bob = app.account(&store, "bob", json!({ "url": other.url })).await;
    let failed = app.until_status(&bob, &target, "provisionFailed").await;
    let message = failed["message"].as_str().unwrap();
    assert!(message.contains("`connection.secretHosts.token` of the target does not name it"), "{message}");
    assert_eq!(app.runs(&target, &bob).await[0]["exchanges"][0]["errorClass"], "permanent");
    assert_eq!(other.calls().len(), 0);

    // Without its rule the secret goes wherever the target may go.
    let patch = json!({ "connection": { "secretHosts": { "token": null } } });
    let changed = app.patch(&format!("/targets/{}", target.id), patch).await.expect(200);
    assert_eq!(changed["connection"]["secretHosts"], json!({}));
    // So that no run begins with the settings of before.
    app.kill();
    app.restart().await;
    app.set(&bob, json!({ "again": true })).await;
    app.until_status(&bob, &target, "provisioned").await;
    assert_eq!(other.calls()[0].header("authorization"), Some(format!("Bearer {SECRET}").as_str()));

    let bad = json!({ "connection": { "secretHosts": { "token": ["a.example", "https://b.example"] } } });
    let problem = app.patch(&format!("/targets/{}", target.id), bad).await.expect(422);
    assert_eq!(problem["errors"][0]["field"], "connection.secretHosts.token[1]", "{problem}");
}

#[tokio::test]
async fn an_editor_does_not_say_where_secrets_go() {
    let mut app = TestApp::start().await;
    let store = app.store("people").await;
    let hosts = json!({ "connection": { "secretHosts": { "token": ["a.example"] } } });
    let mut settings = hosts.clone();
    settings["name"] = "crm".into();
    settings["connection"]["secrets"] = json!({ "token": SECRET });
    let made = app.post(&format!("/stores/{store}/targets"), settings.clone()).await.expect(201);
    let path = format!("/targets/{}", made["id"].as_str().unwrap());
    let editor = app.post("/tokens", json!({ "name": "e", "role": "editor" })).await.expect(201);
    app.token = editor["token"].as_str().unwrap().to_owned();
    for hosts in [json!({}), json!({ "token": null }), json!({ "token": ["b.example"] })] {
        let removes = hosts == json!({});
        let patch = json!({ "connection": { "secretHosts": if removes { Value::Null } else { hosts } } });
        let problem = app.patch(&path, patch).await.expect(403);
        assert!(problem["detail"].as_str().unwrap().contains("`secretsAdmin` is needed"), "{problem}");
    }
    app.patch(&path, hosts).await.expect(200);
    app.patch(&path, json!({ "description": "x" })).await.expect(200);
    settings["name"] = "other".into();
    app.post(&format!("/stores/{store}/targets"), settings).await.expect(403);
}

/// Hosts of a name that no secret has would protect nothing.
#[tokio::test]
async fn hosts_go_with_secrets_that_exist() {
    let app = TestApp::start().await;
    let store = app.store("people").await;
    let hosts = json!({ "token": ["a.example"] });
    let connection = |secrets: Value, hosts: &Value| json!({ "secrets": secrets, "secretHosts": hosts });
    let create = async |connection: Value| {
        app.post(&format!("/stores/{store}/targets"), json!({ "name": "crm", "connection": connection }))
            .await
    };
    let misspelt = create(connection(json!({ "Token": SECRET }), &hosts)).await.expect(422);
    assert_eq!(misspelt["errors"][0]["field"], "connection.secretHosts.token");
    let rule = misspelt["errors"][0]["rule"].as_str().unwrap();
    assert!(rule.contains("the target has `Token`"), "{rule}");
    assert_eq!(app.get(&format!("/stores/{store}/targets")).await["items"], json!([]));

    let made = create(connection(json!({ "token": SECRET }), &hosts)).await.expect(201);
    let path = format!("/targets/{}", made["id"].as_str().unwrap());
    let change = async |connection: Value| app.patch(&path, json!({ "connection": connection })).await;
    for (refused, field) in [
        (json!({ "secrets": { "token": null } }), "token"),
        (json!({ "secretHosts": { "key": ["b.example"] } }), "key"),
        (json!({ "secrets": { "key": SECRET }, "secretHosts": { "Key": [] } }), "Key"),
    ] {
        let problem = change(refused).await.expect(422);
        assert_eq!(problem["errors"][0]["field"], format!("connection.secretHosts.{field}"), "{problem}");
    }
    let shown = app.get(&path).await;
    assert_eq!((&shown["secretNames"], &shown["version"]), (&json!(["token"]), &json!(1)));

    // What comes and goes together is judged together, in whatever order.
    let moved = json!({ "secretHosts": { "key": ["b.example"], "token": null }, "secrets": { "key": SECRET, "token": null } });
    let changed = change(moved).await.expect(200);
    assert_eq!(changed["secretNames"], json!(["key"]));
    assert_eq!(changed["connection"]["secretHosts"], json!({ "key": ["b.example"] }));
}
