//! From a choice to a folder: what may be unpacked, its download, and its place.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use deno_npm::registry::NpmPackageVersionDistInfo;
use deno_npm::resolution::NpmResolutionSnapshot;
use deno_npm::{NpmPackageId, NpmResolutionPackage, NpmSystemInfo};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;

use super::registry::Client;
use super::store::{Store, folder_of};
use super::tarball::{self, Room, TarballError};
use super::unpack::Allowance;
use super::{Package, PackageError, names};
use crate::config::PackagesConfig;
use crate::logic::scratch::{Scratch, Stop};

/// Downloads at a time.
const AT_ONCE: usize = 8;
/// Most dependencies of all packages together: each becomes a link, and is kept in
/// the lock.
const MAX_LINKS: usize = 50_000;
/// Longest name of a folder, in bytes, that every file system takes.
const MAX_FOLDER: usize = 255;

/// Downloads and unpacks everything that was chosen.
pub(super) async fn install(
    client: &Arc<Client>,
    config: &PackagesConfig,
    snapshot: &NpmResolutionSnapshot,
    scratch: &Scratch,
) -> Result<Vec<Package>, PackageError> {
    let stop = Stop::default();
    let _waits = stop.when_dropped();
    let mut chosen = chosen(snapshot, config)?;
    let required = reached(snapshot, |package, name, _| !package.optional_dependencies.contains(name));
    let room = Arc::new(Room::new(config.max_size));
    let mut archives = futures_util::stream::iter(chosen.clone())
        .map(|package| download(client.clone(), package, room.clone()))
        .buffered(AT_ONCE);
    let mut work = Work {
        store: Store::new(scratch.path()),
        allowance: Allowance::new(config.max_size as u64),
        stop: stop.clone(),
        _folder: scratch.clone(),
    };
    let mut packages = Vec::with_capacity(chosen.len());
    let mut left_out = HashSet::new();
    // One is gone from memory before the next is unpacked.
    while let Some((package, archive)) = archives.try_next().await? {
        let id = package.id.clone();
        let is_optional = !required.contains(&id);
        let (back, unpacked) = blocking(move || match work.unpack(&package, &archive) {
            Err(TarballError::Native(_)) if is_optional => Ok((work, None)),
            unpacked => unpacked.map(|it| (work, Some(it))).map_err(|error| because(&package, error)),
        })
        .await?;
        work = back;
        match unpacked {
            Some(unpacked) => packages.push((id, unpacked)),
            None => drop(left_out.insert(id)),
        }
    }
    // With it goes what only it depends on.
    let kept = reached(snapshot, |_, _, id| !left_out.contains(id));
    chosen.retain(|package| kept.contains(&package.id));
    packages.retain(|(id, _)| kept.contains(id));
    let snapshot = snapshot.clone();
    blocking(move || work.store.link(&chosen, &snapshot, &mut work.allowance)).await?;
    packages.dedup_by(|(_, one), (_, other)| one.name == other.name && one.version == other.version);
    Ok(packages.into_iter().map(|(_, package)| package).collect())
}

/// What goes along from one package to the next, to where files may be written.
struct Work {
    store: Store,
    allowance: Allowance,
    stop: Stop,
    /// It stays for as long as something is written to it.
    _folder: Scratch,
}

impl Work {
    fn unpack(&mut self, package: &NpmResolutionPackage, archive: &[u8]) -> Result<Package, TarballError> {
        self.store.unpack(package, archive, &mut self.allowance, &self.stop)
    }
}

/// The packages that a way leads to from what the author names, along the
/// dependencies that `follows`: of a package, by this name, to that one.
fn reached(
    snapshot: &NpmResolutionSnapshot,
    follows: impl Fn(&NpmResolutionPackage, &str, &NpmPackageId) -> bool,
) -> HashSet<NpmPackageId> {
    let mut reached: HashSet<NpmPackageId> = snapshot.top_level_packages().cloned().collect();
    let mut ahead: Vec<NpmPackageId> = reached.iter().cloned().collect();
    while let Some(package) = ahead.pop().and_then(|id| snapshot.package_from_id(&id)) {
        for (name, id) in &package.dependencies {
            if follows(package, name, id) && reached.insert(id.clone()) {
                ahead.push(id.clone());
            }
        }
    }
    reached
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PackageError> + Send + 'static,
) -> Result<T, PackageError> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// The packages of a choice, in order, without those for a platform: no optional
/// package of any is for this one.
pub(super) fn needed(snapshot: &NpmResolutionSnapshot) -> Vec<NpmResolutionPackage> {
    let system = NpmSystemInfo { os: "none".into(), cpu: "none".into() };
    let mut needed = snapshot.all_system_packages(&system);
    needed.sort_by(|one, other| one.id.cmp(&other.id));
    needed
}

/// What is to be unpacked. Its names become paths, and they are
/// whatever somebody has published: nothing is done before all are fine.
fn chosen(
    snapshot: &NpmResolutionSnapshot,
    config: &PackagesConfig,
) -> Result<Vec<NpmResolutionPackage>, PackageError> {
    let chosen = needed(snapshot);
    if chosen.len() > config.max_count {
        return Err(PackageError::refused_all(format!(
            "comes to {} packages with all that these depend on, and `packages.maxCount` is {}",
            chosen.len(),
            config.max_count
        )));
    }
    let links: usize = chosen.iter().map(|package| package.dependencies.len()).sum();
    if links > MAX_LINKS {
        let rule = format!("comes to packages that name {links} dependencies, more than {MAX_LINKS}");
        return Err(PackageError::refused_all(rule));
    }
    chosen.iter().try_for_each(check_names)?;
    Ok(chosen)
}

fn check_names(package: &NpmResolutionPackage) -> Result<(), PackageError> {
    if let Some(rule) = names::name_error(&package.id.nv.name) {
        return Err(refuse(package, format!("has a name that {rule}")));
    }
    if folder_of(package).len() > MAX_FOLDER {
        return Err(refuse(package, "has a name and a version that are too long for a folder"));
    }
    let bad = package.dependencies.keys().find_map(|key| Some((key, names::name_error(key)?)));
    match bad {
        Some((key, rule)) => Err(refuse(package, format!("depends on `{key}`, which {rule}"))),
        None => Ok(()),
    }
}

async fn download(
    client: Arc<Client>,
    package: NpmResolutionPackage,
    room: Arc<Room>,
) -> Result<(NpmResolutionPackage, Vec<u8>), PackageError> {
    let dist = package.dist.as_ref().ok_or_else(|| refuse(&package, "has no archive in the registry"))?;
    let hashes = Hashes::of(dist);
    let archive = client.tarball(&dist.tarball, &room).await.map_err(|error| because(&package, error))?;
    tarball::verify(&archive, hashes.integrity.as_deref(), hashes.shasum.as_deref())
        .map_err(|error| because(&package, error))?;
    Ok((package, archive))
}

/// What the registry says of an archive. The resolver keeps it to itself but
/// for what it writes.
#[derive(Default, Deserialize)]
struct Hashes {
    integrity: Option<String>,
    shasum: Option<String>,
}

impl Hashes {
    fn of(dist: &NpmPackageVersionDistInfo) -> Self {
        serde_json::to_value(dist).ok().and_then(|dist| serde_json::from_value(dist).ok()).unwrap_or_default()
    }
}

/// The words follow the package's name.
pub(super) fn refuse(package: &NpmResolutionPackage, why: impl std::fmt::Display) -> PackageError {
    let nv = &package.id.nv;
    PackageError::refused(&nv.name, format!("`{}@{}` {why}", nv.name, nv.version))
}

/// What is not this package's fault stays what it is.
pub(super) fn because(package: &NpmResolutionPackage, error: TarballError) -> PackageError {
    match error {
        TarballError::Other(error) => error,
        TarballError::Io(error) if error.kind() == io::ErrorKind::StorageFull => error.into(),
        error => refuse(package, error),
    }
}
