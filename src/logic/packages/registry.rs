//! What is asked of an npm registry.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use deno_npm::registry::NpmPackageInfo;
use deno_npm::resolution::{
    DefaultTarballUrlProvider, NewestDependencyDateOptions, NpmRegistryDefaultTarballUrlProvider,
};
use deno_semver::package::PackageNv;
use reqwest::header::AUTHORIZATION;
use reqwest::{Response, StatusCode, Url};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::answer::{at_most, failure, fine, nonsense, read, there};
use super::remembered::Remembered;
use super::store::{MAX_WORDS, shortened};
use super::tarball::{Room, TarballError};
use super::{PackageError, names};
use crate::config::{PackagesConfig, Registry};
use crate::domain::encoding;
use crate::security::Secret;

/// Largest description of a package: all its releases.
const MAX_INFO: usize = 64 << 20;
/// Largest answer to a search.
const MAX_SEARCH: usize = 4 << 20;
/// Most releases that an editor is offered.
const MAX_RELEASES: usize = 1_000;
/// How many of them are on their way at a time.
const INFOS_AT_ONCE: usize = 8;
/// Times are for one answer, its body included.
const TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A package that a search found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// The latest release.
    pub version: String,
    /// What it says of itself.
    pub description: Option<String>,
}

/// A release of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Its number.
    pub version: String,
    /// When it was published, if the registry says.
    pub published_at: Option<DateTime<Utc>>,
    /// Names for it, such as `latest`.
    pub tags: Vec<String>,
    /// Why it should not be used any more.
    pub deprecated: Option<String>,
    /// Too young to be chosen (`packages.cooldown`).
    pub cooling_down: bool,
}

/// The registry's client.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Secret>,
    remembered: Remembered,
    turns: Semaphore,
}

impl Client {
    /// `None` when no registry is to be used.
    pub fn new(config: &PackagesConfig) -> Result<Option<Self>, PackageError> {
        let mut base = match &config.registry {
            Registry::None => return Ok(None),
            Registry::At(url) => url.clone(),
            Registry::Public => public()?,
        };
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        let mut http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("provisiond/", env!("CARGO_PKG_VERSION")))
            .no_proxy();
        if let Some(proxy) = &config.proxy {
            http = http.proxy(reqwest::Proxy::all(proxy.clone()).map_err(nonsense)?);
        }
        if let Some(path) = &config.ca {
            let pem = std::fs::read(path)?;
            let certificates = reqwest::Certificate::from_pem_bundle(encoding::unmarked(&pem))
                .map_err(|error| std::io::Error::other(format!("`packages.ca`: {error}")))?;
            http = http.tls_certs_merge(certificates);
        }
        let http = http.build().map_err(nonsense)?;
        let (remembered, turns) = (Remembered::default(), Semaphore::new(INFOS_AT_ONCE));
        Ok(Some(Self { http, base, token: config.token.clone(), remembered, turns }))
    }

    /// All releases of a package; `None` when there is no such package. The name
    /// may come from anywhere: one that is no name is not asked for, since it
    /// could lead elsewhere.
    pub async fn info(&self, name: &str) -> Result<Option<Arc<NpmPackageInfo>>, PackageError> {
        if let Some(rule) = names::name_error(name) {
            return Err(PackageError::refused_all(format!("leads to a package `{name}`, which {rule}")));
        }
        if let Some(info) = self.remembered.recall(name) {
            return Ok(Some(info));
        }
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        let url = self.base.join(&name.replace('/', "%2f")).map_err(nonsense)?;
        let response = self.get(url, "application/json").await?;
        if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Ok(None);
        }
        let body = read(
            fine(response)?,
            at_most(MAX_INFO, || {
                let rule = format!("is described in more than {} MiB by the registry", MAX_INFO >> 20);
                PackageError::refused(name, rule)
            }),
        )
        .await?;
        let size = body.len();
        let info = tokio::task::spawn_blocking(move || NpmPackageInfo::from_packument_bytes(body)).await;
        let info = info
            .map_err(std::io::Error::other)?
            .map_err(|error| PackageError::Registry(format!("says something odd of `{name}`: {error}")))?;
        let info = Arc::new(info);
        self.remembered.keep(name, size, &info);
        Ok(Some(info))
    }

    /// The archive of a release, if there is room for it.
    pub async fn tarball(&self, address: &str, room: &Room) -> Result<Vec<u8>, TarballError> {
        let url = self.address(address)?;
        let response = there(self.get(url, "*/*").await?)?;
        read(response, |bytes| room.take(bytes)).await
    }

    /// npm's search (`/-/v1/search`). A registry without one is asked for the
    /// package of that very name.
    pub async fn search(&self, words: &str, most: usize) -> Result<Vec<Found>, PackageError> {
        let mut url = self.base.join("-/v1/search").map_err(nonsense)?;
        url.query_pairs_mut().append_pair("text", words).append_pair("size", &most.to_string());
        let response = self.get(url, "application/json").await?;
        if !response.status().is_success() {
            return self.exactly(words).await;
        }
        let too_large = || PackageError::Registry(format!("sends more than {} MiB", MAX_SEARCH >> 20));
        let body = read(response, at_most(MAX_SEARCH, too_large)).await?;
        let answer: SearchAnswer = serde_json::from_slice(&body).map_err(nonsense)?;
        Ok(answer.objects.into_iter().map(|object| object.package).take(most).collect())
    }

    async fn exactly(&self, name: &str) -> Result<Vec<Found>, PackageError> {
        if names::name_error(name).is_some() {
            return Ok(Vec::new());
        }
        let info = self.info(name).await?;
        let latest = info.as_ref().and_then(|info| info.dist_tags.get("latest"));
        let found = |version: &deno_semver::Version| Found {
            name: name.to_owned(),
            version: version.to_string(),
            description: None,
        };
        Ok(latest.map(found).into_iter().collect())
    }

    async fn get(&self, url: Url, accept: &str) -> Result<Response, PackageError> {
        let mut request = self.http.get(url.clone()).header("accept", accept);
        // Whatever else an answer may name is not told the token.
        if let Some(token) = self.token.as_ref().filter(|_| url.origin() == self.base.origin()) {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        let host = self.base.host_str().unwrap_or_default();
        request.send().await.map_err(|error| PackageError::Registry(format!("`{host}` {}", failure(&error))))
    }

    /// A mirror may name its archives as the public registry does.
    fn address(&self, address: &str) -> Result<Url, PackageError> {
        let url = Url::parse(address).map_err(nonsense)?;
        let public = public()?;
        if url.origin() == public.origin() && self.base.origin() != public.origin() {
            return self.base.join(url.path().trim_start_matches('/')).map_err(nonsense);
        }
        Ok(url)
    }
}

/// Where deno_npm takes packages from when nobody says.
fn public() -> Result<Url, PackageError> {
    let any = PackageNv { name: "a".into(), version: deno_semver::Version::default() };
    let url = NpmRegistryDefaultTarballUrlProvider.default_tarball_url(&any);
    Url::parse(&url).and_then(|url| url.join("/")).map_err(nonsense)
}

/// The releases that an editor offers.
pub(super) fn releases(info: &NpmPackageInfo, newest: &NewestDependencyDateOptions) -> Vec<Release> {
    let newest = newest.get_for_package(&info.name);
    let mut versions: Vec<_> = info.versions.iter().collect();
    versions.sort_by(|(one, _), (other, _)| other.cmp(one));
    versions.truncate(MAX_RELEASES);
    let release =
        |(version, release): (&deno_semver::Version, &deno_npm::registry::NpmPackageVersionInfo)| {
            let published_at = info.time.get(version).copied();
            let mut tags: Vec<_> = info
                .dist_tags
                .iter()
                .filter(|(_, tagged)| *tagged == version)
                .map(|(tag, _)| tag.clone())
                .collect();
            tags.sort();
            Release {
                version: version.to_string(),
                cooling_down: newest.zip(published_at).is_some_and(|(newest, at)| !newest.matches(at)),
                published_at,
                tags,
                deprecated: release.deprecated.as_deref().map(|why| shortened(why, MAX_WORDS)),
            }
        };
    versions.into_iter().map(release).collect()
}

#[derive(Deserialize)]
struct SearchAnswer {
    objects: Vec<SearchObject>,
}

#[derive(Deserialize)]
struct SearchObject {
    package: Found,
}
