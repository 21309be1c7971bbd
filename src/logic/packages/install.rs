//! The folder that the bundler reads. Each package lies in a folder of its own
//! with links to what it depends on, so that it finds that and nothing else:
//!
//! ```text
//! node_modules/lodash                                → .store/lodash@4.18.1/node_modules/lodash
//! node_modules/.store/ajv@8.20.0/node_modules/ajv/
//! node_modules/.store/ajv@8.20.0/node_modules/fast-uri → ../../fast-uri@3.0.1/node_modules/fast-uri
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deno_npm::registry::NpmPackageVersionDistInfo;
use deno_npm::resolution::NpmResolutionSnapshot;
use deno_npm::{NpmResolutionPackage, NpmSystemInfo};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use serde_json::Value;

use super::registry::Client;
use super::tarball::{self, Room, TarballError};
use super::{Package, PackageError, names};
use crate::config::PackagesConfig;

/// Downloads at a time.
const AT_ONCE: usize = 8;
/// Longest name of a folder, in bytes, that every file system takes.
const MAX_FOLDER: usize = 255;
/// Largest package.json that is read.
const MAX_MANIFEST: u64 = 1 << 20;

/// Downloads and unpacks everything that was chosen.
pub(super) async fn install(
    client: &Arc<Client>,
    config: &PackagesConfig,
    snapshot: &NpmResolutionSnapshot,
    folder: &Path,
) -> Result<Vec<Package>, PackageError> {
    let chosen = chosen(snapshot, config)?;
    let room = Arc::new(Room::new(config.max_size));
    let mut archives = futures_util::stream::iter(chosen.clone())
        .map(|package| download(client.clone(), package, room.clone()))
        .buffered(AT_ONCE);
    let store = Arc::new(Store { folder: folder.join("node_modules") });
    let mut left = config.max_size as u64;
    let mut packages = Vec::with_capacity(chosen.len());
    // One is gone from memory before the next is unpacked.
    while let Some((package, archive)) = archives.try_next().await? {
        let store = store.clone();
        let unpacked = blocking(move || store.unpack(&package, &archive, left)).await?;
        left -= unpacked.size;
        packages.push(unpacked);
    }
    let snapshot = snapshot.clone();
    blocking(move || Ok(store.link(&chosen, &snapshot)?)).await?;
    packages.dedup_by(|one, other| one.name == other.name && one.version == other.version);
    Ok(packages)
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

fn refuse(package: &NpmResolutionPackage, why: impl std::fmt::Display) -> PackageError {
    let nv = &package.id.nv;
    PackageError::refused(&nv.name, format!("`{}@{}` {why}", nv.name, nv.version))
}

/// What is not this package's fault stays what it is.
fn because(package: &NpmResolutionPackage, error: TarballError) -> PackageError {
    match error {
        TarballError::Other(error) => error,
        TarballError::Io(error) if error.kind() == io::ErrorKind::StorageFull => error.into(),
        error => refuse(package, error),
    }
}

/// The name of the folder in `.store`.
fn folder_of(package: &NpmResolutionPackage) -> String {
    let nv = &package.id.nv;
    let copy = if package.copy_index == 0 { String::new() } else { format!("_{}", package.copy_index) };
    format!("{}@{}{copy}", nv.name.replace("/", "+"), nv.version)
}

struct Store {
    /// `node_modules`
    folder: PathBuf,
}

impl Store {
    fn unpack(
        &self,
        package: &NpmResolutionPackage,
        archive: &[u8],
        left: u64,
    ) -> Result<Package, PackageError> {
        let place = self.place(package);
        fs::create_dir_all(&place)?;
        let size = tarball::unpack(archive, &place, left).map_err(|error| because(package, error))?;
        describe(package, archive, &place, size)
    }

    /// Where a package lies.
    fn place(&self, package: &NpmResolutionPackage) -> PathBuf {
        let name = package.id.nv.name.as_str();
        self.folder.join(".store").join(folder_of(package)).join("node_modules").join(name)
    }

    fn link(&self, chosen: &[NpmResolutionPackage], snapshot: &NpmResolutionSnapshot) -> io::Result<()> {
        for package in chosen {
            let place = self.place(package);
            // Up from the package, twice for one with a scope.
            let depth = package.id.nv.name.split('/').count();
            let beside = place.ancestors().nth(depth).unwrap_or(&place);
            for (name, id) in &package.dependencies {
                let Some(needed) = snapshot.package_from_id(id) else { continue };
                make_link(&self.place(needed), &beside.join(name.as_str()))?;
            }
        }
        for id in snapshot.top_level_packages() {
            let Some(package) = snapshot.package_from_id(id) else { continue };
            make_link(&self.place(package), &self.folder.join(package.id.nv.name.as_str()))?;
        }
        Ok(())
    }
}

fn make_link(to: &Path, from: &Path) -> io::Result<()> {
    if !to.exists() || from.exists() {
        return Ok(());
    }
    if let Some(folder) = from.parent() {
        fs::create_dir_all(folder)?;
    }
    symlink(to, from)
}

/// What package.json says.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Manifest {
    license: Value,
    licenses: Value,
}

fn describe(
    package: &NpmResolutionPackage,
    archive: &[u8],
    place: &Path,
    size: u64,
) -> Result<Package, PackageError> {
    let path = place.join("package.json");
    let readable = fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= MAX_MANIFEST);
    let manifest: Manifest = match readable.then(|| fs::read(&path)).transpose()? {
        // Some have a member of another type than everybody's.
        Some(text) => serde_json::from_slice(&text).unwrap_or_default(),
        None => return Err(refuse(package, "has no package.json")),
    };
    let extra = package.extra.as_ref();
    Ok(Package {
        name: package.id.nv.name.to_string(),
        version: package.id.nv.version.to_string(),
        licence: licence(&manifest),
        integrity: tarball::sha512(archive),
        size,
        deprecated: extra.and_then(|extra| extra.deprecated.clone()),
        install_script: package.has_scripts,
    })
}

/// `license` is a text, of old an object with a `type`; of older still there is
/// a list of these in `licenses`.
fn licence(manifest: &Manifest) -> Option<String> {
    let one = |value: &Value| value.as_str().or_else(|| value.get("type")?.as_str()).map(str::to_owned);
    let several = || {
        let list: Vec<_> = manifest.licenses.as_array()?.iter().filter_map(one).collect();
        (!list.is_empty()).then(|| list.join(" OR "))
    };
    one(&manifest.license).or_else(several)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_of_all_ages_are_read() {
        let read = |text: &str| licence(&serde_json::from_str(text).unwrap());
        assert_eq!(read(r#"{"license": "MIT"}"#).as_deref(), Some("MIT"));
        assert_eq!(read(r#"{"license": {"type": "ISC", "url": "x"}}"#).as_deref(), Some("ISC"));
        assert_eq!(
            read(r#"{"licenses": [{"type": "MIT"}, {"type": "GPL"}]}"#).as_deref(),
            Some("MIT OR GPL")
        );
        assert_eq!(read("{}"), None);
    }
}
