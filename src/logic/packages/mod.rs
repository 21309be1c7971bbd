//! Packages that logic uses: chosen from an npm registry, verified, unpacked.
//!
//! | file | holds |
//! |---|---|
//! | `names.rs` | which names and ranges an author may write |
//! | `registry.rs` | what is asked of the registry |
//! | `answer.rs` | reading what it answers |
//! | `remembered.rs` | what it said lately |
//! | `look_up.rs` | the same, for one choice |
//! | `optional.rs` | optional dependencies that cannot be had |
//! | `resolve.rs` | which versions, by [deno_npm](https://docs.rs/deno_npm) (MIT) |
//! | `tarball.rs` | verifying |
//! | `unpack.rs` | unpacking, in bounded room |
//! | `install.rs` | downloading what was chosen |
//! | `store.rs` | the folder that the bundler reads |
//!
//! Nothing of a package is ever run here: no install scripts, no native addons.
//! Nothing is asked of the registry but on publication (and by the editor).

mod answer;
mod install;
mod look_up;
mod names;
mod optional;
mod registry;
mod remembered;
mod resolve;
mod store;
mod tarball;
mod unpack;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::scratch::Scratch;
use crate::config::PackagesConfig;
use crate::domain::subject::FieldError;
use registry::Client;
pub use registry::{Found, Release};
#[cfg(fuzzing)]
#[doc(hidden)]
pub use unpack::survive as survive_archive;

/// Installations at a time: each may hold archives of `packages.maxSize`.
const AT_ONCE: usize = 2;
/// Longest time for the downloads of one.
const LONGEST: Duration = Duration::from_secs(300);

/// Name to version range, as an author writes them.
pub type Dependencies = BTreeMap<String, String>;

/// Which exact packages were chosen for [`Dependencies`]; opaque, kept so that
/// the same are chosen again.
pub type Lock = Value;

/// A package in an artefact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    /// Such as `lodash` or `@scope/name`.
    pub name: String,
    /// The exact version.
    pub version: String,
    /// What the package says of itself (an SPDX expression, usually).
    pub licence: Option<String>,
    /// Of what was downloaded: Subresource Integrity, sha512.
    pub integrity: String,
    /// Unpacked, in bytes.
    pub size: u64,
    /// Why its authors would not have it used any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<String>,
    /// It wants to run code when it is installed, which it was not let.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub install_script: bool,
}

/// What was unpacked.
#[derive(Debug)]
pub(super) struct Installed {
    pub packages: Vec<Package>,
    pub lock: Lock,
    /// `name@version` of what may be too young, for all that the registry says.
    pub undated: Vec<String>,
}

/// Why packages cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The author has to choose differently.
    #[error("{}", .0.iter().map(|error| format!("{} {}", error.field, error.rule)).collect::<Vec<_>>().join("; "))]
    Refused(Vec<FieldError>),
    /// The registry cannot be reached, or answers nonsense.
    #[error("the package registry {0}")]
    Registry(String),
    /// This instance uses no packages.
    #[error("this instance uses no packages: `packages.registry` is \"none\"")]
    Off,
    /// Something of this machine.
    #[error("packages cannot be unpacked: {0}")]
    Io(#[from] std::io::Error),
}

impl PackageError {
    fn refused(name: &str, rule: impl Into<String>) -> Self {
        Self::Refused(vec![FieldError::new(format!("packageDependencies.{name}"), rule)])
    }

    /// For what is about all of them together; the words follow
    /// `packageDependencies`.
    fn refused_all(rule: impl Into<String>) -> Self {
        Self::Refused(vec![FieldError::new("packageDependencies", rule)])
    }
}

/// Where packages come from.
#[derive(Debug)]
pub struct Packages {
    client: Option<Arc<Client>>,
    config: PackagesConfig,
    turns: Semaphore,
}

impl Packages {
    /// By what is configured.
    ///
    /// # Errors
    ///
    /// The certificates in `packages.ca` cannot be read.
    pub fn new(config: &PackagesConfig) -> Result<Self, PackageError> {
        let client = Client::new(config)?.map(Arc::new);
        Ok(Self { client, config: config.clone(), turns: Semaphore::new(AT_ONCE) })
    }

    /// Checks names and ranges without asking anybody.
    pub fn check(&self, wanted: &Dependencies) -> Result<(), PackageError> {
        let errors = names::errors(wanted, self.config.max_count);
        if errors.is_empty() { Ok(()) } else { Err(PackageError::Refused(errors)) }
    }

    /// Chooses, downloads and unpacks packages into `scratch`, the same as in
    /// `lock` where it answers the same wishes.
    pub(super) async fn install(
        &self,
        wanted: &Dependencies,
        lock: Option<&Lock>,
        scratch: &Scratch,
    ) -> Result<Installed, PackageError> {
        self.check(wanted)?;
        if wanted.is_empty() {
            return Ok(Installed { packages: Vec::new(), lock: Value::Null, undated: Vec::new() });
        }
        let client = self.client()?;
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        let chosen = resolve::resolve(client.clone(), &self.config, wanted, lock).await?;
        let packages = install::install(client, &self.config, &chosen.snapshot, scratch);
        let packages = tokio::time::timeout(LONGEST, packages).await.map_err(|_| {
            PackageError::Registry(format!("took longer than {} s to send packages", LONGEST.as_secs()))
        })??;
        let undated = resolve::unproven(&chosen.undated, &self.config);
        Ok(Installed { packages, lock: resolve::lock_of(&chosen)?, undated })
    }

    /// Packages that match words, best first.
    pub async fn search(&self, words: &str, most: usize) -> Result<Vec<Found>, PackageError> {
        self.client()?.search(words, most).await
    }

    /// The releases of a package, newest first; `None` when there is no such
    /// package.
    pub async fn releases(&self, name: &str) -> Result<Option<Vec<Release>>, PackageError> {
        if let Some(rule) = names::name_error(name) {
            return Err(PackageError::Refused(vec![FieldError::new("name", rule)]));
        }
        let cooldown = resolve::newest(&self.config);
        let Some(info) = self.client()?.info(name).await? else { return Ok(None) };
        // What is said of thousands of releases is read only now.
        let releases = tokio::task::spawn_blocking(move || registry::releases(&info, &cooldown));
        Ok(Some(releases.await.map_err(std::io::Error::other)?))
    }

    fn client(&self) -> Result<&Arc<Client>, PackageError> {
        self.client.as_ref().ok_or(PackageError::Off)
    }
}
