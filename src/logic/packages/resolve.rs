//! Which versions: those that answer every wish, none of them too young.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deno_npm::registry::NpmRegistryPackageInfoLoadError;
use deno_npm::resolution::{
    AddPkgReqsOptions, NewestDependencyDate, NewestDependencyDateOptions, NpmResolutionError,
    NpmResolutionSnapshot, NpmVersionResolver, SerializedNpmResolutionSnapshot,
};
use deno_semver::VersionReq;
use deno_semver::package::{PackageName, PackageReq};

use super::look_up::LookUp;
use super::optional::Missing;
use super::registry::Client;
use super::{Dependencies, Lock, PackageError};
use crate::config::PackagesConfig;

/// Longest time for choosing, the registry's included.
const LONGEST: Duration = Duration::from_secs(180);
/// Most optional dependencies of one choice that are looked for in vain: each is
/// found out by choosing again.
const MAX_LEFT_OUT: usize = 200;
/// The member of a lock that lists what has no date; the others are the
/// resolver's.
const UNDATED: &str = "undated";

/// What was chosen.
#[derive(Debug)]
pub(super) struct Chosen {
    pub snapshot: NpmResolutionSnapshot,
    /// `name@version` of what the registry does not say the date of.
    pub undated: Vec<String>,
}

/// Chooses. What `lock` has chosen for the same wishes stays.
pub(super) async fn resolve(
    client: Arc<Client>,
    config: &PackagesConfig,
    wanted: &Dependencies,
    lock: Option<&Lock>,
) -> Result<Chosen, PackageError> {
    let wishes = wishes(wanted)?;
    let before = lock.and_then(|lock| locked(lock, &wishes));
    let undated = lock.filter(|_| before.is_some()).map(undated_of);
    let resolver = NpmVersionResolver {
        newest_dependency_date_options: newest(config),
        ..NpmVersionResolver::default()
    };
    let registry = LookUp::new(client, config.max_count);
    // The resolver's futures stay on one thread.
    let handle = tokio::runtime::Handle::current();
    let (waits, gone) = tokio::sync::oneshot::channel::<()>();
    let resolved = tokio::task::spawn_blocking(move || {
        let registry = registry();
        let chosen = choose(&registry, &wishes, &resolver, before.unwrap_or_default());
        let chosen = handle.block_on(async {
            tokio::select! {
                chosen = tokio::time::timeout(LONGEST, chosen) => chosen,
                // Nobody waits for it any more.
                _ = gone => Ok(Err(std::io::Error::from(std::io::ErrorKind::Interrupted).into())),
            }
        });
        let snapshot = chosen.unwrap_or_else(|_| {
            let seconds = LONGEST.as_secs();
            Err(PackageError::Registry(format!("took longer than {seconds} s to say what is in it")))
        })?;
        let undated = undated.unwrap_or_else(|| registry.undated(&snapshot));
        Ok(Chosen { snapshot, undated })
    });
    let resolved = resolved.await;
    drop(waits);
    resolved.map_err(std::io::Error::other)?
}

/// Chooses again, without what cannot be had, as long as it is optional.
async fn choose(
    registry: &LookUp,
    wishes: &[PackageReq],
    resolver: &NpmVersionResolver,
    before: SerializedNpmResolutionSnapshot,
) -> Result<NpmResolutionSnapshot, PackageError> {
    let mut left_out = 0;
    loop {
        let (wish, error) = match choose_once(registry, wishes, resolver, before.clone()).await? {
            Ok(snapshot) => return Ok(snapshot),
            Err(failed) => failed,
        };
        let missing = Missing::of(&error);
        let without = missing.clone().filter(|_| left_out < MAX_LEFT_OUT);
        if !without.is_some_and(|missing| registry.leave_out(missing)) {
            let missing = missing.filter(|_| wish.is_empty());
            let needing = missing.and_then(|missing| registry.needing(&missing).pop_first());
            return Err(failure(&wish, &error, needing));
        }
        left_out += 1;
    }
}

/// A wish, empty for what packages themselves depend on, and why not.
type Failed = (String, NpmResolutionError);

async fn choose_once(
    registry: &LookUp,
    wishes: &[PackageReq],
    resolver: &NpmVersionResolver,
    before: SerializedNpmResolutionSnapshot,
) -> Result<Result<NpmResolutionSnapshot, Failed>, PackageError> {
    let options = AddPkgReqsOptions { package_reqs: wishes, version_resolver: resolver, should_dedup: true };
    let before = NpmResolutionSnapshot::new(before.into_valid_unsafe());
    let added = before.add_pkg_reqs(registry, options, None).await;
    // Why the registry said nothing is known better here than to the resolver.
    if let Some(error) = registry.failed() {
        return Err(error);
    }
    let first = wishes
        .iter()
        .zip(&added.results)
        .find_map(|(wish, result)| result.as_ref().err().map(|error| (wish.name.to_string(), error.clone())));
    Ok(match first {
        Some(failed) => Err(failed),
        None => added.dep_graph_result.map_err(|error| (String::new(), error)),
    })
}

/// What is kept of a choice.
pub(super) fn lock_of(chosen: &Chosen) -> Result<Lock, PackageError> {
    let mut kept = chosen.snapshot.as_valid_serialized().into_serialized();
    // The resolver lists what was left out when it is given the lock and not when
    // it chooses.
    for package in &mut kept.packages {
        let dependencies = &package.dependencies;
        package.optional_dependencies.retain(|name| dependencies.contains_key(name));
    }
    let mut lock = serde_json::to_value(kept).map_err(std::io::Error::other)?;
    if !chosen.undated.is_empty() {
        lock[UNDATED] = chosen.undated.clone().into();
    }
    Ok(in_order(lock))
}

fn undated_of(lock: &Lock) -> Vec<String> {
    let listed = lock[UNDATED].as_array().into_iter().flatten();
    listed.filter_map(|package| Some(package.as_str()?.to_owned())).collect()
}

/// The same choice is the same text: what the resolver keeps in hash tables
/// comes out in another order each time, and no list of it has one that counts.
fn in_order(value: Lock) -> Lock {
    match value {
        Lock::Object(members) => {
            let sorted: BTreeMap<_, _> = members.into_iter().map(|(name, it)| (name, in_order(it))).collect();
            Lock::Object(sorted.into_iter().collect())
        }
        Lock::Array(items) => {
            let mut items: Vec<_> = items.into_iter().map(in_order).collect();
            items.sort_by_cached_key(ToString::to_string);
            Lock::Array(items)
        }
        other => other,
    }
}

/// `None` when it was made for other wishes.
fn locked(lock: &Lock, wishes: &[PackageReq]) -> Option<SerializedNpmResolutionSnapshot> {
    let kept: SerializedNpmResolutionSnapshot = serde_json::from_value(lock.clone()).ok()?;
    let same = kept.root_packages.len() == wishes.len()
        && wishes.iter().all(|wish| kept.root_packages.contains_key(wish));
    same.then(|| kept.clone().into_valid().ok()).flatten().map(|valid| valid.into_serialized())
}

fn wishes(wanted: &Dependencies) -> Result<Vec<PackageReq>, PackageError> {
    let wish = |(name, range): (&String, &String)| {
        let version_req = VersionReq::parse_from_npm(range)
            .map_err(|error| PackageError::refused(name, error.to_string()))?;
        Ok(PackageReq { name: PackageName::from_str(name), version_req })
    };
    wanted.iter().map(wish).collect()
}

/// Of what has no date, what would need one.
pub(super) fn unproven(undated: &[String], config: &PackagesConfig) -> Vec<String> {
    let newest = newest(config);
    let counts = |package: &&String| {
        let name = package.rsplit_once('@').map_or(package.as_str(), |(name, _)| name);
        newest.get_for_package(&PackageName::from_str(name)).is_some()
    };
    undated.iter().filter(counts).cloned().collect()
}

/// From when on releases are too young.
pub(super) fn newest(config: &PackagesConfig) -> NewestDependencyDateOptions {
    let (prefixes, names): (Vec<_>, Vec<_>) =
        config.cooldown_exempt.iter().partition(|name| name.ends_with("/*"));
    let date = chrono::Duration::from_std(config.cooldown).ok().filter(|cooldown| !cooldown.is_zero());
    NewestDependencyDateOptions {
        date: date.map(|cooldown| NewestDependencyDate(chrono::Utc::now() - cooldown)),
        exclude: names.iter().map(|name| PackageName::from_str(name)).collect(),
        exclude_prefixes: prefixes
            .iter()
            .map(|name| PackageName::from_str(name.trim_end_matches('*')))
            .collect(),
    }
}

/// `wish` is empty when it is about what packages themselves depend on, such as
/// the package `needing` it.
fn failure(wish: &str, error: &NpmResolutionError, needing: Option<String>) -> PackageError {
    use deno_npm::resolution::NpmPackageVersionResolutionError as Version;
    let mut rule = match error {
        NpmResolutionError::Registry(NpmRegistryPackageInfoLoadError::PackageNotExists { package_name }) => {
            format!("there is no package `{package_name}` in the registry")
        }
        NpmResolutionError::Resolution(Version::VersionReqNotMatched {
            package_name,
            version_req,
            newest_dependency_date: Some(date),
        }) => format!(
            "no release of `{package_name}` matches `{version_req}` but ones published after {}, \
             which are too young (`packages.cooldown`)",
            date.0.format("%Y-%m-%d")
        ),
        NpmResolutionError::Resolution(Version::VersionReqNotMatched {
            package_name, version_req, ..
        }) => {
            format!("no release of `{package_name}` matches `{version_req}`")
        }
        other => other.to_string(),
    };
    rule.push_str(&needing.map(|name| format!(" (`{name}` depends on it)")).unwrap_or_default());
    let field =
        if wish.is_empty() { "packageDependencies".into() } else { format!("packageDependencies.{wish}") };
    PackageError::Refused(vec![crate::domain::subject::FieldError::new(field, rule)])
}
