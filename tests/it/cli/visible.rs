//! Names, messages and bodies of others are shown by every command and in the
//! daemon's log, and never reach the terminal as they are.

use provisiond::domain::visible::is_invisible;
use serde_json::json;

use super::file;
use crate::engine::settings_with;
use crate::support::app::{TestApp, TestTarget};
use crate::support::sink::{Answer, Sink};

/// What a name may hold: a name has no controls.
const NAME: &str = "ev\u{202e}il\u{200b}\u{2066}\u{e0041}\u{3164}x";
/// What a text may hold: clears the screen, sets the title, turns the line round.
const TEXT: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{7f}\u{202e}\u{2028}\u{feff}end";

/// Says what it is told, and fails for those who are to fail.
const LOGIC: &str = r#"
const said = "TEXT";
export default async (ctx) => {
	console.log(said + "\nerror: forged");
	const response = await fetch(ctx.target.config.url + "/users?name=" + ctx.account.userName, {
		method: ctx.account.attributes.fails ? "POST" : "GET", body: ctx.account.attributes.fails ? said : undefined });
	const body = await response.text();
	if (ctx.account.attributes.fails) throw new Error(body + "\nhint: obey");
	return { status: ctx.reason === "provision" ? "provisioned" : "deprovisioned", message: body, remoteId: ctx.account.id + said.slice(-3) };
};
export const tests = { "says TEXT"(t) { console.log(said); PASS } };
"#;

fn logic(test: &str) -> String {
    LOGIC.replace("PASS", test).replace("TEXT", TEXT)
}

struct World {
    app: TestApp,
    target: TestTarget,
    name: String,
    /// Everything that was said.
    said: String,
}

impl World {
    async fn new(sink: &Sink) -> Self {
        let app = TestApp::start().await;
        let store = app.store(&format!("people {NAME}")).await;
        sink.answer(Answer::new(200).body(TEXT));
        let name = format!("crm {NAME}");
        let more = json!({ "retry": { "maxAttempts": 1 }, "guard": { "count": 1, "percent": 1 }, "description": TEXT });
        let target = app.target(&store, settings_with(&name, sink, more), &logic("")).await;
        for number in 0..4 {
            let attributes = json!({ "fails": number == 3, "title": TEXT });
            let id = app.account(&store, &format!("{NAME}{number}"), attributes).await;
            let status = if number == 3 { "provisionFailed" } else { "provisioned" };
            app.until_status(&id, &target, status).await;
        }
        Self { app, target, name, said: String::new() }
    }

    /// Runs a command as people and as programs do; all that is said is seen.
    fn run(&mut self, arguments: &[&str]) -> i32 {
        let (code, text) = self.app.cli(arguments);
        self.see(arguments, &text);
        code
    }

    /// The same for a command that changes nothing.
    fn look(&mut self, arguments: &[&str]) -> i32 {
        let code = self.run(arguments);
        assert_eq!(self.run(&[arguments, &["--json"]].concat()), code, "{arguments:?}");
        code
    }

    fn see(&mut self, arguments: &[&str], text: &str) {
        let raw: String = text.chars().filter(|c| *c != '\n' && *c != '\t' && is_invisible(*c)).collect();
        assert!(raw.is_empty(), "{arguments:?} wrote {raw:?} in {text:?}");
        let forged = |line: &str| line.starts_with("hint: obey") || line.starts_with("error: forged");
        assert!(!text.lines().any(forged), "{arguments:?} passed a line off as its own: {text}");
        self.said += text;
    }

    /// The newest run that ended so.
    async fn run_that(&self, status: &str) -> String {
        let path = format!("/targets/{}/runs?status={status}", self.target.id);
        self.app.get(&path).await["items"][0]["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn no_command_sends_what_others_wrote_to_the_terminal() {
    let sink = Sink::start().await;
    let mut world = World::new(&sink).await;
    let name = world.name.clone();
    let (good, bad) = (world.run_that("provisioned").await, world.run_that("provisionFailed").await);
    let account = format!("{NAME}3");
    looks(&mut world, &name, &good, &bad, &account);
    drafts(&mut world, &name, &bad, &account);
    decides(&mut world, &name).await;
    for shown in [r"\u{1b}[2J", r"\u{9b}31m", r"\u{202e}", r"\u{200b}", r"\u{e0041}", r"\u202e", r"\udb40"] {
        assert!(world.said.contains(shown), "`{shown}` was not shown in {}", world.said);
    }
    let log = world.app.log();
    world.see(&["serve"], &log);
    assert!(log.contains(r"`crm ev\u{202e}il\u{200b}"), "{log}");
}

/// What only shows.
fn looks(world: &mut World, name: &str, good: &str, bad: &str, account: &str) {
    for command in ["list", "dead", "held", "show", "status"] {
        let arguments = ["target", command, name];
        assert_eq!(world.look(&arguments[..if command == "list" { 2 } else { 3 }]), 0, "{command}");
    }
    assert_eq!(world.look(&["token", "list"]), 0);
    for run in [good, bad] {
        assert_eq!(world.look(&["run", "show", run]), 0);
    }
    assert_eq!(world.look(&["run", "list", name]), 0);
    assert_eq!(world.look(&["run", "list", name, "--account", account, "--failed"]), 0);
    for command in ["show", "versions", "diff", "validate"] {
        world.look(&["logic", command, name]);
    }
    assert_eq!(world.look(&["logic", "canary", "status", name]), 0);
    // Refusals repeat what was asked for.
    assert_eq!(world.look(&["target", "show", &format!("no {NAME}")]), 1);
    assert_eq!(world.look(&["target", "retry", name, "--filter", TEXT]), 1);
    assert_eq!(world.look(&["target", "list", "--store", TEXT]), 1);
    assert_eq!(world.look(&["run", "show", TEXT]), 1);
    assert_eq!(world.look(&["token", "revoke", TEXT]), 1);
    assert_eq!(world.run(&["target", TEXT]), 2);
    assert_eq!(world.run(&["token", "create", "--role", TEXT]), 2);
    assert_eq!(world.run(&["target", "show", name, "--token-file", TEXT]), 2);
    assert_eq!(world.run(&["target", "show", name, "--url", "http://127.0.0.1:1/\u{202e}"]), 3);
}

/// What an author does.
fn drafts(world: &mut World, name: &str, bad: &str, account: &str) {
    let code = logic("t.equal(said, 'other');");
    let draft = file(&world.app, "logic.js", &code);
    assert_eq!(world.look(&["logic", "put", name, "--file", &draft]), 1, "its test fails");
    assert_eq!(world.look(&["logic", "publish", name]), 1);
    for which in ["draft", "published"] {
        world.look(&["logic", "diff", name, "1", which]);
        let (_, whole) = world.app.cli(&["logic", "get", name, which]);
        let expected = if which == "draft" { code.clone() } else { logic("") };
        assert_eq!(whole.trim_end(), expected.trim_end(), "a pipe gets the source as it is");
        assert_eq!(world.run(&["logic", "get", name, which, "--json"]), 0);
    }
    let broken = file(&world.app, "broken.js", format!("export default {TEXT}"));
    assert_eq!(world.look(&["logic", "put", name, "--file", &broken]), 1);
    let file = ["--file", &draft];
    assert_eq!(world.look(&[&["run", "replay", bad], &file[..]].concat()), 1);
    assert_eq!(world.look(&["logic", "test", name, "--account", account]), 1);
    assert_eq!(world.look(&["logic", "test", name, "--sample", "4"]), 1);
    let lines = format!("{{\"userName\":\"a\",{}:1}}\n", json!(TEXT));
    let people = self::file(&world.app, "people.jsonl", lines);
    assert_eq!(world.look(&["import", &people, "--store", &format!("people {NAME}")]), 1);
}

/// What an operator does.
async fn decides(world: &mut World, name: &str) {
    let good = file(&world.app, "good.js", logic("t.equal(1, 1);"));
    assert_eq!(world.run(&["logic", "publish", name, "--file", &good, "--note", TEXT]), 0);
    world.look(&["logic", "versions", name]);
    assert_eq!(world.run(&["logic", "rollback", name, "--note", TEXT]), 0);
    let path = format!("/targets/{}", world.target.id);
    world.app.patch(&path, json!({ "filter": "department eq \"none\"" })).await.expect(200);
    let target = TestTarget { id: world.target.id.clone(), name: world.target.name.clone() };
    held(world, &path).await;
    world.app.until_idle(&target).await;
    assert_eq!(world.look(&["target", "held", name]), 0);
    assert_eq!(world.look(&["target", "wait", name]), 1, "one has failed");
    assert_eq!(world.look(&["target", "force", name]), 1);
    // A force judges removals anew.
    let lot = held(world, &path).await;
    assert_eq!(world.run(&["held", "reject", &lot]), 0);
    world.run(&["target", "cancel", name]);
    for command in ["pause", "drain", "stop", "resume"] {
        assert_eq!(world.run(&["target", command, name]), 0, "{command}");
    }
}

/// The id of the lot that waits.
async fn held(world: &World, path: &str) -> String {
    world
        .app
        .until("removals to be held".into(), async || {
            let list = world.app.get(&format!("{path}/held")).await;
            list["items"][0]["id"].as_str().map(str::to_owned).ok_or(list)
        })
        .await
}
