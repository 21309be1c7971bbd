//! What a registry or a package does that means harm, or is too much.

use provisiond::config::Registry;
use provisiond::domain::target::Limits;
use provisiond::logic::{LogicError, Source};
use provisiond::security::Secret;
use serde_json::{Value, json};

use super::registry::{FakeRegistry, Release};
use super::workshop;
use crate::support::sink::Answer;
use crate::support::tls::TlsFront;

const USES_A: &str = "import a from 'a'; export default () => a;";

fn source(dependencies: &[(&str, &str)]) -> Source {
    let dependencies = dependencies.iter().map(|(name, range)| ((*name).into(), (*range).into())).collect();
    Source { code: USES_A.into(), language: None, dependencies }
}

async fn build(registry: &FakeRegistry) -> Result<provisiond::logic::Built, LogicError> {
    workshop(&registry.config()).build(&source(&[("a", "1")]), None).await
}

/// `field: rule` of the only refusal.
fn refusal(error: LogicError) -> String {
    match error {
        LogicError::Fields(errors) => format!("{}: {}", errors[0].field, errors[0].rule),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn names_that_are_paths_make_no_files() {
    let outside = tempfile::tempdir().unwrap();
    let absolute = outside.path().join("link").to_str().unwrap().to_owned();
    for key in ["../../../../../provisiond-link", &absolute, "..", ".bin", "x/../../../y", "@s/../../../../z"]
    {
        let registry = FakeRegistry::start(&[
            Release::new("a", "1.0.0", "module.exports = 1").needs(key, "npm:c@1"),
            Release::new("c", "1.0.0", "module.exports = 2"),
        ])
        .await;
        let refused = refusal(build(&registry).await.unwrap_err());
        assert_eq!(
            refused,
            format!(
                "packageDependencies.a: `a@1.0.0` depends on `{key}`, which is not the name of a package, such as `lodash` or `@scope/name`"
            )
        );
        assert!(!registry.sink.calls().iter().any(|call| call.path.ends_with(".tgz")), "{key}");
    }
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

/// The registry itself is asked for nothing but packages, and for nothing
/// elsewhere.
#[tokio::test]
async fn names_that_are_addresses_are_not_asked_for() {
    let elsewhere = FakeRegistry::start(&[]).await;
    let elsewhere_name = elsewhere.sink.url.replace("//", "");
    for name in [elsewhere_name.as_str(), "/abs/x", "-/v1/search?text=x", "../x", "c?write=true"] {
        let needs = format!("npm:{name}@1");
        let registry =
            FakeRegistry::start(&[Release::new("a", "1.0.0", "module.exports = 1").needs("b", &needs)]).await;
        let refused = refusal(build(&registry).await.unwrap_err());
        assert!(
            refused.contains(&format!("`{name}`, which is not the name of a package")),
            "{name}: {refused}"
        );
        assert!(registry.sink.calls().iter().all(|call| call.path == "/a"), "{name}");
    }
    assert!(elsewhere.sink.calls().is_empty());
}

/// What a package calls itself in the registry's answer is no more to be
/// believed than what it depends on.
#[tokio::test]
async fn a_package_cannot_call_itself_a_path() {
    let registry = FakeRegistry::start(&[Release::new("a", "1.0.0", "module.exports = 1")]).await;
    let mut info = registry.info("a").await;
    info["name"] = "../../../../../provisiond-folder".into();
    registry.sink.answer(Answer::new(200).only_to("/a").body(&info));
    let refused = refusal(build(&registry).await.unwrap_err());
    assert!(refused.contains("is not the name of a package"), "{refused}");
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_sent_the_token() {
    let registry = FakeRegistry::start(&[Release::new("a", "1.0.0", "module.exports = 1")]).await;
    let elsewhere = FakeRegistry::start(&[Release::new("a", "1.0.0", "module.exports = 1")]).await;
    for path in ["/a", "/a/-/1.0.0.tgz"] {
        let to = format!("{}{path}", elsewhere.sink.url);
        registry.sink.answer(Answer::new(302).only_to(path).header("location", to));
    }
    // The archive is the registry's own until it is redirected.
    let info = elsewhere.info("a").await.to_string().replace(&elsewhere.sink.url, &registry.sink.url);
    elsewhere.sink.forget();
    elsewhere.sink.answer(Answer::new(200).only_to("/a").body(info));
    let mut config = registry.config();
    config.token = Some(Secret::new("npm_secret"));
    workshop(&config).build(&source(&[("a", "1")]), None).await.unwrap();
    let asked = registry.sink.calls();
    assert!(asked.iter().all(|call| call.header("authorization") == Some("Bearer npm_secret")), "{asked:?}");
    let elsewhere = elsewhere.sink.calls();
    assert_eq!(elsewhere.iter().map(|call| call.path.as_str()).collect::<Vec<_>>(), ["/a", "/a/-/1.0.0.tgz"]);
    assert!(elsewhere.iter().all(|call| call.header("authorization").is_none()), "{elsewhere:?}");
}

#[tokio::test]
async fn a_proxy_is_asked_in_the_registrys_place() {
    let proxy = FakeRegistry::start(&[Release::new("a", "1.0.0", "module.exports = 1")]).await;
    let info = proxy.info("a").await.to_string().replace(&proxy.sink.url, "http://registry.invalid");
    proxy.sink.answer(Answer::new(200).only_to("http://registry.invalid/a").body(info));
    let mut config = super::config(Registry::At("http://registry.invalid/".parse().unwrap()));
    config.proxy = Some(proxy.sink.url.parse().unwrap());
    workshop(&config).build(&source(&[("a", "1")]), None).await.unwrap();
    let paths: Vec<_> = proxy.sink.calls().into_iter().map(|call| call.path).collect();
    assert_eq!(paths[1..], ["http://registry.invalid/a", "http://registry.invalid/a/-/1.0.0.tgz"]);
}

#[tokio::test]
async fn a_registry_may_have_a_certificate_of_the_company() {
    let registry = FakeRegistry::start(&[Release::new("a", "1.0.0", "module.exports = 1")]).await;
    let front = TlsFront::start(&registry.sink.url).await;
    let info = registry.info("a").await.to_string().replace(&registry.sink.url, &front.url);
    registry.sink.answer(Answer::new(200).only_to("/a").body(info));
    registry.sink.forget();
    let mut config = super::config(Registry::At(front.url.parse().unwrap()));
    let error = workshop(&config).build(&source(&[("a", "1")]), None).await.unwrap_err().to_string();
    assert!(error.contains("invalid peer certificate: UnknownIssuer"), "{error}");
    assert_eq!(registry.sink.calls().len(), 0);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, &front.ca).unwrap();
    config.ca = Some(path);
    workshop(&config).build(&source(&[("a", "1")]), None).await.unwrap();
    let asked: Vec<_> = registry.sink.calls().into_iter().map(|call| call.path).collect();
    assert_eq!(asked, ["/a", "/a/-/1.0.0.tgz"]);
}

#[tokio::test]
async fn certificates_that_cannot_be_read_are_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let mut config = super::config(Registry::Public);
    config.ca = Some(path.clone());
    let load = || provisiond::logic::packages::Packages::new(&config).map(drop).unwrap_err().to_string();
    assert!(load().contains("No such file"), "{}", load());
    std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n").unwrap();
    assert!(load().contains("packages.ca") || load().contains("cannot be used"), "{}", load());
}

#[tokio::test]
async fn an_archive_that_cannot_be_had_is_the_authors_to_mend() {
    let registry = FakeRegistry::start(&[Release::new("a", "1.0.0", "module.exports = 1")]).await;
    let archive = |status| Answer::new(status).to("/a/-/1.0.0.tgz");
    for status in [404, 410, 451] {
        registry.sink.answer(archive(status));
        let refused = refusal(build(&registry).await.unwrap_err());
        assert!(
            refused.starts_with(&format!(
                "packageDependencies.a: `a@1.0.0` has no archive: the registry answers {status} "
            )),
            "{refused}"
        );
    }
    for status in [401, 403, 429, 500, 503] {
        registry.sink.answer(archive(status));
        let error = build(&registry).await.unwrap_err();
        assert!(matches!(error, LogicError::Registry(_)), "{status}: {error:?}");
    }
    registry.sink.answer(archive(200).bytes(vec![0; (1 << 20) + 1]));
    let mut small = registry.config();
    small.max_size = 1 << 20;
    let built = workshop(&small).build(&source(&[("a", "1")]), None).await;
    assert_eq!(
        refusal(built.unwrap_err()),
        "packageDependencies.a: `a@1.0.0` has an archive that is larger, with those of the others, than the 1 MiB of `packages.maxSize`"
    );
}

/// A file system keeps files and folders that hold nothing.
#[tokio::test]
async fn an_archive_of_nothing_but_folders_is_refused() {
    let hollow = |files: usize| {
        (0..files).fold(Release::new("a", "1.0.0", "module.exports = 1"), |release, n| {
            release.file(&format!("package/{n}/{n}/{n}/x.js"), "")
        })
    };
    let registry = FakeRegistry::start(&[hollow(400)]).await;
    let mut small = registry.config();
    small.max_size = 4 << 20;
    let refused = refusal(workshop(&small).build(&source(&[("a", "1")]), None).await.unwrap_err());
    assert!(
        refused.starts_with(
            "packageDependencies.a: `a@1.0.0` unpacks to more than the 4 MiB that are left of `packages.maxSize`"
        ),
        "{refused}"
    );
    registry.publish(&[hollow(200)]);
    workshop(&small).build(&source(&[("a", "1")]), None).await.unwrap();
    let deep = Release::new("a", "1.0.0", "module.exports = 1")
        .file(&format!("package/{}x.js", "d/".repeat(40)), "");
    registry.publish(&[deep]);
    let refused = refusal(workshop(&small).build(&source(&[("a", "1")]), None).await.unwrap_err());
    assert!(refused.contains("has a file in more than 32 folders"), "{refused}");
}

/// Archives together are not larger than one may be.
#[tokio::test]
async fn all_archives_share_one_allowance() {
    let noise = |seed: u64| {
        let mut state = seed;
        let text: String = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{:08x}", state >> 32)
        })
        .take(120_000)
        .collect();
        format!("module.exports = '{text}'")
    };
    let mut releases: Vec<_> = (0..8).map(|n| Release::new(&format!("b{n}"), "1.0.0", &noise(n))).collect();
    let a =
        (0..8).fold(Release::new("a", "1.0.0", "module.exports = 1"), |a, n| a.needs(&format!("b{n}"), "1"));
    releases.push(a);
    let registry = FakeRegistry::start(&releases).await;
    let mut small = registry.config();
    small.max_size = 1 << 20;
    let built = workshop(&small).build(&source(&[("a", "1")]), None).await;
    let refused = refusal(built.unwrap_err());
    assert!(refused.contains("has an archive that is larger, with those of the others"), "{refused}");
}

/// Each release depends on a package that nobody has heard of before.
#[tokio::test]
async fn a_graph_without_end_is_left() {
    let releases: Vec<_> = (0..1_000)
        .map(|n| Release::new(&format!("b{n}"), "1.0.0", "").needs(&format!("b{}", n + 1), "1"))
        .chain([Release::new("a", "1.0.0", "").needs("b0", "1")])
        .collect();
    let registry = FakeRegistry::start(&releases).await;
    let mut few = registry.config();
    few.max_count = 10;
    let built = workshop(&few).build(&source(&[("a", "1")]), None).await;
    let refused = refusal(built.unwrap_err());
    assert_eq!(
        refused,
        "packageDependencies: leads to more than 100 packages that have to be looked at, and `packages.maxCount` is 10"
    );
    assert!(registry.sink.calls().len() <= 101, "{}", registry.sink.calls().len());
}

/// A registry that does not say when releases were published.
#[tokio::test]
async fn releases_without_a_date_are_told_of() {
    let registry = FakeRegistry::start(&[
        Release::new("a", "1.0.0", "module.exports = require('@ours/b')").needs("@ours/b", "1").undated(),
        Release::new("@ours/b", "1.0.0", "module.exports = 1").undated(),
        Release::new("c", "1.0.0", ""),
    ])
    .await;
    let wishes = source(&[("a", "1"), ("c", "1")]);
    let warning = "the registry does not say when `@ours/b@1.0.0`, `a@1.0.0` came out, so that nobody knows whether \
                   that is long enough ago (`packages.cooldown`)";
    let built = workshop(&registry.config()).build(&wishes, None).await.unwrap();
    let said: Vec<_> = built.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(said, [warning]);
    // Also when the same are chosen again, without the registry being asked.
    let lock = Some(&built.artefact.lock);
    let again = workshop(&registry.config()).build(&wishes, lock).await.unwrap();
    assert_eq!((&again.warnings, &again.artefact.id), (&built.warnings, &built.artefact.id));

    let mut config = registry.config();
    config.cooldown_exempt = vec!["@ours/*".into(), "a".into()];
    assert!(workshop(&config).build(&wishes, None).await.unwrap().warnings.is_empty());
    config.cooldown_exempt = Vec::new();
    config.cooldown = std::time::Duration::ZERO;
    assert!(workshop(&config).build(&wishes, None).await.unwrap().warnings.is_empty());
}

#[tokio::test]
async fn tests_together_have_a_limit() {
    let code = "export default () => 1; export const tests = {};
        for (let n = 0; n < 40; n++) tests[`waits ${n}`] = () => new Promise((done) => setTimeout(done, 250));";
    let workshop = super::offline();
    let built = workshop.build(&super::source(code), None).await.unwrap();
    let limits = Limits { wall_ms: 500, ..Limits::default() };
    let results = workshop.try_out(&built, &limits).await.unwrap();
    assert_eq!(results.len(), 40);
    let last = &results[39];
    assert_eq!(
        (last.passed, last.message.as_deref()),
        (false, Some("the limit of 2000 ms for all tests together was reached before it ended"))
    );
}

/// It is no reason to think that the registry is down.
#[tokio::test]
async fn an_endless_description_is_the_packages_own_fault() {
    let registry = FakeRegistry::start(&[Release::new("a", "1.0.0", "module.exports = 1")]).await;
    let mut info: Value = registry.info("a").await;
    info["readme"] = json!(" ".repeat(65 << 20));
    registry.sink.answer(Answer::new(200).only_to("/a").body(&info));
    let refused = refusal(build(&registry).await.unwrap_err());
    assert_eq!(refused, "packageDependencies.a: is described in more than 64 MiB by the registry");
}

/// A bundler that its reading has taken over writes without end.
#[tokio::test]
async fn no_more_of_an_answer_is_read_than_it_may_have() {
    use provisiond::js::HostProgram;
    use provisiond::logic::{Workshop, packages::Packages};
    let packages = Packages::new(&super::config(Registry::None)).unwrap();
    let workshop = Workshop::new(HostProgram::new("/usr/bin/yes"), packages);
    let error = workshop.build(&super::source("export default 1"), None).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot be loaded: the limit of 64 MiB for a bundle was reached");
}
