//! One editor whose logic never comes to an end does not keep others from saving
//! theirs.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::TestApp;

const GOOD: &str = "export default () => ({ status: 'provisioned' });";
/// Its tests wait as long as they are let.
const WAITS: &str = "export default () => ({ status: 'provisioned' }); \
    export const tests = { async waits() { await new Promise(() => {}) } };";

/// Saves that are on their way or wait for their turn.
#[derive(Default)]
struct Saves(Vec<tokio::task::JoinHandle<reqwest::Result<reqwest::Response>>>);

impl Saves {
    fn begin(&mut self, app: &TestApp, token: &str, target: &str, count: usize) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let save = || {
            let url = format!("{}/api/v1/targets/{target}/logic", app.url);
            let save = client.put(url).bearer_auth(token).json(&json!({ "code": WAITS }));
            tokio::spawn(save.send())
        };
        self.0.extend((0..count).map(|_| save()));
    }

    /// The answer that comes first.
    async fn first(&mut self) -> reqwest::Response {
        let (answer, index, _) = futures_util::future::select_all(&mut self.0).await;
        drop(self.0.remove(index));
        answer.unwrap().unwrap()
    }

    fn hang_up(self) {
        self.0.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

async fn targets(app: &TestApp, count: usize) -> Vec<String> {
    app.store("people").await;
    let mut targets = Vec::new();
    for number in 0..count {
        // Runs may take ten minutes, and so may a test, were it not for the limit of all.
        let settings = json!({ "name": format!("target{number}"), "limits": { "wallMs": 600_000 } });
        let made = app.post("/stores/people/targets", settings).await.expect(201);
        targets.push(made["id"].as_str().unwrap().to_owned());
    }
    targets
}

async fn editor(app: &TestApp, name: &str) -> String {
    let made = app.post("/tokens", json!({ "name": name, "role": "editor" })).await.expect(201);
    made["token"].as_str().unwrap().to_owned()
}

async fn save(app: &TestApp, target: &str) -> Value {
    let path = format!("/targets/{target}/logic");
    app.call(Method::PUT, &path, Some(json!({ "code": GOOD }))).await.expect(200)
}

#[tokio::test]
async fn saves_that_never_end_leave_turns_for_others_and_end_with_who_sent_them() {
    let app = TestApp::start().await;
    let targets = targets(&app, 4).await;
    let editor = editor(&app, "busy").await;
    let mut saves = Saves::default();
    targets[..3].iter().for_each(|target| saves.begin(&app, &editor, target, 4));
    // Two of their tests run, eight wait, and the others are sent away.
    for _ in 0..2 {
        let answer = saves.first().await;
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers()["retry-after"], "5");
    }
    save(&app, &targets[3]).await;
    // When they hang up, theirs are free as well: long before their tests' time is over.
    saves.hang_up();
    for target in &targets[..3] {
        save(&app, target).await;
    }
}

#[tokio::test]
async fn one_target_takes_one_turn() {
    let app = TestApp::start().await;
    let targets = targets(&app, 3).await;
    let (one, two) = (editor(&app, "one").await, editor(&app, "two").await);
    let mut saves = Saves::default();
    [one, two].iter().for_each(|editor| saves.begin(&app, editor, &targets[0], 3));
    for target in &targets[1..] {
        save(&app, target).await;
    }
    saves.hang_up();
    save(&app, &targets[0]).await;
}

#[tokio::test]
async fn publishing_takes_its_turn_as_well() {
    let app = TestApp::start().await;
    let targets = targets(&app, 2).await;
    for target in &targets {
        save(&app, target).await;
    }
    let busy = [editor(&app, "one").await, editor(&app, "two").await];
    let mut saves = Saves::default();
    busy.iter().for_each(|editor| saves.begin(&app, editor, &targets[0], 6));
    // All places of the target are taken when one is sent away.
    assert_eq!(saves.first().await.status(), 429);
    let publish = |target: &str| format!("/targets/{target}/logic/publish");
    let refused = app.post(&publish(&targets[0]), json!({})).await;
    assert_eq!(refused.headers["retry-after"], "5");
    assert!(refused.expect(429)["detail"].as_str().unwrap().contains("logic to be built"));
    app.post(&publish(&targets[1]), json!({})).await.expect(200);
    saves.hang_up();
    let published = async || match app.post(&publish(&targets[0]), json!({})).await {
        answer if answer.status == 429 => Err(answer.body),
        answer => Ok(answer.expect(200)),
    };
    app.until("the target to be free".into(), published).await;
}
