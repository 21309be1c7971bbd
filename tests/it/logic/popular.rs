//! Packages as they are on the public registry, built, loaded and used as logic does:
//! what `popular.txt` lists. It asks the network, so only when it is told to:
//! `scripts/test popular -- --ignored --nocapture`. A word in `PROVISIOND_POPULAR`
//! picks lines that hold it.

use futures_util::{StreamExt, stream};
use provisiond::config::Registry;
use provisiond::domain::target::Limits;
use provisiond::logic::Source;

use super::{config, workshop};

/// Packages at a time.
const AT_ONCE: usize = 2;

struct Package {
    /// What is imported: a package, or a file of it.
    import: &'static str,
    /// Names and ranges: its own, and those that have to be there beside it.
    needs: Vec<(&'static str, &'static str)>,
    expected: Expected,
}

#[derive(Clone, Copy)]
enum Expected {
    /// This is true of it.
    Works(&'static str),
    /// It fails, and says this.
    Fails(&'static str),
}

fn packages() -> Vec<Package> {
    let chosen = std::env::var("PROVISIOND_POPULAR").unwrap_or_default();
    let lines = include_str!("popular.txt").lines();
    lines.filter(|line| !line.starts_with('#') && line.contains(&chosen)).map(package).collect()
}

fn package(line: &'static str) -> Package {
    let (needs, expected) = match line.split_once(" | ") {
        Some((needs, does)) => (needs, Expected::Works(does)),
        None => line.split_once(" ! ").map(|(needs, words)| (needs, Expected::Fails(words))).unwrap(),
    };
    let mut needs: Vec<_> = needs.split(" + ").map(|need| need.split_once(' ').unwrap()).collect();
    let import = needs[0].0;
    needs[0].0 = name_of(import);
    Package { import, needs, expected }
}

/// `@scope/name/file` and `name/file` without the file.
fn name_of(import: &str) -> &str {
    let parts = if import.starts_with('@') { 2 } else { 1 };
    import.match_indices('/').nth(parts - 1).map_or(import, |(end, _)| &import[..end])
}

/// How it fails, if it does.
async fn failure(package: &Package) -> Option<String> {
    let does = match package.expected {
        Expected::Works(does) => does,
        Expected::Fails(_) => "it",
    };
    let code = format!(
        "import * as all from {:?};
        const it = all.default ?? all;
        export default () => 1;
        export const tests = {{ async works(t) {{ t.ok({does}); }} }};",
        package.import
    );
    let mut config = config(Registry::Public);
    (config.max_count, config.max_size) = (2_000, 1 << 30);
    let workshop = workshop(&config);
    let dependencies = package.needs.iter().map(|(name, range)| ((*name).into(), (*range).into())).collect();
    let source = Source { code, language: None, dependencies };
    let limits = Limits { cpu_ms: 20_000, wall_ms: 60_000, heap_mib: 256 };
    let built = match workshop.build(&source, None).await {
        Ok(built) => built,
        Err(error) => return Some(format!("is not built: {error}")),
    };
    match workshop.try_out(&built, &limits).await {
        Ok(results) if results[0].passed => None,
        Ok(results) => Some(format!("does not do it: {:?}", results[0].message)),
        Err(error) => Some(format!("does not load: {error}")),
    }
}

/// What is not as `popular.txt` says.
async fn fault(package: &Package) -> Option<String> {
    let name = package.import;
    match (failure(package).await, package.expected) {
        (None, Expected::Works(_)) => None,
        (None, Expected::Fails(_)) => Some(format!("{name} works")),
        (Some(failure), Expected::Fails(words)) if failure.contains(words) => None,
        (Some(failure), _) => Some(format!("{name} {failure:.500}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "asks the public registry"]
async fn popular_packages_load_and_work() {
    let packages = packages();
    let faults: Vec<String> = stream::iter(&packages)
        .map(fault)
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    println!("{} of {} packages are as expected", packages.len() - faults.len(), packages.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
