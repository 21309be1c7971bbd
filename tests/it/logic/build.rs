//! From what an author writes to what a host runs.

use provisiond::domain::target::Limits;
use provisiond::js::CompileError;
use provisiond::logic::{Language, LogicError, Source};

use super::{build, offline, source, tested};

const MAPPING: &str = include_str!("mapping.ts");

async fn refused(code: &str) -> CompileError {
    match build(code).await.map(drop) {
        Err(LogicError::Compile(error)) => error,
        other => panic!("expected a compile error, got {other:?}"),
    }
}

#[tokio::test]
async fn the_language_is_found_out() {
    let language = async |code: &str| build(code).await.unwrap().language;
    assert_eq!(language("export default async (ctx) => 1").await, Language::JavaScript);
    assert_eq!(language("module.exports = (ctx) => 1").await, Language::JavaScript);
    assert_eq!(language("export default async (ctx: unknown) => 1 as const").await, Language::TypeScript);
    // Both readings parse and mean different things: what is JavaScript stays it.
    assert_eq!(
        language("const a = 1, b = 2, c = 3; export default () => a < b > (c)").await,
        Language::JavaScript
    );
}

#[tokio::test]
async fn a_language_that_was_said_counts() {
    let source = Source { language: Some(Language::JavaScript), ..source("export default (x: any) => 1") };
    let error = offline().build(&source, None).await.unwrap_err();
    assert!(matches!(error, LogicError::Compile(_)), "{error:?}");
}

#[tokio::test]
async fn both_kinds_of_modules_run() {
    for code in [
        "export default async () => ({ status: 'provisioned' }); export const tests = { a(t) { return t.run() } };",
        "module.exports = async () => ({ status: 'provisioned' }); module.exports.tests = { async a(t) { await t.run() } };",
        "exports.default = () => 1; exports.tests = { a: (t) => t.run() };",
        "const { log } = require('provisiond'); module.exports = () => log('x'); module.exports.tests = { a(t) { return t.run() } };",
        "export default () => { using a = { [Symbol.dispose]() {} } }; export const tests = { a: (t) => t.run() };",
        "import { log } from 'provisiond'; export default (): void => log('x'); export const tests = { a(t: any) { return t.run() } };",
    ] {
        let results = tested(code).await;
        assert!(results.len() == 1 && results[0].passed, "{code}: {results:?}");
    }
}

#[tokio::test]
async fn errors_have_the_place_in_what_was_written() {
    let error = refused("export default () => {\n  const = 2;\n}").await;
    assert_eq!((error.line, error.message.as_str()), (Some(2), "SyntaxError: Unexpected token"));
    let error = refused("interface A { a: string }\nexport default (a: A) => {\n  return a.;\n}").await;
    assert_eq!(error.line, Some(3), "the reading that gets farther is told of: {error:?}");
    let error = refused("import x from 'nothing';\nexport default x;").await;
    assert_eq!(
        (error.line, error.message.as_str()),
        (Some(1), "cannot import `nothing`: no package of that name is among `packageDependencies`")
    );
}

/// What does not parse as JavaScript is read as TypeScript, which is no way
/// around what a module must be.
#[tokio::test]
async fn types_hide_no_errors() {
    let twice = "export default () => 1;\nexport default () => 2;";
    let undeclared = "export default () => 1;\n  export { nope };";
    for language in [None, Some(Language::JavaScript), Some(Language::TypeScript)] {
        let error = async |code: &str| {
            let source = Source { language, ..source(code) };
            match offline().build(&source, None).await.map(drop) {
                Err(LogicError::Compile(error)) => (error.message, error.line, error.column),
                other => panic!("{language:?}: {other:?}"),
            }
        };
        let (message, line, column) = error(twice).await;
        assert_eq!(message, "SyntaxError: A module cannot have multiple default exports.");
        assert!(line == Some(1) && column.is_some(), "{line:?} {column:?}");
        let undefined = "SyntaxError: Export 'nope' is not defined".to_owned();
        assert_eq!(error(undeclared).await, (undefined, Some(2), Some(12)), "{language:?}");
    }
}

#[tokio::test]
async fn nothing_of_the_authors_is_left_out() {
    let limits = Limits { cpu_ms: 200, ..Limits::default() };
    for code in ["while (true);", "for (;;) {}", "do {} while (true)", "if (1) while (1) {}"] {
        let built = build(&format!("{code}\nexport default () => 1")).await.unwrap();
        let error = offline().try_out(&built, &limits).await.unwrap_err().to_string();
        assert!(error.contains("CPU limit of 200 ms"), "{code}: {error}");
    }
}

#[tokio::test]
async fn decorators_are_refused() {
    for code in [
        "const a = (x) => x;\n@a class A {}\nexport default A",
        "declare const a: any;\nclass A {@a b: string}\nexport default A",
    ] {
        let error = refused(code).await;
        let message = "decorators cannot be used: the JavaScript engine does not know them";
        assert_eq!((error.message.as_str(), error.line), (message, Some(2)), "{code}");
    }
}

#[tokio::test]
async fn imports_that_lead_nowhere_are_explained() {
    let message =
        async |from: &str| refused(&format!("import x from '{from}'; export default x")).await.message;
    assert_eq!(
        message("./other.js").await,
        "cannot import `./other.js`: logic is one file, which can import packages"
    );
    for address in ["/etc/passwd", "https://example.org/x.js", "data:text/javascript,1", "file:///etc/passwd"]
    {
        let message = message(address).await;
        assert!(message.contains("only packages and the modules of provisiond can be imported"), "{message}");
    }
    assert_eq!(
        message("provisiond:mappings").await,
        "there is no module `provisiond:mappings`; there are `provisiond`, `provisiond:mapping`"
    );
}

#[tokio::test]
async fn modules_of_node_are_missed_when_they_are_used() {
    // Guarded, as packages do it that run on both.
    let guarded = "let fs; try { fs = require('fs') } catch { }
        module.exports = () => ({ status: 'provisioned', message: typeof fs });
        module.exports.tests = { async a(t) { t.equal((await t.run()).response.message, 'undefined') } };";
    assert!(tested(guarded).await[0].passed);
    let workshop = offline();
    let code = "const os = require('node:os'); module.exports = () => os";
    let built = workshop.build(&source(code), None).await.unwrap();
    let error = workshop.try_out(&built, &Limits::default()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Error: \"os\", which logic.js asks for, is part of Node.js, which logic does not run on \
         (line 1, column 7)"
    );
}

#[tokio::test]
async fn what_the_author_cannot_import_has_its_place() {
    for (from, begins) in [
        ("node:fs", "cannot import `node:fs`: it is part of Node.js"),
        ("fs", "cannot import `fs`: it is part of Node.js"),
        ("provisiond:nope", "there is no module `provisiond:nope`; there are "),
        ("https://esm.sh/lodash", "cannot import `https://esm.sh/lodash`: only packages"),
        ("data:text/javascript,1", "cannot import `data:text/javascript,1`: only packages"),
        ("x.node", "`x.node` is a native addon"),
        ("lodash", "cannot import `lodash`: no package of that name"),
    ] {
        for types in ["", "type A = 1;"] {
            let error = refused(&format!("// one\nimport x from '{from}'; {types}\nexport default x;")).await;
            assert!(error.message.starts_with(begins), "{error:?}");
            assert_eq!((error.line, error.column), (Some(2), Some(15)), "{error:?}");
        }
    }
}

#[tokio::test]
async fn what_would_bring_a_parser_down_brings_nobody_down() {
    for code in ["(".repeat(100_000), "[".repeat(100_000), "a=>".repeat(60_000), "{".repeat(100_000)] {
        let error = build(&format!("export default {code}")).await.unwrap_err();
        let named = matches!(&error, LogicError::Limit(message) if message.contains("nested too deep"));
        assert!(named || matches!(error, LogicError::Compile(_)), "{error:?}");
    }
    assert!(build("export default () => 1").await.is_ok());
}

#[tokio::test]
async fn fields_that_break_rules_are_named() {
    for (code, rule) in [
        (" \n", "must not be empty"),
        ("a\0b", "must not contain the NUL character (U+0000)"),
        (&"x".repeat(256_001)[..], "must not be longer than 256000 characters, has 256001"),
    ] {
        match build(code).await.unwrap_err() {
            LogicError::Fields(errors) => {
                assert_eq!((errors[0].field.as_str(), errors[0].rule.as_str()), ("code", rule))
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn stacks_name_the_authors_lines() {
    let code = "type Name = string;\n\nfunction fail(name: Name): never {\n  throw new Error(`no ${name}`);\n}\n\
        export default () => 1;\nexport const tests = { a() { fail('x'); } };";
    let results = tested(code).await;
    let message = results[0].message.as_deref().unwrap();
    assert!(message.starts_with("no x\nat fail (logic.ts:4:"), "{message}");
    assert!(message.contains("logic.ts:7:"), "{message}");
}

#[tokio::test]
async fn a_throw_while_loading_has_the_authors_line() {
    let workshop = offline();
    let code = "const x: number = 1;\nthrow new Error('early');\nexport default () => x;";
    let built = workshop.build(&source(code), None).await.unwrap();
    match workshop.try_out(&built, &Limits::default()).await.unwrap_err() {
        LogicError::Compile(error) => {
            assert_eq!((error.line, error.message.as_str()), (Some(2), "Error: early"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn tests_beside_logic_answer_its_requests() {
    let code = r#"
export default async (ctx) => {
  const answer = await fetch(`${ctx.connection.url}/users`, { method: "POST", body: JSON.stringify({ name: ctx.account.userName }) });
  if (!answer.ok) throw Object.assign(new Error(`saving: ${answer.status}`), { errorClass: "permanent" });
  return { status: "provisioned", remoteId: (await answer.json()).id };
};
export const tests = {
  async "the request and the response are seen"(t) {
    const { response, requests } = await t.run({
      account: { userName: "ada" },
      connection: { url: "https://crm.example" },
      answers: [{ method: "POST", url: "https://crm.example/*", status: 201, body: { id: "7" } }],
    });
    t.equal(response, { status: "provisioned", remoteId: "7" });
    t.equal(requests.map(({ method, url, body }) => ({ method, url, body })), [
      { method: "POST", url: "https://crm.example/users", body: { name: "ada" } },
    ]);
  },
  async "a function answers as well"(t) {
    const { error } = await t.run({ answers: ({ url }) => new Response("no", { status: url.endsWith("/users") ? 403 : 200 }), connection: { url: "https://x.example" } });
    t.equal(error.message, "saving: 403");
    t.equal(error.errorClass, "permanent");
  },
  async "times run out"(t) {
    const answers = [{ status: 500, times: 1 }, { body: { id: 1 } }];
    t.ok((await t.run({ answers, connection: { url: "https://x.example" } })).error);
  },
  async "what nobody answers is an error"(t) {
    const { error } = await t.run({ connection: { url: "https://x.example" } });
    t.equal(error.message, "the test has no answer for POST https://x.example/users");
  },
  async "a test itself cannot reach anything"(t) {
    await fetch("https://x.example/");
  },
  "and fails with both values"(t) { t.equal({ a: [1, 2] }, { a: [1, 3] }, "lists"); },
};"#;
    let results = tested(code).await;
    let passed: Vec<_> = results.iter().map(|result| result.passed).collect();
    assert_eq!(passed, [true, true, true, true, false, false], "{results:#?}");
    assert!(results[4].message.as_deref().unwrap().contains("only logic can fetch: call it with `t.run`"));
    let message = results[5].message.as_deref().unwrap();
    assert!(message.starts_with("lists: expected { a: [ 1, 3 ] }, got { a: [ 1, 2 ] }"), "{message}");
}

#[tokio::test]
async fn what_is_no_response_is_an_error_in_a_test_too() {
    let results = tested(
        "export default (ctx) => ctx.account.attributes.answer;
        const run = (t, answer, reason) => t.run({ reason, account: { attributes: { answer } } });
        export const tests = {
            async good(t) { t.equal((await run(t, { status: 'deprovisioned' }, 'deprovision')).error, undefined) },
            async bad(t) {
                const { response, error } = await run(t, { status: 'done' });
                t.equal([response, error.errorClass], [undefined, 'logic']);
                throw error;
            },
            async wrong(t) { throw (await run(t, { status: 'provisioned' }, 'deprovision')).error },
            async nothing(t) { throw (await run(t)).error },
        };",
    )
    .await;
    assert!(results[0].passed, "{:?}", results[0]);
    let messages: Vec<_> = results[1..].iter().map(|result| result.message.as_deref().unwrap()).collect();
    insta::assert_debug_snapshot!(messages);
}

#[tokio::test]
async fn a_test_that_breaks_a_limit_fails_alone() {
    let code =
        "export default () => 1; export const tests = { loops() { for (;;); }, works(t) { t.ok(true) } };";
    let workshop = offline();
    let built = workshop.build(&source(code), None).await.unwrap();
    let limits = Limits { cpu_ms: 200, ..Limits::default() };
    let results = workshop.try_out(&built, &limits).await.unwrap();
    assert!(!results[0].passed && results[1].passed, "{results:?}");
    assert!(results[0].message.as_deref().unwrap().contains("CPU limit of 200 ms"), "{results:?}");
}

#[tokio::test]
async fn what_is_not_used_is_left_out() {
    let code = "import { normalize } from 'provisiond:mapping'; export default () => normalize(' a ');";
    let code = build(code).await.unwrap().artefact.code;
    assert!(code.contains("function normalize") && !code.contains("function password"), "{code}");
}

#[tokio::test]
async fn the_mapping_module_does_what_it_says() {
    let results = tested(MAPPING).await;
    let failed: Vec<_> = results.iter().filter(|result| !result.passed).collect();
    assert!(failed.is_empty() && results.len() == 9, "{failed:#?}");
}

#[tokio::test]
async fn a_typo_in_a_test_fails_it() {
    let results = tested(
        "export default async (ctx) => { await fetch('https://x.example/'); return { status: 'provisioned' } };
        const answers = (value) => ({ answers: value });
        export const tests = {
            async option(t) { await t.run({ accountx: 1 }) },
            async account(t) { await t.run({ account: { usrName: 'a' } }) },
            async previous(t) { await t.run({ previous: { remoteid: 'a' } }) },
            async reason(t) { await t.run({ reason: 'create' }) },
            async groups(t) { await t.run({ groups: {} }) },
            async answers(t) { await t.run(answers(5)) },
            async answer(t) { await t.run(answers([{ stauts: 200 }])) },
            async status(t) { await t.run(answers([{ status: '200' }])) },
            async body(t) { await t.run(answers([{ status: 204, body: 'x' }])) },
            async given(t) { throw (await t.run(answers(() => ({ bdy: 1 })))).error },
            async fine(t) {
                const outcome = await t.run({ ...answers([{ status: 204 }]), account: { userName: 'a' }, previous: {}, groups: [] });
                t.equal(outcome.response, { status: 'provisioned' });
            },
        };",
    )
    .await;
    let (fine, wrong) = results.split_last().unwrap();
    assert!(fine.passed, "{fine:?}");
    assert!(wrong.iter().all(|result| !result.passed), "{wrong:#?}");
    let heads = wrong.iter().map(|result| result.message.as_deref().unwrap().lines().next().unwrap());
    insta::assert_snapshot!(heads.collect::<Vec<_>>().join("\n"));
}

#[tokio::test]
async fn tests_are_an_object_of_functions() {
    for tests in ["[() => {}]", "{ a: 1 }", "5"] {
        let code = format!("export default () => 1; export const tests = {tests};");
        let workshop = offline();
        let built = workshop.build(&source(&code), None).await.unwrap();
        let error = workshop.try_out(&built, &Limits::default()).await.unwrap_err().to_string();
        assert!(error.contains("`tests` must be an object whose members are functions"), "{tests}: {error}");
    }
}

#[tokio::test]
async fn what_changes_built_ins_is_told_why_it_cannot_load() {
    let workshop = offline();
    let code = "Array.isArray.convert = () => 1; export default () => 1;";
    let built = workshop.build(&source(code), None).await.unwrap();
    let error = workshop.try_out(&built, &Limits::default()).await.unwrap_err().to_string();
    assert!(error.contains("built-in objects are frozen"), "{error}");
}

#[tokio::test]
async fn a_dynamic_import_works_where_its_name_is_written_out() {
    let results = tested(
        "const name = 'provisiond:' + 'mapping';
        export default async ({ account }) => {
            const { normalize } = account.attributes.computed ? await import(name) : await import('provisiond:mapping');
            return { status: 'provisioned', message: normalize(' a  b ') };
        };
        export const tests = {
            async literal(t) { t.equal((await t.run()).response?.message, 'a b') },
            async computed(t) { throw (await t.run({ account: { attributes: { computed: true } } })).error },
        };",
    )
    .await;
    assert!(results[0].passed, "{results:#?}");
    assert!(results[1].message.is_some(), "{results:#?}");
}
