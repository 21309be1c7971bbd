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

use deno_npm::NpmResolutionPackage;
use deno_npm::resolution::NpmResolutionSnapshot;
use serde::Deserialize;
use serde_json::Value;

use super::install::refuse;
use super::tarball::{self, TarballError};
use super::unpack::{Allowance, unpack};
use super::{Package, PackageError};
use crate::logic::scratch::Stop;

/// Largest package.json that is read.
const MAX_MANIFEST: u64 = 1 << 20;

/// Longest licence that is kept, in characters: an SPDX expression is short.
const MAX_LICENCE: usize = 200;
/// Most that is kept of what the authors say, in characters.
pub(super) const MAX_WORDS: usize = 1_000;

/// The head of a text that anybody may have written.
pub(super) fn shortened(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// The name of the folder in `.store`.
pub(super) fn folder_of(package: &NpmResolutionPackage) -> String {
    let nv = &package.id.nv;
    let copy = if package.copy_index == 0 { String::new() } else { format!("_{}", package.copy_index) };
    format!("{}@{}{copy}", nv.name.replace("/", "+"), nv.version)
}

/// The folder. Names were checked before: they are paths here.
pub(super) struct Store {
    /// `node_modules`
    folder: PathBuf,
}

impl Store {
    /// Below the folder of a build.
    pub fn new(build: &Path) -> Self {
        Self { folder: build.join("node_modules") }
    }

    /// Unpacks a package to its place, as far as it is allowed. One that fails has
    /// no place, so that nothing leads to it.
    pub fn unpack(
        &self,
        package: &NpmResolutionPackage,
        archive: &[u8],
        allowance: &mut Allowance,
        stop: &Stop,
    ) -> Result<Package, TarballError> {
        let place = self.place(package);
        fs::create_dir_all(&place)?;
        let size = unpack(archive, &place, allowance, stop)
            .inspect_err(|_| fs::remove_dir_all(&place).unwrap_or_default())?;
        Ok(describe(package, archive, &place, size)?)
    }

    /// Where a package lies.
    fn place(&self, package: &NpmResolutionPackage) -> PathBuf {
        let name = package.id.nv.name.as_str();
        self.folder.join(".store").join(folder_of(package)).join("node_modules").join(name)
    }

    /// Makes the links, once all are in their places.
    pub fn link(
        &self,
        chosen: &[NpmResolutionPackage],
        snapshot: &NpmResolutionSnapshot,
        allowance: &mut Allowance,
    ) -> Result<(), PackageError> {
        for package in chosen {
            let place = self.place(package);
            // Up from the package, twice for one with a scope.
            let depth = package.id.nv.name.split('/').count();
            let beside = place.ancestors().nth(depth).unwrap_or(&place);
            for (name, id) in &package.dependencies {
                let Some(needed) = snapshot.package_from_id(id) else { continue };
                if !allowance.entry(name.len()) {
                    return Err(refuse(
                        package,
                        "depends on more than there is room for in `packages.maxSize`",
                    ));
                }
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
        licence: licence(&manifest).map(|licence| shortened(&licence, MAX_LICENCE)),
        integrity: tarball::sha512(archive),
        size,
        deprecated: extra.and_then(|extra| extra.deprecated.as_deref()).map(|why| shortened(why, MAX_WORDS)),
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
