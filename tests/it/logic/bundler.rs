//! What the bundler's process has given up.

use std::fs;
use std::path::Path;

use provisiond::js::sandbox::Attempt;
use provisiond::js::{AttemptEnd, HostProgram};
use provisiond::logic::bundle::{self, Bundle, BundleError};

fn program() -> HostProgram {
    HostProgram::new(env!("CARGO_BIN_EXE_provisiond"))
}

fn unconfined() -> HostProgram {
    HostProgram { confined: false, ..program() }
}

#[tokio::test]
async fn a_bundler_can_do_none_of_what_it_must_not() {
    let folder = tempfile::tempdir().unwrap();
    for attempt in Attempt::ALL {
        let end = bundle::attempt(&program(), folder.path(), attempt).await.unwrap();
        assert!(end.was_stopped(), "{attempt:?}: {end:?}");
    }
}

#[tokio::test]
async fn attempts_are_real() {
    let folder = tempfile::tempdir().unwrap();
    for attempt in [
        Attempt::ReadFile,
        Attempt::OpenSocket,
        Attempt::Execute,
        Attempt::Fork,
        Attempt::Signal,
        Attempt::MemoryFile,
        Attempt::ExecutableMemory,
    ] {
        let end = bundle::attempt(&unconfined(), folder.path(), attempt).await.unwrap();
        assert_eq!(end, AttemptEnd::Worked, "{attempt:?}");
    }
}

/// A package that asks for a file, and one outside all packages.
fn world() -> tempfile::TempDir {
    let world = tempfile::tempdir().unwrap();
    let package = world.path().join("folder/node_modules/a");
    fs::create_dir_all(&package).unwrap();
    fs::write(world.path().join("key.json"), r#"{"key":"outside"}"#).unwrap();
    fs::write(package.join("key.json"), r#"{"key":"inside"}"#).unwrap();
    world
}

async fn bundle(program: &HostProgram, world: &Path, path: &str) -> Result<Bundle, BundleError> {
    let folder = world.join("folder");
    fs::write(folder.join("node_modules/a/index.js"), format!("module.exports = require('{path}')")).unwrap();
    let code = "import a from 'a'; export default () => a.key";
    bundle::bundle(program, &folder, code, None).await
}

#[tokio::test]
async fn a_package_can_have_its_own_files_alone() {
    let world = world();
    for program in [program(), unconfined()] {
        let made = bundle(&program, world.path(), "./key.json").await.unwrap();
        assert!(made.code.contains("inside"), "{}", made.code);
        for outside in ["../../../key.json", "../../../../../../../../../../etc/passwd"] {
            let error = bundle(&program, world.path(), outside).await.unwrap_err();
            assert!(matches!(error, BundleError::Rejected(_)), "{outside}: {error:?}");
            assert!(!format!("{error:?}").contains("root:"), "{error:?}");
        }
    }
    let error = bundle(&unconfined(), world.path(), "../../../key.json").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "../key.json (imported by a/index.js) lies outside the packages and cannot be imported"
    );
}

#[tokio::test]
async fn neither_can_the_author() {
    let world = world();
    for (program, path) in [(program(), "../key.json"), (unconfined(), "../key.json")] {
        let code = format!("import a from '{path}'; export default () => a.key");
        let error = bundle::bundle(&program, &world.path().join("folder"), &code, None).await.unwrap_err();
        assert!(matches!(error, BundleError::Rejected(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_folder_is_known_by_every_name_that_it_has() {
    let world = world();
    let link = world.path().join("link");
    std::os::unix::fs::symlink(world.path(), &link).unwrap();
    for program in [program(), unconfined()] {
        let made = bundle(&program, &link, "./key.json").await.unwrap();
        assert!(made.code.contains("inside"), "{}", made.code);
        assert_eq!(made.modules.last().map(String::as_str), Some("logic.js"));
        assert!(made.modules.iter().all(|module| !module.starts_with('/')), "{:?}", made.modules);
    }
}

/// Constants that double forty times: more than any memory has.
#[tokio::test]
async fn code_that_becomes_too_large_is_refused() {
    let world = world();
    let members: String = (1..40).map(|n| format!(", B{n} = `${{B{}}}${{B{}}}`", n - 1, n - 1)).collect();
    let code = format!("enum E {{ B0 = 'x'{members} }}\nexport default () => E.B39;");
    let refused = bundle::bundle(&program(), &world.path().join("folder"), &code, None).await.unwrap_err();
    assert!(matches!(&refused, BundleError::Limit(why) if !why.contains("60 s")), "{refused}");
}
