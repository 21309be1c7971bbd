//! Packages of every kind that there is: for `import` and `require`, under
//! another name, optional, and chosen by whoever uses them.

use provisiond::config::Registry;
use provisiond::domain::target::Limits;
use provisiond::logic::{LogicError, Source};
use serde_json::json;

use super::registry::{FakeRegistry, Release};
use super::{config, workshop};

fn source(code: &str, dependencies: &[(&str, &str)]) -> Source {
    let dependencies = dependencies.iter().map(|(name, range)| ((*name).into(), (*range).into())).collect();
    Source { code: code.into(), language: None, dependencies }
}

/// What `import x from "a"` is, as text.
async fn imported(registry: &FakeRegistry, dependencies: &[(&str, &str)]) -> Result<String, LogicError> {
    let code =
        "import x from 'a'; export default () => 1; export const tests = { a() { console.log(String(x)) } };";
    let workshop = workshop(&registry.config());
    let built = workshop.build(&source(code, dependencies), None).await?;
    let results = workshop.try_out(&built, &Limits::default()).await?;
    assert!(results[0].passed, "{results:?}");
    Ok(results[0].log[0].text.clone())
}

/// A package whose two variants say which one they are.
fn dual(name: &str) -> Release {
    Release::new(name, "1.0.0", "")
        .file("package/dual.mjs", "export default 'imported'; export const named = 1;")
        .file("package/dual.cjs", "module.exports = class { toString() { return 'required' } };")
}

/// What comes of requiring `b`, which is a class, and of importing it.
async fn both_variants(b: Release) -> (String, String) {
    let requires = Release::new("a", "1.0.0", "const B = require('b'); module.exports = String(new B());")
        .needs("b", "1");
    let imports = Release::new("a", "1.0.0", "").needs("b", "1").with("main", json!("index.mjs"));
    let imports = imports.file("package/index.mjs", "export { default } from 'b';");
    let registry = FakeRegistry::start(&[b.clone(), requires]).await;
    let required = imported(&registry, &[("a", "1")]).await.unwrap();
    let registry = FakeRegistry::start(&[b, imports]).await;
    (required, imported(&registry, &[("a", "1")]).await.unwrap())
}

#[tokio::test]
async fn a_package_with_two_variants_gives_each_caller_its_own() {
    let expected = ("required".to_owned(), "imported".to_owned());
    let import_first = json!({ ".": { "import": "./dual.mjs", "require": "./dual.cjs" } });
    assert_eq!(both_variants(dual("b").with("exports", import_first)).await, expected);
    let require_first = json!({ ".": { "require": "./dual.cjs", "import": "./dual.mjs" } });
    assert_eq!(both_variants(dual("b").with("exports", require_first)).await, expected);
    let nested = json!({ ".": { "browser": { "import": "./dual.mjs", "default": "./dual.cjs" }, "default": "./none.js" } });
    assert_eq!(both_variants(dual("b").with("exports", nested)).await, expected);
}

/// From before conditional exports: `module` beside `main`.
#[tokio::test]
async fn a_package_with_a_module_field_can_be_required() {
    let b = dual("b").with("main", json!("dual.cjs")).with("module", json!("dual.mjs"));
    assert_eq!(both_variants(b).await.0, "required");
}

/// From the real registry. `json-bigint` requires `bignumber.js`, which has two
/// variants; the CommonJS variant of `@isaacs/cliui` requires packages by names of
/// its own, from among a list of variants; `ajv-formats` has a peer, and asks for a
/// file in it; `axios` has a `browser` map.
#[tokio::test]
async fn real_packages_of_every_kind_work() {
    let mut config = config(Registry::Public);
    config.cooldown = std::time::Duration::ZERO;
    let code = r#"
        const JSONbig = require("json-bigint");
        const Ajv = require("ajv").default, formats = require("ajv-formats").default;
        const axios = require("axios").default;
        module.exports = async ({ connection }) => {
          const { data } = await axios.post(`${connection.url}/users`, { name: "Ada" }, { adapter: "fetch" });
          return { status: "provisioned", remoteId: data.id };
        };
        module.exports.tests = {
          bigint(t) {
            t.equal(JSONbig.stringify(JSONbig.parse('{"id":9223372036854775807}')), '{"id":9223372036854775807}');
          },
          cliui(t) {
            const ui = require("@isaacs/cliui")({ width: 20 });
            ui.div({ text: "one", width: 10 }, { text: "two", width: 10 });
            t.equal(ui.toString(), "one       two");
          },
          formats(t) {
            const check = formats(new Ajv()).compile({ type: "string", format: "email" });
            t.equal([check("ada@example.org"), check("ada")], [true, false]);
          },
          async axios(t) {
            const answers = [{ method: "POST", url: "https://crm.example/users", status: 201, body: { id: "7" } }];
            const { response, requests } = await t.run({ answers, connection: { url: "https://crm.example" } });
            t.equal(response.remoteId, "7");
            t.equal(requests[0].body, { name: "Ada" });
          },
        };"#;
    let wishes = [
        ("json-bigint", "1.0.0"),
        ("@isaacs/cliui", "8.0.2"),
        ("ajv", "8.17.1"),
        ("ajv-formats", "3.0.1"),
        ("axios", "1.7.9"),
    ];
    let workshop = workshop(&config);
    let built = workshop.build(&source(code, &wishes), None).await.unwrap();
    let results = workshop.try_out(&built, &Limits::default()).await.unwrap();
    let failed: Vec<_> = results.iter().filter(|result| !result.passed).collect();
    assert!(failed.is_empty() && results.len() == 4, "{failed:#?}");
}

#[tokio::test]
async fn a_package_may_call_another_by_a_name_of_its_own() {
    let registry = FakeRegistry::start(&[
        Release::new("a", "1.0.0", "module.exports = `${require('old')} and ${require('@my/new')}`")
            .needs("old", "npm:c@1")
            .needs("@my/new", "npm:@s/c@^2.0.0"),
        Release::new("c", "1.0.0", "module.exports = 'c 1'"),
        Release::new("@s/c", "2.3.0", "module.exports = 'c 2'"),
    ])
    .await;
    assert_eq!(imported(&registry, &[("a", "1")]).await.unwrap(), "c 1 and c 2");
}

#[tokio::test]
async fn optional_packages_are_there_unless_they_are_for_a_platform() {
    let code = "const has = (load) => { try { return load() } catch { return 'none' } };
        module.exports = `${has(() => require('plain'))} and ${has(() => require('fast'))}`;";
    let registry = FakeRegistry::start(&[
        Release::new("a", "1.0.0", code).with("optionalDependencies", json!({ "plain": "1", "fast": "1" })),
        Release::new("plain", "1.0.0", "module.exports = 'plain'"),
        Release::new("fast", "1.0.0", "module.exports = 'fast'")
            .with("os", json!(["linux"]))
            .with("cpu", json!(["x64"]))
            .file("package/fast.node", "ELF"),
    ])
    .await;
    assert_eq!(imported(&registry, &[("a", "1")]).await.unwrap(), "plain and none");
}

/// Asked for without a `try`, it is missed when it is asked for.
#[tokio::test]
async fn a_missing_package_is_named() {
    let registry =
        FakeRegistry::start(&[Release::new("a", "1.0.0", "module.exports = require('not-there/x')")]).await;
    let error = imported(&registry, &[("a", "1")]).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "Error: \"not-there/x\", which a/index.js asks for, is not among its packages (a/index.js:1:8)"
    );
    let imports = Release::new("a", "1.0.0", "").with("main", json!("a.mjs"));
    let registry = FakeRegistry::start(&[imports.file("package/a.mjs", "export { default } from 'x'")]).await;
    let error = imported(&registry, &[("a", "1")]).await.unwrap_err().to_string();
    assert_eq!(error, "`a/a.mjs` imports `x`, which is not there (a/a.mjs:1:25)");
}

/// `"fs": false` in a package's `browser` means an empty module.
#[tokio::test]
async fn a_package_may_do_without_a_module_of_nodes() {
    let code = "const fs = require('fs'); const os = require('os-thing');
        module.exports = typeof fs.readFile + typeof os.arch;";
    let registry = FakeRegistry::start(&[
        Release::new("a", "1.0.0", code).with("browser", json!({ "fs": false, "os-thing": false }))
    ])
    .await;
    assert_eq!(imported(&registry, &[("a", "1")]).await.unwrap(), "undefinedundefined");
}

#[tokio::test]
async fn peers_are_those_of_whoever_uses_the_package() {
    let registry = FakeRegistry::start(&[
        Release::new("a", "1.0.0", "module.exports = `a with ${require('p')}, ${require('host')}`")
            .needs("p", "1")
            .needs("host", "1.0.0"),
        Release::new("p", "1.0.0", "module.exports = `p with ${require('host')}`")
            .with("peerDependencies", json!({ "host": ">=1", "missing": "1" }))
            .with("peerDependenciesMeta", json!({ "missing": { "optional": true } })),
        Release::new("host", "1.0.0", "module.exports = 'host 1'"),
        Release::new("host", "2.0.0", "module.exports = 'host 2'"),
    ])
    .await;
    // The author's own `host` is another one, so that `p` is there twice.
    let wishes = [("a", "1"), ("host", "2"), ("p", "1")];
    assert_eq!(imported(&registry, &wishes).await.unwrap(), "a with p with host 1, host 1");
    assert_eq!(imported(&registry, &[("a", "1")]).await.unwrap(), "a with p with host 1, host 1");
}
