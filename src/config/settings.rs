//! The layers, flattened to one text for each key and where it came from.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::error::{ConfigError, Origin};
use super::rules::Rule;
use super::{KEYS, Overrides};
use crate::domain::encoding;
use crate::security::Secret;

/// Keys whose value is a secret: these may come from a file that a variable
/// ending in `_FILE` names.
const SECRETS: [&str; 3] = ["database.url", "packages.token", "security.masterKey"];

#[derive(Default)]
pub(super) struct Settings(BTreeMap<&'static str, Setting>);

struct Setting {
    /// Held as a secret, because some are.
    text: Secret,
    origin: Origin,
}

impl Settings {
    /// The value of a key, `None` when it is not set.
    pub(super) fn read<T>(&self, key: &'static str, rule: Rule<T>) -> Result<Option<T>, ConfigError> {
        let Some(setting) = self.0.get(key) else { return Ok(None) };
        match (rule.parse)(setting.text.expose()) {
            Some(value) => Ok(Some(value)),
            None => Err(ConfigError::Invalid { key, origin: setting.origin.clone(), rule: rule.words }),
        }
    }

    fn set(&mut self, key: &'static str, text: impl Into<String>, origin: Origin) {
        self.0.insert(key, Setting { text: Secret::new(text), origin });
    }

    /// Adds the TOML file.
    pub(super) fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let origin = Origin::File(path.to_owned());
        let text = read_file(path, &Origin::Flag("--config"))?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
            path: path.to_owned(),
            message: describe(&text, &error),
        })?;
        for (section, value) in table {
            let Value::Table(members) = value else { return Err(unknown(section, origin)) };
            for (name, value) in members {
                let key = known_key(&format!("{section}.{name}"))
                    .ok_or_else(|| unknown(format!("{section}.{name}"), origin.clone()))?;
                self.set(key, text_of(value), origin.clone());
            }
            if !KEYS.iter().any(|keys| section_of(keys[0]) == section) {
                return Err(unknown(section, origin));
            }
        }
        Ok(())
    }

    /// Adds the variables.
    pub(super) fn add_environment(&mut self, env: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        for name in env.keys().filter(|name| is_ours(name)) {
            if !KEYS.iter().copied().flatten().any(|key| variables(key).contains(name)) {
                return Err(unknown(name.clone(), Origin::Variable(name.clone())));
            }
        }
        for key in KEYS.iter().copied().flatten() {
            let set: Vec<_> = variables(key).into_iter().filter(|name| is_set(env, name)).collect();
            match set.as_slice() {
                [] => {}
                [name] => self.add_variable(key, name, &env[name])?,
                // The general name gives way to ours.
                [first, second] if second == "DATABASE_URL" => self.add_variable(key, first, &env[first])?,
                [first, second, ..] => {
                    return Err(ConfigError::Twice { first: first.clone(), second: second.clone() });
                }
            }
        }
        Ok(())
    }

    fn add_variable(&mut self, key: &'static str, name: &str, value: &str) -> Result<(), ConfigError> {
        let origin = Origin::Variable(name.to_owned());
        if is_file_variable(key, name) {
            let text = read_file(Path::new(value), &origin)?;
            self.set(key, text.trim_end_matches(['\r', '\n']), origin);
        } else {
            self.set(key, value, origin);
        }
        Ok(())
    }

    /// Adds the flags.
    pub(super) fn add_overrides(&mut self, overrides: &Overrides) {
        if let Some(listen) = &overrides.listen {
            self.set("server.listen", listen.as_str(), Origin::Flag("--listen"));
        }
        if let Some(path) = &overrides.data_dir {
            // A flag is typed in a directory and means a path seen from there.
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            self.set("server.dataDir", path.to_string_lossy(), Origin::Flag("--data-dir"));
        }
    }
}

/// An empty variable counts as none: composed environments cannot leave one out.
fn is_set(env: &BTreeMap<String, String>, name: &str) -> bool {
    env.get(name).is_some_and(|value| !value.is_empty())
}

fn section_of(key: &str) -> &str {
    key.split('.').next().unwrap_or(key)
}

fn known_key(key: &str) -> Option<&'static str> {
    KEYS.iter().copied().flatten().copied().find(|known| *known == key)
}

/// `PROVISIOND_ENGINE_RUN_AGAIN_FLOOR` for `engine.runAgainFloor`.
fn variable(key: &str) -> String {
    let mut name = String::from("PROVISIOND_");
    for c in key.chars() {
        match c {
            '.' => name.push('_'),
            c if c.is_ascii_uppercase() => name.extend(['_', c]),
            c => name.push(c.to_ascii_uppercase()),
        }
    }
    name
}

/// The variables that set a key, ours first.
fn variables(key: &str) -> Vec<String> {
    let mut names = vec![variable(key)];
    if SECRETS.contains(&key) {
        names.push(names[0].clone() + "_FILE");
    }
    if key == "database.url" {
        names.push("DATABASE_URL".to_owned());
    }
    names
}

fn is_file_variable(key: &str, name: &str) -> bool {
    SECRETS.contains(&key) && name == variable(key) + "_FILE"
}

/// Whether a variable is meant for one of the sections. Kubernetes describes
/// services to every container in names that begin with the service's own.
fn is_ours(name: &str) -> bool {
    KEYS.iter().any(|keys| {
        let prefix = variable(section_of(keys[0])) + "_";
        let rest = name.strip_prefix(&prefix);
        rest.is_some_and(|rest| !rest.starts_with("SERVICE_") && !rest.starts_with("PORT"))
    })
}

fn unknown(key: String, origin: Origin) -> ConfigError {
    let of_section = KEYS.iter().find(|keys| key.starts_with(&format!("{}.", section_of(keys[0]))));
    let known = match (of_section, &origin) {
        (_, Origin::Variable(name)) => {
            let alike = KEYS.iter().find(|keys| name.starts_with(&variable(section_of(keys[0]))));
            let names = alike.into_iter().copied().flatten().map(|key| variable(key)).collect::<Vec<_>>();
            format!("there are {}", names.join(", "))
        }
        (Some(keys), _) => format!("there are {}", keys.join(", ")),
        (None, _) => {
            let sections: Vec<_> = KEYS.iter().map(|keys| format!("[{}]", section_of(keys[0]))).collect();
            format!("there are the sections {}", sections.join(", "))
        }
    };
    ConfigError::Unknown { key, origin, known }
}

/// Any scalar as text, and a list as its members with commas between them; the
/// rule of the key says whether it will do.
fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Array(members) => members.into_iter().map(text_of).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn read_file(path: &Path, origin: &Origin) -> Result<String, ConfigError> {
    let failed = |error| ConfigError::Unreadable { path: PathBuf::from(path), origin: origin.clone(), error };
    let bytes = std::fs::read(path).map_err(failed)?;
    let text = encoding::decode(&bytes).map_err(|error| failed(io::Error::other(format!("it {error}"))))?;
    Ok(text.to_owned())
}

/// Line and message, without the line itself: it may hold a secret.
fn describe(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    format!("line {line}: {}", error.message())
}
