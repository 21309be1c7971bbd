//! Dependencies that cannot be had. A package can do without one that is
//! optional, which the resolver knows nothing of: it takes all of them for
//! needed. So it is not told of those.

use deno_npm::registry::{NpmPackageInfo, NpmPackageVersionInfo, NpmRegistryPackageInfoLoadError};
use deno_npm::resolution::{NpmPackageVersionResolutionError as Version, NpmResolutionError};
use deno_semver::{StackString, VersionReq};

/// What no release answers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Missing {
    name: String,
    /// `None` when there is no such package at all.
    range: Option<VersionReq>,
}

impl Missing {
    /// No release of a package can be had.
    pub fn package(name: String) -> Self {
        Self { name, range: None }
    }

    /// Read from what the resolver says.
    pub fn of(error: &NpmResolutionError) -> Option<Self> {
        let (name, range) = match error {
            NpmResolutionError::Registry(NpmRegistryPackageInfoLoadError::PackageNotExists {
                package_name,
            }) => (package_name.clone(), None),
            NpmResolutionError::Resolution(Version::VersionReqNotMatched {
                package_name,
                version_req,
                ..
            }) => (package_name.to_string(), Some(version_req.clone())),
            NpmResolutionError::Resolution(Version::DistTagNotFound { package_name, dist_tag }) => {
                (package_name.to_string(), Some(VersionReq::parse_from_npm(dist_tag).ok()?))
            }
            _ => return None,
        };
        Some(Self { name, range })
    }

    /// What the registry says of a package, without the optional dependencies on
    /// this; `None` when no release has any.
    pub fn taken_from(&self, info: &NpmPackageInfo) -> Option<NpmPackageInfo> {
        let optional = |release: &NpmPackageVersionInfo| self.key(&release.optional_dependencies);
        if !self.is_named_by(info) || !info.versions.values().any(|release| optional(release).is_some()) {
            return None;
        }
        let mut without = info.clone();
        for release in without.versions.values_mut() {
            while let Some(key) = optional(release) {
                release.optional_dependencies.remove(&key);
                // Most registries list it here as well.
                release.dependencies.remove(&key);
            }
        }
        Some(without)
    }

    /// Whether a release of a package cannot do without this.
    pub fn is_needed_by(&self, info: &NpmPackageInfo) -> bool {
        let needs = |release: &NpmPackageVersionInfo| {
            self.key(&release.dependencies).or_else(|| self.key(&release.peer_dependencies)).is_some()
        };
        self.is_named_by(info) && info.versions.values().any(needs)
    }

    /// Whether it is worth to read what is said of each release.
    fn is_named_by(&self, info: &NpmPackageInfo) -> bool {
        // A scope's slash may be written as `\/` there.
        let name = self.name.rsplit('/').next().unwrap_or(&self.name);
        let said = info.lazy_packument_source_bytes();
        said.and_then(|said| std::str::from_utf8(said).ok()).is_none_or(|said| said.contains(name))
    }

    fn key<'a>(
        &self,
        listed: impl IntoIterator<Item = (&'a StackString, &'a StackString)>,
    ) -> Option<StackString> {
        listed.into_iter().find(|(key, value)| self.is(key, value)).map(|(key, _)| key.clone())
    }

    /// Whether an entry of a package.json leads to this. It may name another
    /// package than its key does: `"a": "npm:b@^1"`.
    fn is(&self, key: &str, value: &str) -> bool {
        let (name, range) = match value.strip_prefix("npm:") {
            Some(alias) => match alias.rsplit_once('@') {
                Some((name, range)) if !name.is_empty() => (name, range),
                _ => (alias, "*"),
            },
            None => (key, value),
        };
        let matches = |missing: &VersionReq| VersionReq::parse_from_npm(range).is_ok_and(|it| it == *missing);
        name == self.name && self.range.as_ref().is_none_or(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_lead_where_they_say() {
        let any = Missing { name: "@s/a".into(), range: None };
        assert!(any.is("@s/a", "^1") && any.is("b", "npm:@s/a") && any.is("b", "npm:@s/a@2"));
        assert!(!any.is("a", "^1") && !any.is("@s/a", "npm:b@1"));
        let one = Missing { name: "a".into(), range: VersionReq::parse_from_npm("^1.0.0").ok() };
        assert!(one.is("a", "^1.0.0") && one.is("b", "npm:a@^1.0.0"));
        assert!(!one.is("a", "^2.0.0"));
    }
}
