//! Which code a host takes, and what it says of code that it does not.

use provisiond::js::{CompileError, JsHost, StartError};
use serde_json::json;

use super::support::{program, run, run_once, small_limits, start, try_start, value};

async fn returned(code: &str) -> serde_json::Value {
    value(run_once(code).await)
}

async fn refused(code: &str) -> CompileError {
    match try_start(code).await.map(drop) {
        Err(StartError::Compile(error)) => error,
        other => panic!("expected a compile error, got {other:?}"),
    }
}

#[tokio::test]
async fn es_modules_and_common_js_are_taken() {
    assert_eq!(returned("export default async () => 1").await, 1);
    assert_eq!(returned("export default function () { return 2 }").await, 2);
    assert_eq!(returned("const f = () => 3; export { f as default }").await, 3);
    assert_eq!(returned("module.exports = async () => 4").await, 4);
    assert_eq!(returned("exports.default = () => 5").await, 5);
    assert_eq!(returned("module.exports.default = async function () { return 6 }").await, 6);
    assert_eq!(returned("with ({ a: 7 }) { module.exports = () => a }").await, 7);
}

#[tokio::test]
async fn top_level_code_may_wait() {
    let code = "
        const a = await new Promise((resolve) => setTimeout(resolve, 5, 'late'));
        export default () => a";
    assert_eq!(returned(code).await, "late");
}

#[tokio::test]
async fn the_host_module_can_be_imported() {
    let esm = "import { log } from 'provisiond'; export default () => { log('a'); log.warn('b', 1); }";
    let cjs = "const { log } = require('provisiond'); module.exports = () => { log('a'); log.warn('b', 1); }";
    for code in [esm, cjs] {
        let end = run_once(code).await;
        let lines: Vec<_> = end.console.iter().map(|line| (json!(line.level), line.text.as_str())).collect();
        assert_eq!(lines, [(json!("info"), "a"), (json!("warn"), "b 1")]);
    }
}

#[tokio::test]
async fn syntax_errors_have_a_position() {
    let error = refused("export default () => {\n  const a = 1;\n  const = 2;\n}").await;
    assert_eq!(error.line, Some(3));
    assert!(error.column.is_some_and(|column| (8..=10).contains(&column)), "{error:?}");
    assert!(error.message.starts_with("SyntaxError: "), "{error:?}");
}

#[tokio::test]
async fn top_level_throws_have_a_position() {
    let error = refused("const a = 1;\nfunction f() {\n  null.x;\n}\nf();\nexport default f;").await;
    assert_eq!(error.line, Some(3));
    assert!(error.message.starts_with("TypeError: Cannot read properties of null"), "{error:?}");
    let error = refused("const a = 1;\n  throw new RangeError('too far');\nmodule.exports = a;").await;
    assert_eq!((error.message.as_str(), error.line), ("RangeError: too far", Some(2)));
}

#[tokio::test]
async fn columns_of_common_js_are_the_authors() {
    let error = refused("        null.x; module.exports = () => 1").await;
    assert_eq!(error.line, Some(1));
    assert!(error.column.is_some_and(|column| (9..=15).contains(&column)), "{error:?}");
}

#[tokio::test]
async fn code_without_a_function_is_refused() {
    for code in
        ["", "export default 1", "export const f = () => 1", "module.exports = {}", "exports.f = () => 1"]
    {
        let error = refused(code).await;
        assert_eq!(
            error.message, "logic must have a function as `export default` or `module.exports`",
            "{code}"
        );
    }
}

#[tokio::test]
async fn nothing_else_can_be_imported() {
    for code in [
        "import fs from 'node:fs'; export default () => 1",
        "import x from './x.js'; export default () => 1",
        "import x from 'lodash'; export default () => 1",
        "import x from 'https://a.example/x.js'; export default () => 1",
        "import x from 'ext:core/ops'; export default () => 1",
        "import x from 'ext:provisiond/run.js'; export default () => 1",
        "import x from 'data:text/javascript,export default 1'; export default () => 1",
    ] {
        let error = refused(code).await;
        let refused = error.message.contains("cannot import") || error.message.contains("Importing ext:");
        assert!(refused, "{code}: {error:?}");
    }
    let error = refused("require('fs'); module.exports = () => 1").await;
    assert!(error.message.contains("cannot find module \"fs\""), "{error:?}");
}

#[tokio::test]
async fn dynamic_imports_are_refused() {
    let code = "
        export default async () => {
            const seen = [];
            for (const name of ['provisiond', 'node:fs', 'data:text/javascript,1', 'file:///etc/passwd']) {
                try { await import(name); seen.push('imported'); } catch (error) { seen.push(error.message); }
            }
            return seen;
        }";
    assert_eq!(returned(code).await, json!(vec!["dynamic import is not available to logic"; 4]));
}

#[tokio::test]
async fn a_top_level_wait_without_end_is_refused() {
    let error = refused("await new Promise(() => {}); export default () => 1").await;
    assert!(error.message.contains("await"), "{error:?}");
}

#[tokio::test]
async fn a_top_level_loop_is_stopped() {
    let error = try_start("for (;;) {} export default () => 1").await.map(drop).unwrap_err();
    let sentence = "the CPU limit of 500 ms was reached while the logic was loaded";
    assert_eq!(error, StartError::Limit(sentence.into()));
}

#[tokio::test]
async fn a_top_level_heap_bomb_is_stopped() {
    let code = "const a = []; for (;;) a.push(new Array(1000).fill(a.length)); export default () => 1";
    let error = try_start(code).await.map(drop).unwrap_err();
    assert!(matches!(&error, StartError::Limit(text) if text.contains("64 MiB")), "{error:?}");
}

#[tokio::test]
async fn an_interval_of_loading_does_not_outlive_it() {
    let host = start("setInterval(() => {}, 1); export default () => 1").await;
    assert_eq!(value(run(&host, json!({})).await), 1);
}

#[tokio::test]
async fn a_program_that_is_none_is_said_so() {
    let mut program = program();
    program.executable = "/nowhere/provisiond".into();
    let error = JsHost::start(&program, "", &small_limits()).await.map(drop).unwrap_err();
    assert!(matches!(error, StartError::Spawn(_)), "{error:?}");
    program.executable = "/bin/true".into();
    let error = JsHost::start(&program, "", &small_limits()).await.map(drop).unwrap_err();
    assert!(matches!(error, StartError::Crashed(_)), "{error:?}");
}

#[test]
fn the_host_refuses_to_be_started_by_hand() {
    let output = std::process::Command::new(program().executable)
        .arg("js-host")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("hint: `js-host` is started by the daemon itself"), "{text}");
}
