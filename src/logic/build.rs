//! From what an author wrote to what a host runs.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::bundle::{self, Bundle, BundleError, Finding, Language};
use super::packages::{Dependencies, Installed, Lock, Package, Packages};
use super::scratch::Scratch;
use super::{LogicError, MAX_CODE};
use crate::domain::encoding;
use crate::domain::subject::FieldError;
use crate::js::{Code, CompileError, HostProgram};
use crate::storage::logic::Artefact;

/// Bundlers at a time: each takes a CPU and some memory.
const AT_ONCE: usize = 2;
/// Hosts at a time that run tests: each may keep a CPU busy for as long as it is
/// let.
const TRIALS_AT_ONCE: usize = 4;
/// Largest text that a host is given.
const MAX_BUNDLE: usize = 16 << 20;

/// Largest source map that is kept; read, it takes several times as much.
const MAX_MAP: usize = 16 << 20;

/// What an author writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The text.
    pub code: String,
    /// What it is written in; found out when it is not said.
    pub language: Option<Language>,
    /// The packages that it imports.
    pub dependencies: Dependencies,
}

impl Source {
    /// What somebody sent. The byte order mark of the author's file is no part of it.
    pub fn new(code: &str, language: Option<Language>, dependencies: Dependencies) -> Self {
        Self { code: encoding::unmarked_text(code).to_owned(), language, dependencies }
    }
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Built {
    /// What a host runs.
    pub artefact: Artefact,
    /// What it is written in.
    pub language: Language,
    /// What is odd but no error.
    pub warnings: Vec<Finding>,
}

impl Built {
    /// For a host.
    pub fn code(&self) -> Code {
        Code::new(&self.artefact.code, self.artefact.source_map.as_deref())
    }
}

/// Where logic is built and tried.
#[derive(Debug)]
pub struct Workshop {
    pub(super) program: HostProgram,
    packages: Packages,
    turns: Semaphore,
    pub(super) trials: Semaphore,
}

impl Workshop {
    /// With a program that becomes a bundler or a host.
    pub fn new(program: HostProgram, packages: Packages) -> Self {
        let (turns, trials) = (Semaphore::new(AT_ONCE), Semaphore::new(TRIALS_AT_ONCE));
        Self { program, packages, turns, trials }
    }

    /// The registry, for an editor that offers packages.
    pub fn packages(&self) -> &Packages {
        &self.packages
    }

    /// Builds what an author wrote. The same packages are chosen as in `lock`
    /// if it was made for the same wishes.
    pub async fn build(&self, source: &Source, lock: Option<&Lock>) -> Result<Built, LogicError> {
        check(source)?;
        let scratch = Scratch::new().map_err(machine)?;
        let installed = self.packages.install(&source.dependencies, lock, &scratch).await?;
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        let bundled = bundle::bundle(&self.program, scratch.path(), &source.code, source.language).await;
        let mut built = bundled.map_err(rejected)?;
        if built.code.len() > MAX_BUNDLE {
            let most = MAX_BUNDLE >> 20;
            return Err(LogicError::Limit(format!("with its packages it is larger than {most} MiB")));
        }
        if built.map.as_ref().is_some_and(|map| map.len() > MAX_MAP) {
            built.map = None;
            let most = MAX_MAP >> 20;
            let message =
                format!("the source map is larger than {most} MiB: errors name places in the bundle");
            built.warnings.push(Finding::saying("SOURCE_MAP", message));
        }
        tokio::task::spawn_blocking(|| assemble(built, installed)).await.map_err(machine)?
    }
}

fn check(source: &Source) -> Result<(), LogicError> {
    let length = source.code.chars().count();
    let rule = if source.code.trim().is_empty() {
        "must not be empty".to_owned()
    } else if length > MAX_CODE {
        format!("must not be longer than {MAX_CODE} characters, has {length}")
    } else if source.code.contains('\0') {
        "must not contain the NUL character (U+0000)".to_owned()
    } else {
        return Ok(());
    };
    Err(LogicError::Fields(vec![FieldError::new("code", rule)]))
}

fn assemble(bundle: Bundle, installed: Installed) -> Result<Built, LogicError> {
    let packages: Vec<_> =
        installed.packages.into_iter().map(|package| InBundle::new(package, &bundle.modules)).collect();
    let packages = serde_json::to_value(packages).map_err(machine)?;
    let Bundle { code, map, language, mut warnings, .. } = bundle;
    warnings.extend(undated(&installed.undated));
    let id = name(&code, map.as_deref(), &installed.lock);
    let artefact = Artefact { id, code, source_map: map, packages, lock: installed.lock };
    Ok(Built { artefact, language, warnings })
}

/// What nobody could hold against a young release is not passed over in silence.
fn undated(packages: &[String]) -> Option<Finding> {
    let list = packages.iter().map(|package| format!("`{package}`")).collect::<Vec<_>>().join(", ");
    let message = format!(
        "the registry does not say when {list} came out, so that nobody knows whether that is long enough ago \
         (`packages.cooldown`)"
    );
    (!packages.is_empty()).then(|| Finding::saying("UNDATED_PACKAGES", message))
}

/// A package, and whether anything of it was left after the shaking.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InBundle {
    #[serde(flatten)]
    package: Package,
    bundled: bool,
}

impl InBundle {
    fn new(package: Package, modules: &[String]) -> Self {
        let folder = format!("node_modules/{}/", package.name);
        let release = format!("/{}@{}", package.name.replace('/', "+"), package.version);
        let bundled = modules.iter().any(|module| module.contains(&folder) && module.contains(&release));
        Self { package, bundled }
    }
}

fn name(code: &str, map: Option<&str>, lock: &Value) -> String {
    let mut hash = Sha256::new();
    for part in [code, map.unwrap_or_default(), &lock.to_string()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first finding in the author's own code is where to look; one in a
/// package names the file.
fn rejected(error: BundleError) -> LogicError {
    let findings = match error {
        BundleError::Rejected(findings) => findings,
        BundleError::Limit(message) => return LogicError::Limit(message),
        BundleError::Process(error) => {
            return LogicError::Machine(format!("the bundler did not run: {error}"));
        }
    };
    let own = |finding: &&Finding| finding.file.as_deref().is_some_and(|file| file.starts_with("logic."));
    let Some(found) = findings.iter().find(own).or(findings.first()) else {
        return LogicError::Limit("the bundler rejects it without a word".into());
    };
    let mut message =
        if found.is_syntax() { format!("SyntaxError: {}", found.message) } else { found.message.clone() };
    let place = own(&found).then_some(found);
    if place.is_none() {
        message.push_str(&in_package(found).map(|place| format!(" ({place})")).unwrap_or_default());
    }
    let (line, column) = (place.and_then(|place| place.line), place.and_then(|place| place.column));
    LogicError::Compile(CompileError { message, line, column })
}

/// The place of a finding in a file of a package.
fn in_package(found: &Finding) -> Option<String> {
    let file = bundle::short(found.file.as_deref()?);
    let places = [found.line, found.column].into_iter().map_while(|number| number);
    Some(places.fold(file, |place, number| format!("{place}:{number}")))
}

fn machine(error: impl std::fmt::Display) -> LogicError {
    LogicError::Machine(format!("logic cannot be built: {error}"))
}
