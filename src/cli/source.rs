//! Logic as it lies in a checkout: a file, and the packages that it imports.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::Failure;
use super::args::SourceFile;
use crate::domain::encoding;

/// A file with logic, read.
pub struct Source {
    /// As the person named it.
    pub name: String,
    code: String,
    dependencies: Option<Value>,
}

impl Source {
    /// Reads the file that the person named, if any.
    pub fn of(choice: &SourceFile) -> Result<Option<Self>, Failure> {
        let read = |file| Self::read(file, choice.dependencies.as_deref());
        choice.file.as_deref().map(read).transpose()
    }

    /// Reads a file, or standard input for `-`. Without a file of dependencies
    /// the package.json beside it counts.
    pub fn read(file: &Path, dependencies: Option<&Path>) -> Result<Self, Failure> {
        let (name, code) = if file.as_os_str() == "-" {
            ("standard input".to_owned(), text_of(standard_input(), "standard input")?)
        } else {
            (file.display().to_string(), read_text(file)?)
        };
        let beside = dependencies.map(PathBuf::from).or_else(|| package_json(file));
        let dependencies =
            beside.map(|file| read_json(&file).map(|content| wishes(&file, content))).transpose()?;
        Ok(Self { name, code, dependencies })
    }

    /// Says it in the body of a request.
    pub fn add_to(self, body: &mut Map<String, Value>) {
        if let Some(language) = language(&self.name) {
            body.insert("language".into(), json!(language));
        }
        if let Some(dependencies) = self.dependencies {
            body.insert("packageDependencies".into(), dependencies);
        }
        body.insert("code".into(), self.code.into());
    }
}

fn package_json(logic: &Path) -> Option<PathBuf> {
    let file = logic.with_file_name("package.json");
    (logic.as_os_str() != "-" && file.is_file()).then_some(file)
}

/// Of a package.json its `dependencies`; another file may hold them alone.
fn wishes(file: &Path, mut content: Value) -> Value {
    let is_package = file.file_name().is_some_and(|name| name == "package.json");
    match content.get_mut("dependencies").map(Value::take) {
        Some(Value::Object(dependencies)) => Value::Object(dependencies),
        _ if is_package => json!({}),
        _ => content,
    }
}

/// What the ending says; without one the daemon finds out.
fn language(name: &str) -> Option<&'static str> {
    match Path::new(name).extension()?.to_str()? {
        "ts" | "mts" | "cts" => Some("typescript"),
        "js" | "mjs" | "cjs" => Some("javascript"),
        _ => None,
    }
}

/// The text of a file, as any editor may have left it.
pub fn read_text(file: &Path) -> Result<String, Failure> {
    text_of(std::fs::read(file), &file.display().to_string())
}

fn text_of(bytes: std::io::Result<Vec<u8>>, name: &str) -> Result<String, Failure> {
    let bytes = bytes.map_err(|error| Failure::Usage(format!("cannot read `{name}`: {error}")))?;
    let text = encoding::decode(&bytes);
    text.map(str::to_owned).map_err(|error| Failure::Usage(format!("`{name}` {error}")))
}

fn standard_input() -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A file that holds JSON.
pub fn read_json(file: &Path) -> Result<Value, Failure> {
    serde_json::from_str(&read_text(file)?)
        .map_err(|error| Failure::Usage(format!("`{}` is not JSON: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_come_from_a_package_json_or_a_map() {
        let wanted = json!({ "zod": "^4" });
        let package = Path::new("crm/package.json");
        assert_eq!(wishes(package, json!({ "name": "crm", "dependencies": wanted })), wanted);
        assert_eq!(wishes(package, json!({ "name": "crm", "version": "1.0.0" })), json!({}));
        let other = Path::new("packages.json");
        assert_eq!(wishes(other, wanted.clone()), wanted);
        assert_eq!(wishes(other, json!({ "dependencies": wanted })), wanted);
        assert_eq!(wishes(other, json!([])), json!([]), "which the daemon refuses");
    }

    #[test]
    fn the_ending_says_the_language() {
        let of = |name| language(name);
        assert_eq!([of("a/logic.ts"), of("logic.mjs")], [Some("typescript"), Some("javascript")]);
        assert_eq!([of("standard input"), of("logic.txt")], [None, None]);
    }
}
