//! Byte order marks, which editors leave where people do not see them.

use serde_json::json;

use super::file;
use crate::logic::registry::{FakeRegistry, Release};
use crate::support::app::TestApp;

const MARK: &str = "\u{feff}";

#[tokio::test]
async fn a_mark_at_the_beginning_of_a_file_means_nothing() {
    let module = "module.exports = require('./data.json').word + require('./package.json').version";
    let package = Release::new("a", "1.2.3", module)
        .file("package/data.json", &format!("{MARK}{{ \"word\": \"from json \" }}"));
    let registry = FakeRegistry::start(&[package]).await;
    let app = TestApp::start_with(&[("PROVISIOND_PACKAGES_REGISTRY", &registry.sink.url)]).await;
    let target = app.bare_target().await;
    let code = "import a from 'a';\nexport default () => ({ status: 'provisioned', message: a });";
    let logic = file(&app, "crm.js", format!("{MARK}{code}"));
    file(&app, "package.json", format!("{MARK}{{ \"dependencies\": {{ \"a\": \"1.2.3\" }} }}"));
    let token = file(&app, "token", format!("{MARK}{}\r\n", app.token));
    let run = |arguments: &[&str]| {
        let output = app.command(arguments).args(["--token-file", &token]).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code().unwrap(), text)
    };
    let (code_of_exit, said) = run(&["logic", "publish", "crm", "--file", &logic]);
    assert_eq!(code_of_exit, 0, "{said}");
    let version = app.get(&format!("/targets/{target}/logic/versions/1")).await;
    assert_eq!(version["code"], code);

    let made_up = file(&app, "made-up.json", format!("{MARK}{{ \"userName\": \"ada\" }}"));
    let answers = file(&app, "answers.json", format!("{MARK}[]"));
    let (_, said) = run(&["logic", "test", "crm", "--made-up", &made_up, "--answers", &answers]);
    assert!(said.contains("from json 1.2.3"), "{said}");

    let people = format!("{MARK}{{\"userName\":\"ada\"}}\n{MARK}{{\"userName\":\"bob\"}}\n");
    let people = file(&app, "people.jsonl", people);
    let (code_of_exit, said) = run(&["import", &people, "--store", "people"]);
    assert!(code_of_exit == 0 && said.contains("2 created"), "{said}");
}

#[tokio::test]
async fn other_encodings_are_said() {
    let app = TestApp::start().await;
    app.bare_target().await;
    let utf16: Vec<u8> = "\u{feff}export default 1".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let logic = file(&app, "crm.js", utf16);
    let (code, said) = app.cli(&["logic", "put", "crm", "--file", &logic]);
    assert!(code == 2 && said.contains("is UTF-16: save it as UTF-8"), "{said}");
    let latin1 = file(&app, "latin1.js", b"// Zo\xeb");
    let (code, said) = app.cli(&["logic", "put", "crm", "--file", &latin1]);
    assert!(code == 2 && said.contains("is not UTF-8 (invalid after byte 5)"), "{said}");
}

#[tokio::test]
async fn bodies_and_their_labels_may_have_them() {
    let app = TestApp::start().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |label: &str, body: String| {
        let url = format!("{}/api/v1/stores", app.url);
        let request = client.post(url).bearer_auth(&app.token).header("content-type", label).body(body);
        request.send().await.unwrap().status().as_u16()
    };
    let store = |name: &str| format!("{MARK}{}", json!({ "name": name }));
    assert_eq!(post("application/json; charset=utf8", store("one")).await, 201);
    assert_eq!(post("application/json; charset=\"UTF8\"", store("two")).await, 201);
    assert_eq!(post("application/json; charset=iso-8859-1", store("three")).await, 415);
    assert_eq!(post("application/json", format!("{MARK}{}", store("four"))).await, 400, "one is a mark");
}

#[tokio::test]
async fn configuration_and_its_secrets_may_have_them() {
    let app = TestApp::start().await;
    let settings = file(&app, "provisiond.toml", format!("{MARK}[limits]\nmaxTargets = 3\n"));
    let url =
        app.command(&[]).get_envs().find(|(name, _)| *name == "DATABASE_URL").unwrap().1.unwrap().to_owned();
    let secret = file(&app, "database-url", format!("{MARK}{}\r\n", url.to_str().unwrap()));
    let mut command = app.command(&["migrate", "--config", &settings]);
    command.env_remove("DATABASE_URL").env("PROVISIOND_DATABASE_URL_FILE", secret);
    command.env("PROVISIOND_SERVER_DATA_DIR", app.data_dir.join("other"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
