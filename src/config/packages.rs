//! Where packages for logic come from.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::error::ConfigError;
use super::rules::{self, Rule};
use super::settings::Settings;
use crate::security::Secret;

pub(super) const KEYS: &[&str] = &[
    "packages.registry",
    "packages.token",
    "packages.proxy",
    "packages.ca",
    "packages.cooldown",
    "packages.cooldownExempt",
    "packages.maxCount",
    "packages.maxSize",
];

/// `[packages]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackagesConfig {
    /// `registry`: the npm registry or a mirror of it; without one, the public
    /// npm registry. `"none"` means that logic cannot use packages.
    pub registry: Registry,
    /// `token`: sent to the registry as a bearer token.
    pub token: Option<Secret>,
    /// `proxy`: the HTTP proxy on the way to the registry. The environment's
    /// proxy variables are not read.
    pub proxy: Option<Url>,
    /// `ca`: a PEM file with certificates that the registry's is signed with,
    /// trusted beside the usual ones.
    pub ca: Option<PathBuf>,
    /// `cooldown`: releases younger than this are passed over, by default `7d`.
    /// Most poisoned releases are found and withdrawn within days. One that the
    /// registry does not say the date of is used, with a warning.
    pub cooldown: Duration,
    /// `cooldownExempt`: names, or scopes as `@scope/*`, separated by commas,
    /// that are used however young.
    pub cooldown_exempt: Vec<String>,
    /// `maxCount`: packages of one piece of logic, by default 200.
    pub max_count: usize,
    /// `maxSize`: their unpacked size together, by default `64MiB`.
    pub max_size: usize,
}

/// Which registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registry {
    /// The public one.
    Public,
    /// This one.
    At(Url),
    /// None.
    None,
}

impl PackagesConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let registry = Rule::new("the address of a registry, or \"none\"", |text| match text {
            "none" => Some(Registry::None),
            text => http_url(text).map(Registry::At),
        });
        let proxy =
            Rule::new("the address of an HTTP proxy, such as \"http://proxy.example:3128\"", http_url);
        let token = Rule::new("a token in one line", |text| {
            let plain = !text.is_empty() && text.bytes().all(|byte| (b'!'..=b'~').contains(&byte));
            plain.then(|| Secret::new(text))
        });
        let path = Rule::new("a path", |text| Some(PathBuf::from(text)));
        let names = Rule::new("package names or `@scope/*`, separated by commas", |text| {
            let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
            Some(names.map(str::to_owned).collect())
        });
        let cooldown = settings.read("packages.cooldown", rules::duration("7d", "0s", "365d"))?;
        Ok(Self {
            registry: settings.read("packages.registry", registry)?.unwrap_or(Registry::Public),
            token: settings.read("packages.token", token)?,
            proxy: settings.read("packages.proxy", proxy)?,
            ca: settings.read("packages.ca", path)?,
            cooldown: cooldown.unwrap_or(Duration::from_secs(7 * 86_400)),
            cooldown_exempt: settings.read("packages.cooldownExempt", names)?.unwrap_or_default(),
            max_count: settings.read("packages.maxCount", rules::number(0, 2_000))?.unwrap_or(200),
            max_size: settings
                .read("packages.maxSize", rules::size("64MiB", "1MiB", "1GiB"))?
                .unwrap_or(64 << 20),
        })
    }
}

fn http_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}
