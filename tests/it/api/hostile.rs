//! Thousands of connections of somebody without a token, beside provisioning.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::app::{TestApp, TestTarget};
use crate::support::sink::{Answer, Sink};

/// As many as the host of a test has descriptors for, far more than are let in.
const HOSTILE: usize = 3_000;
/// `server.maxConnections` of the test.
const LET_IN: usize = 256;
/// What the daemon opens besides, with room for what closes this moment.
const OTHERS: usize = 400;

const LOGIC: &str = r#"
    export default async (ctx) => {
        const answer = await fetch(ctx.target.config.url, { method: "POST", body: ctx.account.userName });
        if (!answer.ok) throw new Error(`answered ${answer.status}`);
        return { status: "provisioned" };
    };
"#;

/// What each says before it falls silent.
const WORDS: [&str; 7] = [
    "",
    "GET /healthz HTT",
    "GET /healthz HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
    "POST /api/v1/stores HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
    "POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n",
    "GET /api/v1/stores HTTP/1.1\r\nhost: x\r\nauthorization: Bearer prov_nobody\r\n\r\n",
    "GET /readyz HTTP/1.1\r\nhost: x\r\n\r\nGET /readyz HTTP/1.1\r\nhost: x\r\n\r\n",
];

fn descriptors(app: &TestApp) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", app.pid())).unwrap().count()
}

/// Sockets of the test that the daemon has not closed.
fn open(hostile: &[TcpStream]) -> usize {
    hostile.iter().filter(|stream| is_open(stream)).count()
}

fn is_open(stream: &TcpStream) -> bool {
    let mut bytes = [0; 4096];
    loop {
        match stream.try_read(&mut bytes) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}

/// Opens more connections until it is dropped; each answers to nothing.
async fn attack(address: &str, hostile: &mut Vec<TcpStream>, count: usize) {
    for number in 0..count {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // One that is closed already has had its answer.
        _ = stream.write_all(WORDS[number % WORDS.len()].as_bytes()).await;
        hostile.push(stream);
    }
}

async fn target(app: &TestApp, sink: &Sink) -> (String, TestTarget) {
    let store = app.store("people").await;
    let settings = crate::engine::settings_with("crm", sink, json!({}));
    let target = app.target(&store, settings, LOGIC).await;
    (store, target)
}

#[tokio::test]
async fn three_thousand_hostile_connections_change_nothing_for_others() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    assert!(most as usize > HOSTILE + 1_000, "the test needs descriptors: ulimit -n is {most}");
    let limit = LET_IN.to_string();
    let app = TestApp::start_with(&[("PROVISIOND_SERVER_MAX_CONNECTIONS", &limit)]).await;
    let sink = Sink::start().await;
    sink.answer(Answer::new(200));
    let (store, target) = target(&app, &sink).await;

    let (mut hostile, mut accounts, mut most_open) = (Vec::new(), BTreeMap::new(), 0);
    let address = app.url.trim_start_matches("http://").to_owned();
    for round in 0..30 {
        attack(&address, &mut hostile, HOSTILE / 30).await;
        // Each on a connection of its own, for others come and go as well.
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        for path in ["/healthz", "/readyz"] {
            let answer = client.get(format!("{}{path}", app.url)).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path} with {} connections", hostile.len());
        }
        let name = format!("u{round}");
        accounts.insert(app.account(&store, &name, json!({})).await, name);
        most_open = most_open.max(descriptors(&app));
    }
    // Runs go on, and new hosts start: the logic is saved and published again.
    for account in accounts.keys() {
        app.until_status(account, &target, "provisioned").await;
    }
    let body = json!({ "code": LOGIC.replace("answered", "said") });
    app.put(&format!("/targets/{}/logic", target.id), body).await.expect(200);
    app.post(&format!("/targets/{}/logic/publish", target.id), json!({ "force": true })).await.expect(200);
    sink.wait_for(2 * accounts.len()).await;
    assert!(most_open <= LET_IN + OTHERS, "{most_open} descriptors");
    app.until("the hostile connections to be closed".into(), async || match open(&hostile) {
        open if open <= LET_IN => Ok(()),
        open => Err(json!(open)),
    })
    .await;
}

/// The limit of the connections follows that of the descriptors.
#[tokio::test]
async fn a_daemon_with_few_descriptors_lets_fewer_in() {
    let app = TestApp::start_with(&[("PROVISIOND_SERVER_MAX_CONNECTIONS", "100000")]).await;
    let log = app.log();
    assert!(log.contains("server.maxConnections is 100000"), "{log}");
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
    assert_eq!(client.get(format!("{}/healthz", app.url)).send().await.unwrap().status(), 200);
}
