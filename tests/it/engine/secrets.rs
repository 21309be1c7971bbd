//! Secrets of a target, from the API to what is kept of its runs.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use provisiond::domain::ids::TargetId;
use provisiond::storage::targets;
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
        "connection": { "secrets": { "token": SECRET }, "secretHosts": { "token": [plain(&sink)] } },
    });
    let target = app.target(&store, settings_with("crm", &sink, more), code).await;
    let shown = app.get(&format!("/targets/{}", target.id)).await;
    assert_eq!(shown["connection"]["secretHosts"], json!({ "token": [plain(&sink)] }));
    let ada = app.account(&store, "ada", json!({ "url": sink.url })).await;
    app.until_status(&ada, &target, "provisioned").await;
    let bob = app.account(&store, "bob", json!({ "url": other.url })).await;
    let failed = app.until_status(&bob, &target, "provisionFailed").await;
    let message = failed["message"].as_str().unwrap();
    assert!(message.contains("`connection.secretHosts.token` of the target does not name it"), "{message}");
    assert_eq!(app.runs(&target, &bob).await[0]["exchanges"][0]["errorClass"], "permanent");
    assert_eq!(other.calls().len(), 0);

    let patch = json!({ "connection": { "secretHosts": { "token": [plain(&sink), plain(&other)] } } });
    app.patch(&format!("/targets/{}", target.id), patch).await.expect(200);
    // So that no run begins with the settings of before.
    app.kill();
    app.restart().await;
    app.set(&bob, json!({ "again": true })).await;
    app.until_status(&bob, &target, "provisioned").await;
    assert_eq!(other.calls()[0].header("authorization"), Some(format!("Bearer {SECRET}").as_str()));

    // Without its rule the secret goes nowhere.
    let patch = json!({ "connection": { "secretHosts": { "token": null } } });
    let changed = app.patch(&format!("/targets/{}", target.id), patch).await.expect(200);
    assert_eq!(changed["connection"]["secretHosts"], json!({}));
    app.kill();
    app.restart().await;
    app.set(&ada, json!({ "again": true })).await;
    let failed = app.until_status(&ada, &target, "provisionFailed").await;
    let expected = format!("secret `token` is not sent to `{}`: it may go nowhere yet", sink.address);
    assert!(failed["message"].as_str().unwrap().contains(&expected), "{failed}");

    let bad = json!({ "connection": { "secretHosts": { "token": ["a.example", "https://b.example"] } } });
    let problem = app.patch(&format!("/targets/{}", target.id), bad).await.expect(422);
    assert_eq!(problem["errors"][0]["field"], "connection.secretHosts.token[1]", "{problem}");
}

/// What an entry must be for a sink, which has no TLS.
fn plain(sink: &Sink) -> String {
    format!("http://{}", sink.address)
}

/// Whoever sets a secret beside the address of the system has said where it goes.
#[tokio::test]
async fn a_secret_that_comes_with_an_address_goes_there_alone() {
    let app = TestApp::start().await;
    let store = app.store("people").await;
    let targets = format!("/stores/{store}/targets");
    let hosts = |target: &Value| target["connection"]["secretHosts"].clone();
    let settings = |name: &str, properties: Value| json!({ "name": name, "connection": { "properties": properties, "secrets": { "token": SECRET } } });
    let body =
        settings("crm", json!({ "baseUrl": "https://Crm.example/api", "tokenUrl": "https://t.example" }));
    let made = app.post(&targets, body).await.expect(201);
    assert_eq!(hosts(&made), json!({ "token": ["crm.example:443"] }));
    let made_plain = app.post(&targets, settings("sink", json!({ "url": "http://127.0.0.1:81/x" }))).await;
    assert_eq!(hosts(&made_plain.expect(201)), json!({ "token": ["http://127.0.0.1:81"] }));
    let nowhere = app.post(&targets, settings("none", json!({ "host": "a.example" }))).await.expect(201);
    assert_eq!(hosts(&nowhere), json!({}));

    // An address that is changed later takes no secret along.
    let path = format!("/targets/{}", made["id"].as_str().unwrap());
    let moved = json!({ "connection": { "properties": { "baseUrl": "https://evil.example" } } });
    assert_eq!(hosts(&app.patch(&path, moved).await.expect(200)), json!({ "token": ["crm.example:443"] }));
    // A secret alone says nothing of where: somebody else may have set the address.
    let more = json!({ "connection": { "secrets": { "other": SECRET } } });
    assert_eq!(hosts(&app.patch(&path, more).await.expect(200)), json!({ "token": ["crm.example:443"] }));
    let both = json!({ "connection": {
        "properties": { "baseUrl": "https://new.example" }, "secrets": { "other": SECRET, "token": "new" },
    }});
    let expected = json!({ "other": ["new.example:443"], "token": ["crm.example:443"] });
    assert_eq!(hosts(&app.patch(&path, both).await.expect(200)), expected);
}

/// Entries beyond public addresses, and the guard.
#[tokio::test]
async fn an_editor_does_not_set_the_walls() {
    let denied = [("PROVISIOND_EGRESS_DENY", "10.9.0.0/16,secret.corp.example")];
    let mut app = TestApp::start_with(&denied).await;
    let store = app.store("people").await;
    let targets = format!("/stores/{store}/targets");
    let body =
        json!({ "name": "crm", "egressAllow": ["10.0.0.5:636", "dc.example"], "guard": { "percent": 20 } });
    let made = app.post(&targets, body).await.expect(201);
    let path = format!("/targets/{}", made["id"].as_str().unwrap());
    for entry in ["169.254.169.254", "fd00:ec2::23", "fe80::1"] {
        let problem = app.patch(&path, json!({ "egressAllow": [entry] })).await.expect(422);
        assert_eq!(problem["errors"][0]["field"], "egressAllow[0]", "{problem}");
        assert!(problem.to_string().contains("only the operator can open"), "{problem}");
    }
    let editor = app.post("/tokens", json!({ "name": "e", "role": "editor" })).await.expect(201);
    let owner = std::mem::replace(&mut app.token, editor["token"].as_str().unwrap().to_owned());
    for patch in [
        json!({ "egressAllow": ["10.0.0.5:636", "dc.example", "127.0.0.1"] }),
        json!({ "egressAllow": ["localhost:80"] }),
        json!({ "egressAllow": ["10.0.0.0/8"] }),
        json!({ "guard": { "percent": 100 } }),
        json!({ "guard": null }),
        json!({ "guard": { "count": 1_000_000 } }),
    ] {
        let problem = app.patch(&path, patch.clone()).await.expect(403);
        assert!(
            problem["detail"].as_str().unwrap().contains("`secretsAdmin` is needed"),
            "{patch}: {problem}"
        );
    }
    let guarded = json!({ "name": "other", "guard": { "percent": 100 } });
    app.post(&targets, guarded).await.expect(403);
    app.post(&targets, json!({ "name": "inner", "egressAllow": ["192.168.1.1"] })).await.expect(403);
    for patch in [
        json!({ "egressAllow": ["10.0.0.5:636", "dc.example", "api.example.org", "8.8.8.8"] }),
        json!({ "egressAllow": ["10.0.0.5:636"], "guard": { "percent": 20 } }),
        json!({ "egressAllow": ["10.0.0.5:636", "dc.example"] }),
    ] {
        app.patch(&path, patch).await.expect(200);
    }

    // Its own entries open public addresses only, whatever a name resolves to.
    assert_eq!(inside(&app, &path), ["10.0.0.5:636"]);
    app.patch(&path, json!({ "egressAllow": ["10.0.0.5:636", "a.example"] })).await.expect(200);
    assert_eq!(inside(&app, &path), ["10.0.0.5:636"]);
    app.token = owner;
    app.patch(&path, json!({ "description": "x" })).await.expect(200);
    assert_eq!(inside(&app, &path), ["10.0.0.5:636"]);
    app.patch(&path, json!({ "egressAllow": ["10.0.0.5:636", "a.example"] })).await.expect(200);
    assert_eq!(inside(&app, &path), ["10.0.0.5:636", "a.example"]);
}

/// The entries that open more than public addresses.
fn inside(app: &TestApp, path: &str) -> Vec<String> {
    let id: i64 = path.rsplit('/').next().unwrap().parse().unwrap();
    let mut connection = app.db.as_ref().unwrap().connection();
    targets::find(&mut connection, TargetId(id)).unwrap().settings.egress_inside
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
