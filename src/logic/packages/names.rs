//! Which names and ranges an author may write.

use deno_semver::VersionReq;

use super::Dependencies;
use crate::domain::subject::FieldError;

/// Longest name (npm's own rule).
const MAX_NAME: usize = 214;
/// Longest range.
const MAX_RANGE: usize = 256;

/// Every rule that is broken.
pub(super) fn errors(wanted: &Dependencies, most: usize) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if wanted.len() > most {
        errors
            .push(FieldError::new("packageDependencies", format!("must not have more than {most} entries")));
    }
    for (name, range) in wanted {
        let rule = name_error(name).or_else(|| range_error(range));
        errors.extend(rule.map(|rule| FieldError::new(format!("packageDependencies.{name}"), rule)));
    }
    errors
}

/// What is wrong with a name, by the rules of package.json: lower case, and
/// what needs no encoding in a URL.
pub(super) fn name_error(name: &str) -> Option<&'static str> {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '_'])
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    let plain = match name.strip_prefix('@') {
        Some(scoped) => scoped.split_once('/').is_some_and(|(scope, name)| is_part(scope) && is_part(name)),
        None => is_part(name),
    };
    let fine = plain && name.len() <= MAX_NAME;
    (!fine).then_some("is not the name of a package, such as `lodash` or `@scope/name`")
}

fn range_error(range: &str) -> Option<&'static str> {
    const RULE: &str = "must be a version, a range such as `^4.17.0`, or a tag such as `latest`; \
                        files, git repositories and addresses cannot be used";
    let odd = range.trim().is_empty() || range.len() > MAX_RANGE || range.contains([':', '/', '#', '\0']);
    (odd || VersionReq::parse_from_npm(range).is_err()).then_some(RULE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_packages() {
        for fine in ["lodash", "fast-xml-parser", "@types/node", "JSONStream", "a.b_c~d"] {
            assert_eq!(name_error(fine), None, "{fine}");
        }
        let long = "x".repeat(215);
        for bad in ["", ".x", "_x", "a b", "a/b", "@a", "@a/", "@/b", "@a/b/c", "../x", "node:fs", "ä", &long]
        {
            assert!(name_error(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn ranges_name_releases() {
        for fine in ["4.18.1", "^4.0.0", "~1.2", ">=1 <3 || 5.x", "latest", "*"] {
            assert_eq!(range_error(fine), None, "{fine}");
        }
        for bad in
            ["", " ", "file:../x", "git+ssh://git@host/x", "https://host/x.tgz", "user/repo", "npm:x@1"]
        {
            assert!(range_error(bad).is_some(), "{bad}");
        }
    }
}
