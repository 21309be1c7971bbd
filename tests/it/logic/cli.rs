//! The command line of whoever has logic in a checkout, and of a pipeline.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::registry::{FakeRegistry, Release};
use crate::support::app::{TestApp, TestTarget};

const SAYS: &str = "export default (ctx: { reason: string }) =>
  ({ status: ctx.reason === 'provision' ? 'provisioned' : 'deprovisioned', message: 'WORD' });
";

fn says(word: &str) -> String {
    SAYS.replace("WORD", word)
}

/// A checkout.
struct Checkout(PathBuf);

impl Checkout {
    fn new(app: &TestApp) -> Self {
        let folder = app.data_dir.join("checkout");
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    /// Writes a file; returns its path.
    fn write(&self, name: &str, content: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// What was said, with what differs from run to run made alike: paths, times,
/// sizes.
fn alike(checkout: &Checkout, text: &str) -> String {
    let text = text.replace(checkout.0.to_str().unwrap(), "checkout");
    let mut words: Vec<String> = text.split(' ').map(without_time).collect();
    for place in 1..words.len() {
        let is_unit = ["B", "KiB"].contains(&words[place].lines().next().unwrap_or_default());
        if is_unit && words[place - 1].parse::<f64>().is_ok() {
            words[place - 1] = "SIZE".into();
        }
    }
    words.join(" ")
}

fn without_time(word: &str) -> String {
    let (time, rest) = word.split_at(word.len().min("2026-11-22T07:00:39Z".len()));
    match time.parse::<chrono::DateTime<chrono::Utc>>() {
        Ok(_) => format!("TIME{rest}"),
        Err(_) => word.to_owned(),
    }
}

async fn disabled(app: &TestApp) -> TestTarget {
    app.store("people").await;
    let made = app.post("/stores/people/targets", json!({ "name": "crm" })).await.expect(201);
    TestTarget { id: made["id"].as_str().unwrap().to_owned(), name: "crm".into() }
}

#[tokio::test]
async fn a_file_becomes_a_draft_with_all_that_was_found() {
    let releases = [
        Release::new("a", "1.2.3", "module.exports = 'from a package'").with("license", json!("MIT")),
        Release::new("b", "2.0.0", "module.exports = 'not used'"),
    ];
    let registry = FakeRegistry::start(&releases).await;
    let app = TestApp::start_with(&[("PROVISIOND_PACKAGES_REGISTRY", &registry.sink.url)]).await;
    disabled(&app).await;
    let checkout = Checkout::new(&app);
    let mut said = String::new();
    let mut run = |arguments: &[&str]| {
        let (code, text) = app.cli(arguments);
        said += &format!("$ {}\n{text}-> {code}\n\n", arguments.join(" "));
        code
    };

    let file =
        checkout.write("crm.ts", "export default () => ({\n  status: 'provisioned'\n  message: 'x'\n});\n");
    assert_eq!(run(&["logic", "put", "crm", "--file", &file]), 1);
    let code = "import a from 'a';\nimport 'b';\n".to_owned()
        + &says("one")
        + "export const tests = {\n  good(t) {},\n  bad(t) { t.equal(a, 'from elsewhere') },\n};\n";
    checkout.write("crm.ts", &code);
    assert_eq!(run(&["logic", "put", "crm", "--file", &file]), 1);
    let packages = checkout.write("wishes.json", r#"{ "a": "^1.0.0", "b": "2" }"#);
    assert_eq!(run(&["logic", "put", "crm", "--file", &file, "--dependencies", &packages]), 1);
    assert_eq!(run(&["logic", "publish", "crm"]), 1);
    checkout.write("package.json", r#"{ "name": "crm", "dependencies": { "a": "^1.0.0" } }"#);
    checkout.write("crm.ts", &code.replace("import 'b';\n", "").replace("elsewhere", "a package"));
    assert_eq!(run(&["logic", "put", "crm", "--file", &file]), 0);
    assert_eq!(run(&["logic", "validate", "crm"]), 0);
    assert_eq!(run(&["logic", "show", "crm"]), 0);
    insta::assert_snapshot!(alike(&checkout, &said));
}

#[tokio::test]
async fn versions_are_published_compared_and_taken_back() {
    let app = TestApp::start().await;
    let target = disabled(&app).await;
    app.account("people", "ada", json!({})).await;
    let checkout = Checkout::new(&app);
    let file = checkout.write("crm.ts", &says("one"));
    let mut said = String::new();
    let mut run = |arguments: &[&str]| {
        let (code, text) = app.cli(arguments);
        said += &format!("$ {}\n{text}-> {code}\n\n", arguments.join(" "));
        code
    };

    assert_eq!(run(&["logic", "show", "crm"]), 0);
    assert_eq!(run(&["logic", "publish", "crm"]), 4, "there is no draft");
    assert_eq!(
        run(&["logic", "publish", "crm", "--file", &file, "--canary", "5%"]),
        1,
        "nobody runs another"
    );
    assert_eq!(run(&["logic", "publish", "crm", "--note", "the first"]), 0);
    app.enable(&target).await;
    app.until_idle(&target).await;
    checkout.write("crm.ts", &says("two"));
    assert_eq!(run(&["logic", "publish", "crm", "--file", &file, "--canary", "1", "--min-runs", "1"]), 0);
    assert_eq!(run(&["logic", "versions", "crm"]), 0);
    assert_eq!(run(&["logic", "rollback", "crm"]), 4, "which of both is to go?");
    assert_eq!(run(&["logic", "diff", "crm"]), 0);
    assert_eq!(run(&["logic", "canary", "rollback", "crm", "--note", "not yet"]), 0);
    assert_eq!(run(&["logic", "canary", "promote", "crm"]), 4);
    assert_eq!(run(&["logic", "publish", "crm", "--force-all"]), 2, "nobody can be asked");
    assert_eq!(run(&["logic", "publish", "crm", "--force-all", "--yes"]), 0);
    app.until_idle(&target).await;
    assert_eq!(run(&["logic", "rollback", "crm", "--note", "two was wrong"]), 0);
    assert_eq!(run(&["logic", "rollback", "crm"]), 4);
    assert_eq!(run(&["logic", "rollback", "crm", "77"]), 1);
    assert_eq!(run(&["logic", "diff", "crm", "1", "published"]), 0);
    assert_eq!(run(&["logic", "versions", "crm"]), 0);
    assert_eq!(run(&["logic", "show", "crm"]), 0);
    insta::assert_snapshot!(alike(&checkout, &said));
    let ran = &app.get(&format!("/targets/{}/runs", target.id)).await["items"][0];
    assert_eq!(
        (&ran["message"], &ran["logicVersion"]),
        (&json!("two"), &json!(3)),
        "forced, before it went back"
    );
}

#[tokio::test]
async fn a_pipeline_waits_for_the_verdict() {
    let app = TestApp::start().await;
    let target = disabled(&app).await;
    let lines: String = (0..30).map(|n| format!("{{\"userName\":\"user{n}\"}}\n")).collect();
    app.import("people", "", lines).await;
    let checkout = Checkout::new(&app);
    let file = checkout.write("crm.ts", &says("one"));
    assert_eq!(app.cli(&["logic", "canary", "wait", "crm"]).0, 4, "nothing is on trial");
    assert_eq!(app.cli(&["logic", "publish", "crm", "--file", &file]).0, 0);
    app.enable(&target).await;
    app.until_idle(&target).await;

    let publish = |code: &str| {
        checkout.write("crm.ts", code);
        let (code, text) =
            app.cli(&["logic", "publish", "crm", "--file", &file, "--canary", "12", "--max-failures", "50"]);
        assert_eq!(code, 0, "{text}");
        assert_eq!(app.cli(&["target", "force", "crm", "--no-wait"]).0, 0);
        app.cli(&["logic", "canary", "wait", "crm"])
    };
    let (code, text) = publish("export default () => { throw new Error('broken') }");
    assert!(code == 1 && text.contains("version 2 was rolled back by provisiond"), "{code} {text}");
    app.until_idle(&target).await;
    let (code, text) = publish(&says("three"));
    assert!(code == 0 && text.contains("version 3 is on trial with 12 accounts"), "{code} {text}");
    let (code, text) = app.cli(&["logic", "canary", "promote", "crm"]);
    assert!(code == 0 && text.contains("all accounts run version 3"), "{code} {text}");
    let (code, text) = app.cli(&["logic", "canary", "status", "crm", "--json"]);
    let canary: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &canary["state"]), (0, &json!("promoted")));
    let listed = app.cli(&["run", "list", "crm", "--failed", "--limit", "1", "--json"]).1;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let (code, text) = app.cli(&["run", "show", listed[0]["id"].as_str().unwrap()]);
    assert!(code == 0 && text.contains("logic: version 2") && text.contains("broken"), "{text}");
    let (code, text) = app.cli(&["run", "list", "crm", "--account", "user3"]);
    assert!(code == 0 && text.lines().count() >= 3, "{text}");
}

#[tokio::test]
async fn answers_are_json_for_programs() {
    let app = TestApp::start().await;
    disabled(&app).await;
    let checkout = Checkout::new(&app);
    let file = checkout.write("crm.ts", &says("one"));
    let run = |arguments: &[&str]| {
        let output = app.cli(&[arguments, &["--json"]].concat()).1;
        let first = output.lines().next().unwrap_or_default();
        serde_json::from_str::<Value>(first).unwrap_or_else(|_| panic!("{output}"))
    };
    assert_eq!(run(&["logic", "put", "crm", "--file", &file])["draft"]["state"], "validated");
    assert_eq!(run(&["logic", "validate", "crm", "--update"])["draft"]["language"], "typescript");
    assert_eq!(run(&["logic", "publish", "crm"])["version"], 1);
    assert_eq!(run(&["logic", "show", "crm"])["publishedVersion"], 1);
    assert_eq!(run(&["logic", "versions", "crm"])[0]["version"], 1);
    assert_eq!(run(&["logic", "diff", "crm"])["diff"], "");
    assert_eq!(run(&["logic", "get", "crm", "1"])["code"], says("one"));
    let broken = checkout.write("broken.js", "export default (");
    let refused = run(&["logic", "put", "crm", "--file", &broken]);
    assert_eq!((&refused["status"], &refused["line"]), (&json!(422), &json!(1)));

    // What is printed is what was put.
    assert_eq!(app.cli(&["logic", "get", "crm"]), (0, says("one")));
    assert_eq!(app.cli(&["logic", "get", "crm", "draft"]), (0, says("one")));
    let (code, bundle) = app.cli(&["logic", "get", "crm", "--bundle"]);
    assert!(code == 0 && !bundle.contains("reason: string"), "{bundle}");
    assert_eq!(app.cli(&["logic", "get", "crm", "draft", "--bundle"]).0, 2);
    let (code, types) = app.cli(&["logic", "types"]);
    assert!(code == 0 && types.contains("declare module \"provisiond\""), "{types}");
}
