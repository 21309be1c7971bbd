//! Packages: the ones that must work, from the real registry; and everything
//! that a registry or a package can do wrong.

use std::collections::BTreeMap;

use provisiond::config::Registry;
use provisiond::domain::target::Limits;
use provisiond::logic::{LogicError, Source};
use serde_json::{Value, json};

use super::registry::{FakeRegistry, Release};
use super::{config, workshop};
use crate::support::sink::Answer;

fn source(code: &str, dependencies: &[(&str, &str)]) -> Source {
    let dependencies = dependencies.iter().map(|(name, range)| ((*name).into(), (*range).into())).collect();
    Source { code: code.into(), language: None, dependencies }
}

/// What each package is called with, and what must come out of it. Exact
/// releases, so that a new one breaks nobody's afternoon.
const CALLED: &str = r#"
import _ from "lodash";
import { z } from "zod";
import { SignJWT, jwtVerify, generateKeyPair } from "jose";
import { addDays, formatISO } from "date-fns";
import { XMLParser, XMLBuilder } from "fast-xml-parser";
import { v5, validate } from "uuid";
import Ajv from "ajv";
import { DateTime } from "luxon";
import ms from "ms";

export default async () => ({ status: "provisioned" });

export const tests: Record<string, (t: any) => unknown> = {
  lodash(t) {
    t.equal(_.groupBy(["ada", "alan", "grace"], (name) => name[0]), { a: ["ada", "alan"], g: ["grace"] });
    t.equal(_.get({ a: [{ b: 7 }] }, "a[0].b"), 7);
    t.equal(_.template("Hello <%= name %>")({ name: "Ada" }), "Hello Ada");
    t.equal(_(["b", "a"]).sort().map(_.toUpper).value(), ["A", "B"]);
  },
  zod(t) {
    const User = z.object({ mail: z.email(), age: z.number().int().optional() });
    t.equal(User.parse({ mail: "ada@example.org" }), { mail: "ada@example.org" });
    t.equal(User.safeParse({ mail: "no" }).success, false);
  },
  async "jose, HS256"(t) {
    const key = new TextEncoder().encode("a secret of thirty-two characters");
    const token = await new SignJWT({ sub: "ada" }).setProtectedHeader({ alg: "HS256" }).setExpirationTime("1h").sign(key);
    t.equal((await jwtVerify(token, key)).payload.sub, "ada");
  },
  async "jose, RS256"(t) {
    const { privateKey, publicKey } = await generateKeyPair("RS256");
    const token = await new SignJWT({ sub: "ada" }).setProtectedHeader({ alg: "RS256" }).sign(privateKey);
    t.equal((await jwtVerify(token, publicKey)).payload.sub, "ada");
    let refused = "";
    await jwtVerify(token.slice(0, -8) + "AAAAAAAA", publicKey).catch((error) => (refused = error.code));
    t.equal(refused, "ERR_JWS_SIGNATURE_VERIFICATION_FAILED");
  },
  "date-fns"(t) {
    t.equal(formatISO(addDays(new Date(Date.UTC(2026, 1, 27, 12)), 2), { representation: "date" }), "2026-03-01");
  },
  "fast-xml-parser"(t) {
    const parsed = new XMLParser({ ignoreAttributes: false }).parse('<u id="7"><n>Ada</n><n>Lovelace</n></u>');
    t.equal(parsed, { u: { n: ["Ada", "Lovelace"], "@_id": "7" } });
    t.equal(new XMLBuilder().build({ a: { b: 1 } }), "<a><b>1</b></a>");
  },
  uuid(t) {
    t.equal(v5("example.org", v5.DNS), "aad03681-8b63-5304-89e0-8ca8f49461b5");
    t.ok(validate(v5("x", v5.URL)));
  },
  ajv(t) {
    const check = new Ajv().compile({ type: "object", required: ["mail"], properties: { mail: { type: "string" } } });
    t.equal([check({ mail: "x" }), check({})], [true, false]);
    t.equal(check.errors[0].keyword, "required");
  },
  luxon(t) {
    t.equal(DateTime.fromISO("2026-01-31T10:00:00Z", { zone: "utc" }).plus({ months: 1 }).toISODate(), "2026-02-28");
  },
  "ms, CommonJS only"(t) {
    t.equal(ms("2 days"), 172800000);
  },
};
"#;

const RELEASES: &[(&str, &str)] = &[
    ("lodash", "4.18.1"),
    ("zod", "4.6.7"),
    ("jose", "6.2.17"),
    ("date-fns", "4.4.0"),
    ("fast-xml-parser", "5.12.1"),
    ("uuid", "14.0.3"),
    ("ajv", "8.20.0"),
    ("luxon", "3.7.2"),
    ("ms", "2.1.3"),
];

/// From the real registry: this is what the feature is for.
#[tokio::test]
async fn the_packages_that_everybody_uses_work() {
    let mut config = config(Registry::Public);
    // Exact releases are not looked at for their age.
    config.cooldown = std::time::Duration::ZERO;
    let workshop = workshop(&config);
    let built = workshop.build(&source(CALLED, RELEASES), None).await.unwrap();
    let results = workshop.try_out(&built, &Limits { cpu_ms: 10_000, ..Limits::default() }).await.unwrap();
    let failed: Vec<_> = results.iter().filter(|result| !result.passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(results.len(), 10);

    let packages: Vec<Value> = serde_json::from_value(built.artefact.packages.clone()).unwrap();
    let of = |name: &str| packages.iter().find(|package| package["name"] == name).unwrap();
    assert_eq!((&of("lodash")["version"], &of("lodash")["licence"]), (&json!("4.18.1"), &json!("MIT")));
    assert!(of("jose")["integrity"].as_str().unwrap().starts_with("sha512-"));
    assert!(packages.len() > RELEASES.len(), "what these depend on is listed as well");

    // The same packages again, without a range having to be looked at.
    let again = workshop.build(&source(CALLED, RELEASES), Some(&built.artefact.lock)).await.unwrap();
    assert_eq!(again.artefact.id, built.artefact.id);
}

fn rules(error: LogicError) -> BTreeMap<String, String> {
    match error {
        LogicError::Fields(errors) => errors.into_iter().map(|error| (error.field, error.rule)).collect(),
        other => panic!("{other:?}"),
    }
}

const USES_A: &str = r#"import a from "a"; export default () => ({ status: "provisioned", message: String(a) });
export const tests = { a(t) { t.equal(String(a), globalThis.expected ?? String(a)); console.log(String(a)); } };"#;

async fn says(
    registry: &FakeRegistry,
    dependencies: &[(&str, &str)],
    code: &str,
) -> Result<String, LogicError> {
    let workshop = workshop(&registry.config());
    let built = workshop.build(&source(code, dependencies), None).await?;
    let results = workshop.try_out(&built, &Limits::default()).await?;
    assert!(results[0].passed, "{results:?}");
    Ok(results[0].log.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n"))
}

#[tokio::test]
async fn conditional_exports_choose_what_is_for_the_web() {
    let exports = json!({ ".": { "node": "./node.js", "browser": "./browser.js", "default": "./index.js" } });
    let release = Release::new("a", "1.0.0", "module.exports = 'default'")
        .file("package/node.js", "module.exports = require('fs')")
        .file("package/browser.js", "export default 'browser'")
        .with("exports", exports);
    let registry = FakeRegistry::start(&[release]).await;
    assert_eq!(says(&registry, &[("a", "1")], USES_A).await.unwrap(), "browser");
}

#[tokio::test]
async fn each_package_finds_the_version_that_it_asked_for() {
    let releases = [
        Release::new("a", "1.0.0", "module.exports = `a with ${require('c')} and ${require('@s/b')}`")
            .needs("c", "^1.0.0")
            .needs("@s/b", "*"),
        Release::new("@s/b", "3.0.0", "module.exports = `b with ${require('c')}`").needs("c", "^2.0.0"),
        Release::new("c", "1.5.0", "module.exports = 'c 1.5'"),
        Release::new("c", "2.0.0", "module.exports = 'c 2'"),
    ];
    let registry = FakeRegistry::start(&releases).await;
    assert_eq!(says(&registry, &[("a", "1")], USES_A).await.unwrap(), "a with c 1.5 and b with c 2");
}

#[tokio::test]
async fn a_lock_keeps_versions_until_the_wishes_change() {
    let one = || Release::new("a", "1.0.0", "module.exports = 'one'");
    let registry = FakeRegistry::start(&[one()]).await;
    let wishes = source(USES_A, &[("a", "^1.0.0")]);
    let first = workshop(&registry.config()).build(&wishes, None).await.unwrap();
    registry.publish(&[one(), Release::new("a", "1.1.0", "module.exports = 'two'")]);
    let lock = Some(&first.artefact.lock);
    let version = async |source: &Source, lock: Option<&Value>| {
        let built = workshop(&registry.config()).build(source, lock).await.unwrap();
        built.artefact.packages[0]["version"].as_str().unwrap().to_owned()
    };
    assert_eq!(version(&wishes, lock).await, "1.0.0");
    assert_eq!(version(&wishes, None).await, "1.1.0");
    assert_eq!(version(&source(USES_A, &[("a", ">=1")]), lock).await, "1.1.0");
}

#[tokio::test]
async fn young_releases_are_passed_over() {
    let registry = FakeRegistry::start(&[
        Release::new("a", "1.0.0", "module.exports = 'old'").published(30),
        Release::new("a", "1.1.0", "module.exports = 'young'").published(3),
        Release::new("@ours/b", "1.0.0", "").published(1),
    ])
    .await;
    assert_eq!(says(&registry, &[("a", "^1.0.0")], USES_A).await.unwrap(), "old");
    let error = says(&registry, &[("a", "1.1.0")], USES_A).await.unwrap_err();
    let rule = &rules(error)["packageDependencies.a"];
    assert!(rule.starts_with("no release of `a` matches `1.1.0` but ones published after "), "{rule}");

    let mut config = registry.config();
    config.cooldown_exempt = vec!["@ours/*".into()];
    let code = "import '@ours/b'; export default () => 1";
    let exempt = workshop(&config).build(&source(code, &[("@ours/b", "1")]), None).await;
    assert!(exempt.is_ok(), "{exempt:?}");
}

#[tokio::test]
async fn what_cannot_be_had_is_named() {
    let registry = FakeRegistry::start(&[
        Release::new("a", "1.0.0", "module.exports = 1"),
        Release::new("native", "1.0.0", "").file("package/build/Release/x.node", "ELF"),
        Release::new("gyp", "1.0.0", "").file("package/binding.gyp", "{}"),
        Release::new("deep", "1.0.0", "").needs("missing", "^3.0.0"),
        Release::new("git", "1.0.0", "").needs("x", "git+ssh://git@example.org/x.git"),
    ])
    .await;
    let refused = async |name: &str, range: &str| {
        let code = format!("import '{name}'; export default () => 1");
        let built = workshop(&registry.config()).build(&source(&code, &[(name, range)]), None).await;
        let (field, rule) = rules(built.unwrap_err()).into_iter().next().unwrap();
        format!("{field}: {rule}")
    };
    assert_eq!(
        refused("nothing", "1").await,
        "packageDependencies.nothing: there is no package `nothing` in the registry"
    );
    assert_eq!(refused("a", "^2.0.0").await, "packageDependencies.a: no release of `a` matches `^2.0.0`");
    assert_eq!(
        refused("native", "1").await,
        "packageDependencies.native: `native@1.0.0` has a native addon (`build/Release/x.node`), which cannot be \
         loaded: it would run outside the sandbox"
    );
    assert!(refused("gyp", "1").await.contains("has a native addon (`binding.gyp`)"));
    assert_eq!(
        refused("deep", "1").await,
        "packageDependencies: there is no package `missing` in the registry (`deep` depends on it)"
    );
    assert!(refused("git", "1").await.contains("git"), "{}", refused("git", "1").await);
    assert!(refused("../evil", "1").await.contains("is not the name of a package"));
    assert!(refused("a", "file:/etc").await.contains("must be a version, a range"));
}

#[tokio::test]
async fn what_is_wrong_with_a_package_is_shown_by_its_own_names() {
    let registry = FakeRegistry::start(&[
        Release::new("bad", "1.0.0", "module.exports = {\n  a: ;\n}"),
        Release::new("@s/good", "1.0.0", "export const a = 1;").with("type", json!("module")),
    ])
    .await;
    let wishes = [("bad", "1"), ("@s/good", "1")];
    let refused = async |code: &str| {
        let code = format!("{code}; export default () => a;");
        match workshop(&registry.config()).build(&source(&code, &wishes), None).await.map(drop) {
            Err(LogicError::Compile(error)) => (error.message, error.line),
            other => panic!("{other:?}"),
        }
    };
    let (message, line) = refused("import a from 'bad'").await;
    assert_eq!((message.as_str(), line), ("SyntaxError: Unexpected token (bad/index.js:2:6)", None));
    let (message, line) = refused("import { a } from '@s/good/nope.js'").await;
    let absent = "cannot import `@s/good/nope.js`: the package `@s/good` has no such file or entry";
    assert_eq!((message.as_str(), line), (absent, Some(1)));
    let (message, line) = refused("import { nope as a } from '@s/good'").await;
    assert!(message.contains("\"@s/good/index.js\"") && !message.contains("node_modules"), "{message}");
    assert_eq!(line, Some(1));
}

/// As npm does: what cannot be had is left out.
#[tokio::test]
async fn an_optional_package_that_does_not_exist_is_left_out() {
    let code =
        "let fast; try { fast = require('fast') } catch (error) { fast = error.code } module.exports = fast";
    let optional = |range: &str| json!({ "fast": range, "@s/none": "*" });
    let registry = FakeRegistry::start(&[
        Release::new("none", "1.0.0", code)
            .with("optionalDependencies", json!({ "nosuchpkg": "1", "fast": "^9" })),
        Release::new("both", "1.0.0", code)
            .needs("fast", "npm:nosuchpkg@1")
            .with("optionalDependencies", optional("npm:nosuchpkg@1")),
        Release::new("young", "1.0.0", code).with("optionalDependencies", optional("^2.0.0")),
        Release::new("over", "1.0.0", code).needs("none", "1").needs("both", "1"),
        Release::new("has", "1.0.0", code).with("optionalDependencies", optional("1")),
        Release::new("far", "1.0.0", code).with("optionalDependencies", json!({ "fast": "npm:near@1" })),
        Release::new("near", "1.0.0", "").needs("nearer", "1"),
        Release::new("nearer", "1.0.0", "").needs("nosuchpkg", "1"),
        Release::new("wants", "1.0.0", "").needs("fast", "^9"),
        Release::new("fast", "1.0.0", "module.exports = 'fast'"),
        Release::new("fast", "2.0.0", "module.exports = 'fast'").published(1),
    ])
    .await;
    for (name, says, packages) in [
        ("none", "MODULE_NOT_FOUND", 1),
        ("both", "MODULE_NOT_FOUND", 1),
        ("young", "MODULE_NOT_FOUND", 1),
        ("has", "fast", 2),
        ("over", "MODULE_NOT_FOUND", 3),
        ("far", "MODULE_NOT_FOUND", 1),
    ] {
        let code = format!(
            "import a from '{name}'; export default () => a;
            export const tests = {{ a(t) {{ t.equal(a, '{says}') }} }};"
        );
        let workshop = workshop(&registry.config());
        let wishes = source(&code, &[(name, "1")]);
        let built = workshop.build(&wishes, None).await.unwrap();
        assert_eq!(built.artefact.packages.as_array().unwrap().len(), packages, "{name}");
        let results = workshop.try_out(&built, &Limits::default()).await.unwrap();
        assert!(results[0].passed, "{name}: {results:?}");
        let again = workshop.build(&wishes, Some(&built.artefact.lock)).await.unwrap();
        assert_eq!(again.artefact.id, built.artefact.id, "{name}");
    }
    // Who needs it has to have it.
    let error =
        workshop(&registry.config()).build(&source(USES_A, &[("none", "1"), ("wants", "1")]), None).await;
    assert_eq!(
        rules(error.unwrap_err())["packageDependencies"],
        "no release of `fast` matches `^9` (`wants` depends on it)"
    );
}

/// As `ssh2` does, whose optional `cpu-features` is for every platform.
#[tokio::test]
async fn an_optional_native_addon_is_left_out() {
    let code = "let fast; try { fast = require('fast') } catch { fast = 'slow' } module.exports = fast";
    let optional =
        |release: Release| release.needs("fast", "1").with("optionalDependencies", json!({ "fast": "1" }));
    let registry = FakeRegistry::start(&[
        optional(Release::new("a", "1.0.0", code)).needs("shared", "1"),
        Release::new("fast", "1.0.0", "module.exports = 'fast'")
            .file("package/binding.gyp", "{}")
            .needs("headers", "1")
            .needs("shared", "1"),
        Release::new("headers", "1.0.0", ""),
        Release::new("shared", "1.0.0", ""),
        Release::new("strict", "1.0.0", "").needs("fast", "1"),
    ])
    .await;
    let built = workshop(&registry.config()).build(&source(USES_A, &[("a", "1")]), None).await.unwrap();
    let names: Vec<_> =
        built.artefact.packages.as_array().unwrap().iter().map(|p| p["name"].clone()).collect();
    assert_eq!(names, ["a", "shared"]);
    assert_eq!(says(&registry, &[("a", "1")], USES_A).await.unwrap(), "slow");

    let needs = [("a", "1"), ("strict", "1")];
    let error = workshop(&registry.config()).build(&source(USES_A, &needs), None).await.unwrap_err();
    assert!(rules(error)["packageDependencies.fast"].contains("has a native addon"));
}

#[tokio::test]
async fn a_changed_archive_is_not_used() {
    let registry = FakeRegistry::start(&[Release::new("a", "1.0.0", "module.exports = 'good'")]).await;
    registry.sink.answer(Answer::new(200).to("/a/-/1.0.0.tgz").bytes(b"something else".to_vec()));
    let error = says(&registry, &[("a", "1")], USES_A).await.unwrap_err();
    assert_eq!(
        rules(error)["packageDependencies.a"],
        "`a@1.0.0` is not what the registry says it is: the hash differs (sha512)"
    );
}

#[tokio::test]
async fn install_scripts_are_not_run_and_are_told_of() {
    let registry = FakeRegistry::start(&[Release::new("a", "1.0.0", "module.exports = 'quiet'")
        .with("scripts", json!({ "postinstall": "touch /tmp/provisiond-was-here" }))])
    .await;
    let built = workshop(&registry.config()).build(&source(USES_A, &[("a", "1")]), None).await.unwrap();
    assert_eq!(built.artefact.packages[0]["installScript"], true);
    assert!(!std::path::Path::new("/tmp/provisiond-was-here").exists());
}

#[tokio::test]
async fn caps_are_kept() {
    let large = format!("module.exports = '{}'", "x".repeat(2 << 20));
    let registry = FakeRegistry::start(&[
        Release::new("a", "1.0.0", &large),
        Release::new("b", "1.0.0", "").needs("c", "1"),
        Release::new("c", "1.0.0", ""),
    ])
    .await;
    let mut small = registry.config();
    small.max_size = 1 << 20;
    small.max_count = 1;
    let built = workshop(&small).build(&source(USES_A, &[("a", "1")]), None).await;
    let rule = rules(built.unwrap_err()).remove("packageDependencies.a").unwrap();
    assert!(rule.contains("1 MiB that are left of `packages.maxSize`"), "{rule}");
    let built = workshop(&small).build(&source("import 'b'; export default 1", &[("b", "1")]), None).await;
    let rule = rules(built.unwrap_err()).remove("packageDependencies").unwrap();
    assert_eq!(rule, "comes to 2 packages with all that these depend on, and `packages.maxCount` is 1");
}

#[tokio::test]
async fn a_token_goes_to_the_registry_and_nowhere_else() {
    let registry = FakeRegistry::start(&[Release::new("a", "1.0.0", "module.exports = 'private'")]).await;
    let elsewhere = FakeRegistry::start(&[Release::new("a", "1.0.0", "module.exports = 'private'")]).await;
    let mut info = registry.info("a").await;
    info["versions"]["1.0.0"]["dist"]["tarball"] = format!("{}/a/-/1.0.0.tgz", elsewhere.sink.url).into();
    registry.sink.answer(Answer::new(200).only_to("/a").body(&info));
    let mut config = registry.config();
    config.token = Some(provisiond::security::Secret::new("npm_secret"));
    workshop(&config).build(&source(USES_A, &[("a", "1")]), None).await.unwrap();
    let asked = registry.sink.calls().into_iter().rfind(|call| call.path == "/a").unwrap();
    assert_eq!(asked.header("authorization"), Some("Bearer npm_secret"));
    assert_eq!(elsewhere.sink.calls()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_registry_that_fails_says_how() {
    let registry = FakeRegistry::start(&[]).await;
    let said = async |answer: Answer| {
        registry.sink.answer(answer);
        match says(&registry, &[("a", "1")], USES_A).await {
            Err(LogicError::Registry(message)) => message,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        said(Answer::new(401)).await,
        "the package registry answers 401 Unauthorized: is `packages.token` right?"
    );
    assert_eq!(said(Answer::new(503)).await, "the package registry answers 503 Service Unavailable");
    assert!(said(Answer::new(200).body("nonsense")).await.contains("says something odd of `a`"));
    let mut gone = registry.config();
    gone.registry = Registry::At("http://127.0.0.1:9/".parse().unwrap());
    let built = workshop(&gone).build(&source(USES_A, &[("a", "1")]), None).await;
    assert!(built.unwrap_err().to_string().contains("cannot be reached"));
}

#[tokio::test]
async fn an_editor_may_search() {
    let releases = [
        Release::new("a", "1.0.0", "").published(100),
        Release::new("a", "1.1.0", "").published(2).with("deprecated", json!("use b")),
    ];
    let registry = FakeRegistry::start(&releases).await;
    let workshop = workshop(&registry.config());
    let releases = workshop.packages().releases("a").await.unwrap().unwrap();
    let shown: Vec<_> =
        releases.iter().map(|release| (release.version.as_str(), release.cooling_down)).collect();
    assert_eq!(shown, [("1.1.0", true), ("1.0.0", false)]);
    assert_eq!(
        (releases[0].deprecated.as_deref(), &releases[0].tags[..]),
        (Some("use b"), &["latest".to_owned()][..])
    );
    assert_eq!(workshop.packages().releases("b").await.unwrap(), None);

    // A registry without a search is asked for the very name.
    let found = workshop.packages().search("a", 5).await.unwrap();
    assert_eq!((found.len(), found[0].version.as_str()), (1, "1.1.0"));
    assert_eq!(workshop.packages().search("no such thing", 5).await.unwrap(), []);
    let object =
        json!({ "package": { "name": "b", "version": "2.0.0", "description": "Bees", "keywords": [] } });
    registry.sink.answer(
        Answer::new(200).to("/-/v1/search?text=bees&size=5").body(json!({ "objects": [object], "total": 1 })),
    );
    assert_eq!(workshop.packages().search("bees", 5).await.unwrap()[0].description.as_deref(), Some("Bees"));
}

#[tokio::test]
async fn an_instance_may_do_without_packages() {
    let built = super::offline().build(&source(USES_A, &[("a", "1")]), None).await;
    let rule = rules(built.unwrap_err()).remove("packageDependencies").unwrap();
    assert_eq!(rule, "cannot be used: this instance uses no packages: `packages.registry` is \"none\"");
}
