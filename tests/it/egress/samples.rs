//! The logic that is shipped, against servers that answer what nobody should believe.

use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use provisiond::domain::status::Reason;
use provisiond::domain::target::Limits;
use provisiond::egress::{Egress, EgressLimits, SecretHosts, Session, TargetPolicy};
use provisiond::js::{HostProgram, JsHost, RunOutcome, RunRequest};
use provisiond::security::NamedSecret;
use serde_json::{Value, json};

use super::allow;
use super::server::{Received, Server, answer};

const SCIM: Sample = Sample {
    code: include_str!("../../../samples/scim-logic.js"),
    path: "/Users",
    wrap: |users| json!({ "totalResults": users.len(), "Resources": users }),
};
const UPSERT: Sample = Sample {
    code: include_str!("../../../samples/logic-examples/http-upsert.js"),
    path: "/users",
    wrap: |users| json!(users),
};
const SOFT: Sample =
    Sample { code: include_str!("../../../samples/logic-examples/soft-deprovision.js"), ..SCIM };
const MAILBOX: &str = include_str!("../../../samples/logic-examples/mailbox-ongoing.js");
const WRITE_BACK: &str = include_str!("../../../samples/logic-examples/write-back.js");
const SERVICE_ACCOUNT: &str = include_str!("../../../samples/logic-examples/service-account.js");
const WEBHOOK: &str = include_str!("../../../samples/logic-examples/commonjs.cjs-style.js");

/// Logic for a server of users, where they are and how a list of them looks.
#[derive(Clone, Copy)]
struct Sample {
    code: &'static str,
    path: &'static str,
    wrap: fn(Vec<Value>) -> Value,
}

/// How the server misbehaves.
#[derive(Clone, Copy, PartialEq)]
enum Habit {
    /// Every search finds everybody, the boss first.
    IgnoresFilter,
    /// What is created has no id in the answer; the search finds it.
    NoId,
    /// The same, and no search finds anybody.
    NoIdForEver,
    /// A POST is sent on to a page.
    Redirects(u16),
    /// Everything is answered with 200 and a page.
    Pages,
    /// What writes is answered so.
    PagesForWrites,
}

const PAGE: &str = "<!doctype html><title>Sign in</title>";

/// A server of users that has `users` and a habit.
async fn server(sample: Sample, habit: Habit, users: Vec<Value>) -> Server {
    let users = Mutex::new(users);
    Server::start(move |request| {
        let mut users = users.lock().unwrap();
        let json = |status: &str, value: Value| {
            answer(status, "content-type: application/json\r\n", &value.to_string())
        };
        let page = || answer("200 OK", "content-type: text/html\r\n", PAGE);
        match (request.method(), habit) {
            (_, Habit::Pages) => page(),
            ("PUT" | "POST" | "DELETE", Habit::PagesForWrites) => page(),
            ("POST", Habit::Redirects(status)) => answer(&format!("{status} -"), "location: /login\r\n", ""),
            ("POST", _) => {
                let mut user: Value = serde_json::from_str(&request.body).unwrap();
                user["id"] = json!("new");
                let answered = if habit == Habit::IgnoresFilter { user.clone() } else { json!({}) };
                users.push(user);
                json("201 Created", answered)
            }
            ("GET", Habit::NoIdForEver) if request.path().starts_with(sample.path) => {
                json("200 OK", (sample.wrap)(Vec::new()))
            }
            ("GET", _) if request.path().starts_with(sample.path) => {
                json("200 OK", (sample.wrap)(users.clone()))
            }
            ("PUT", _) => json("200 OK", serde_json::from_str(&request.body).unwrap()),
            _ => answer("204 No Content", "", ""),
        }
    })
    .await
}

fn boss() -> Value {
    json!({ "id": "boss", "userName": "boss", "externalId": "E1" })
}

/// What logic is told of `ada`, and by what it was left before.
fn context(reason: Reason, server: &Server, session: &TargetPolicy, previous: &Value) -> Value {
    let moment = "2026-01-01T00:00:00Z";
    let url = server.url("");
    let (token_url, orders) = (server.url("/token"), server.url(""));
    json!({
        "reason": reason, "trigger": "manual", "attempt": 1, "idempotencyKey": "key",
        "subject": {
            "kind": "account", "id": "7", "externalId": "E7", "userName": "ada", "displayName": "Ada",
            "status": "active", "attributes": {}, "version": 1, "createdAt": moment, "updatedAt": moment,
            "deletedAt": (reason == Reason::Deprovision).then_some(moment),
        },
        "groups": [], "organizations": [], "members": [], "changes": [], "dependencies": {},
        "previous": { "status": "pending", "remoteId": previous["remoteId"], "metadata": previous["metadata"], "lastRunAt": null },
        "target": { "id": "1", "name": "test", "config": {} },
        "connection": {
            "url": orders, "baseUrl": url, "tokenUrl": token_url, "clientEmail": "a@b.example", "scope": "s",
            "secrets": session.handles(),
        },
    })
}

/// One for all: making one takes a while.
fn private_key() -> &'static [u8] {
    static KEY: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref().to_vec()
    });
    &KEY
}

/// Runs logic once. The server has seen every request by then.
async fn run(code: &str, server: &Server, reason: Reason, previous: Value) -> RunOutcome {
    let secrets = vec![
        NamedSecret::new("token", "let-me-in"),
        NamedSecret::new("password", "let-me-in-too"),
        NamedSecret::new("key", "let-me-look"),
        NamedSecret::new("privateKey", STANDARD.encode(private_key())),
    ];
    let limits = EgressLimits::default();
    let hosts = vec![format!("http://{}", server.entry())];
    let hosts = secrets.iter().map(|secret| (secret.name.clone(), hosts.clone())).collect();
    let policy = TargetPolicy::with_limits(allow(&[server.entry()]), secrets, limits);
    let policy = Arc::new(policy.with_secret_hosts(SecretHosts::parse(&hosts).unwrap()));
    let context = context(reason, server, &policy, &previous).to_string();
    let session: Session = Egress::new().session(policy);
    let program = HostProgram::new(env!("CARGO_BIN_EXE_provisiond"));
    let host = JsHost::start(&program, code, &Limits::default()).await.unwrap();
    host.run(RunRequest { context }, Arc::new(session)).await.outcome
}

fn returned(outcome: RunOutcome) -> Value {
    match outcome {
        RunOutcome::Returned(value) => value,
        other => panic!("{other:?}"),
    }
}

fn message(outcome: RunOutcome) -> String {
    match outcome {
        RunOutcome::Threw(thrown) => thrown.message,
        other => panic!("{other:?}"),
    }
}

/// Methods and paths of what changes something there.
fn writes(server: &Server) -> Vec<String> {
    let is_write = |request: &&Received| request.method() != "GET";
    let shown = |request: &Received| format!("{} {}", request.method(), request.path());
    server.received().iter().filter(is_write).map(shown).collect()
}

#[tokio::test]
async fn nobody_is_taken_who_was_not_looked_for() {
    for sample in [SCIM, UPSERT] {
        let server = server(sample, Habit::IgnoresFilter, vec![boss()]).await;
        let end = returned(run(sample.code, &server, Reason::Provision, json!({})).await);
        assert_eq!((&end["status"], &end["remoteId"]), (&json!("provisioned"), &json!("new")));
        assert_eq!(writes(&server), [format!("POST {}", sample.path)]);

        let server = self::server(sample, Habit::IgnoresFilter, vec![boss()]).await;
        let end = returned(run(sample.code, &server, Reason::Deprovision, json!({})).await);
        assert_eq!((&end["status"], writes(&server).len()), (&json!("deprovisioned"), 0));
    }
}

#[tokio::test]
async fn the_one_who_was_looked_for_is_found_among_all() {
    for sample in [SCIM, UPSERT] {
        let own = if sample.path == "/users" { "7" } else { "E7" };
        for ada in [
            json!({ "id": "a", "userName": "ADA-old", "externalId": own }),
            json!({ "id": "a", "userName": "ada" }),
        ] {
            let server = server(sample, Habit::IgnoresFilter, vec![boss(), ada]).await;
            let end = returned(run(sample.code, &server, Reason::Provision, json!({})).await);
            assert_eq!((&end["status"], &end["remoteId"]), (&json!("provisioned"), &json!("a")));
            assert_eq!(writes(&server), [format!("PUT {}/a", sample.path)]);
        }
        // The name alone, with somebody else's id, is somebody else.
        let other = json!({ "id": "o", "userName": "ada", "externalId": "E8" });
        let server = server(sample, Habit::IgnoresFilter, vec![other]).await;
        returned(run(sample.code, &server, Reason::Deprovision, json!({})).await);
        assert_eq!(writes(&server).len(), 0);
    }
}

#[tokio::test]
async fn nothing_is_recorded_without_an_id() {
    for sample in [SCIM, UPSERT] {
        let server = server(sample, Habit::NoId, Vec::new()).await;
        let end = returned(run(sample.code, &server, Reason::Provision, json!({})).await);
        assert_eq!(end["remoteId"], "new", "it is looked up");
    }
    for sample in [SCIM, UPSERT, SOFT] {
        let server = server(sample, Habit::NoIdForEver, Vec::new()).await;
        let message = message(run(sample.code, &server, Reason::Provision, json!({})).await);
        assert!(message.contains("no id"), "{message}");
    }
}

#[tokio::test]
async fn a_post_that_is_sent_on_is_no_success() {
    for sample in [SCIM, UPSERT, SOFT] {
        for status in [301, 302, 303] {
            let server = server(sample, Habit::Redirects(status), Vec::new()).await;
            let message = message(run(sample.code, &server, Reason::Provision, json!({})).await);
            let start = format!("a redirect was not followed: the POST was answered with {status}");
            assert!(message.contains(&start), "{message}");
            assert!(server.received().iter().all(|request| request.path() != "/login"));
        }
    }
    for code in [WEBHOOK, MAILBOX, SERVICE_ACCOUNT] {
        let server = server(SCIM, Habit::Redirects(302), Vec::new()).await;
        let message = message(run(code, &server, Reason::Provision, json!({})).await);
        assert!(message.contains("a redirect was not followed: the POST was"), "{message}");
        assert!(server.received().iter().all(|request| request.path() != "/login"));
    }
}

#[tokio::test]
async fn a_put_is_done_whatever_page_it_is_answered_with() {
    for sample in [SCIM, UPSERT, SOFT] {
        let server = server(sample, Habit::PagesForWrites, Vec::new()).await;
        let end = returned(run(sample.code, &server, Reason::Provision, json!({ "remoteId": "a b" })).await);
        assert_eq!(end["status"], "provisioned");
        assert!(matches!(end["remoteId"].as_str(), None | Some("a b")), "{end}");
        assert_eq!(writes(&server), [format!("PUT {}/a%20b", sample.path)]);
    }
}

#[tokio::test]
async fn a_page_is_no_list_and_no_user() {
    for sample in [SCIM, UPSERT] {
        for reason in [Reason::Provision, Reason::Deprovision] {
            let server = server(sample, Habit::Pages, Vec::new()).await;
            let message = message(run(sample.code, &server, reason, json!({})).await);
            assert!(message.contains("is no list"), "{message}");
            assert_eq!(writes(&server).len(), 0);
        }
    }
    for code in [SOFT.code, MAILBOX, WRITE_BACK] {
        let server = server(SCIM, Habit::Pages, Vec::new()).await;
        let end = run(code, &server, Reason::Provision, json!({})).await;
        assert!(matches!(end, RunOutcome::Threw(_)), "{end:?}");
    }
}

#[tokio::test]
async fn an_order_without_an_id_and_a_mailbox_without_an_address_are_none() {
    let nameless = Server::start(|_| answer("200 OK", "", r#"{"done":true}"#)).await;
    let message_of = async |previous| message(run(MAILBOX, &nameless, Reason::Provision, previous).await);
    assert_eq!(message_of(json!({})).await, "the order has no id");
    let ordered = json!({ "metadata": { "order": "5", "orderedAt": "2026-01-01T00:00:00Z" } });
    assert_eq!(message_of(ordered.clone()).await, "order 5 is done, but has no mailbox with an address");
    let before = nameless.received().len();
    returned(run(MAILBOX, &nameless, Reason::Deprovision, json!({})).await);
    assert_eq!(nameless.received().len(), before, "a mailbox that only has the name is not ours");
    returned(run(MAILBOX, &nameless, Reason::Deprovision, ordered).await);
    assert_eq!(nameless.received().last().map(|request| request.path().to_owned()), Some("/orders/5".into()));
}

#[tokio::test]
async fn another_person_is_not_written_back() {
    let other = Server::start(|_| answer("200 OK", "", r#"{"login":"boss","id":"1","number":"1"}"#)).await;
    let message_of =
        async |server: &Server| message(run(WRITE_BACK, server, Reason::Provision, json!({})).await);
    assert_eq!(message_of(&other).await, "the directory answered with another person");
    let half = Server::start(|_| answer("200 OK", "", r#"{"login":"ada","id":"1"}"#)).await;
    assert_eq!(message_of(&half).await, "the directory knows no id or no number of the person");
    let well = Server::start(|_| answer("200 OK", "", r#"{"login":"ada","id":"1","number":"42"}"#)).await;
    let end = returned(run(WRITE_BACK, &well, Reason::Provision, json!({})).await);
    assert_eq!((&end["remoteId"], &end["attributes"]["employeeNumber"]), (&json!("1"), &json!("42")));
}
