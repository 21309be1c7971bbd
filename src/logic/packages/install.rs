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
use super::tarball::{self, TarballError};
use super::{Package, PackageError};
use crate::config::PackagesConfig;

/// Downloads at a time.
const AT_ONCE: usize = 8;
/// Largest package.json that is read.
const MAX_MANIFEST: u64 = 1 << 20;

/// Downloads and unpacks everything that was chosen.
pub(super) async fn install(
    client: &Arc<Client>,
    config: &PackagesConfig,
    snapshot: &NpmResolutionSnapshot,
    folder: &Path,
) -> Result<Vec<Package>, PackageError> {
    // No optional package of any platform is for this one.
    let system = NpmSystemInfo { os: "none".into(), cpu: "none".into() };
    let mut chosen = snapshot.all_system_packages(&system);
    chosen.sort_by(|one, other| one.id.cmp(&other.id));
    if chosen.len() > config.max_count {
        let rule = format!(
            "comes to {} packages with all that these depend on, and `packages.maxCount` is {}",
            chosen.len(),
            config.max_count
        );
        return Err(PackageError::Refused(vec![crate::domain::subject::FieldError::new(
            "packageDependencies",
            rule,
        )]));
    }
    let archives: Vec<(NpmResolutionPackage, Vec<u8>)> = futures_util::stream::iter(chosen)
        .map(|package| download(client.clone(), package, config.max_size))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let store = Store { folder: folder.join("node_modules") };
    let (most, snapshot) = (config.max_size as u64, snapshot.clone());
    tokio::task::spawn_blocking(move || store.fill(&archives, &snapshot, most))
        .await
        .map_err(io::Error::other)?
}

async fn download(
    client: Arc<Client>,
    package: NpmResolutionPackage,
    most: usize,
) -> Result<(NpmResolutionPackage, Vec<u8>), PackageError> {
    let dist = package.dist.as_ref().ok_or_else(|| refuse(&package, "has no archive in the registry"))?;
    let archive = client.tarball(&dist.tarball, most).await?;
    let hashes = Hashes::of(dist);
    tarball::verify(&archive, hashes.integrity.as_deref(), hashes.shasum.as_deref())
        .map_err(|error| refuse(&package, error.to_string()))?;
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

struct Store {
    /// `node_modules`
    folder: PathBuf,
}

impl Store {
    fn fill(
        &self,
        archives: &[(NpmResolutionPackage, Vec<u8>)],
        snapshot: &NpmResolutionSnapshot,
        most: u64,
    ) -> Result<Vec<Package>, PackageError> {
        let mut left = most;
        let mut packages = Vec::with_capacity(archives.len());
        for (package, archive) in archives {
            let place = self.place(package);
            fs::create_dir_all(&place)?;
            let size = tarball::unpack(archive, &place, left).map_err(|error| match error {
                TarballError::Io(error) if error.kind() == io::ErrorKind::StorageFull => error.into(),
                error => refuse(package, error),
            })?;
            left -= size;
            packages.push(describe(package, archive, &place, size)?);
        }
        self.link(archives, snapshot)?;
        packages.dedup_by(|one, other| one.name == other.name && one.version == other.version);
        Ok(packages)
    }

    /// Where a package lies.
    fn place(&self, package: &NpmResolutionPackage) -> PathBuf {
        let nv = &package.id.nv;
        let copy = if package.copy_index == 0 { String::new() } else { format!("_{}", package.copy_index) };
        let folder = format!("{}@{}{copy}", nv.name.replace("/", "+"), nv.version);
        self.folder.join(".store").join(folder).join("node_modules").join(nv.name.as_str())
    }

    fn link(
        &self,
        archives: &[(NpmResolutionPackage, Vec<u8>)],
        snapshot: &NpmResolutionSnapshot,
    ) -> io::Result<()> {
        for (package, _) in archives {
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
