//! Turns what an author wrote, and the packages it uses, into one text: types
//! stripped, modules joined, what is not used left out, with a source map.
//!
//! It is done by [rolldown](https://rolldown.rs) (MIT) in a child process of the
//! same binary, which sees nothing but one folder and is killed when it takes
//! too long. `security.sandbox` is for it as it is for hosts.

mod author;
mod child;
mod entry;

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use crate::js::sandbox::Attempt;
use crate::js::{AttemptEnd, HostProgram};

pub use child::main;
pub(super) use entry::short;

/// Longest time for one bundle. Ten packages take well below a second.
const LONGEST: Duration = Duration::from_secs(60);
/// Largest answer that is read.
const MAX_ANSWER: usize = 64 << 20;
/// Most of what it says when it fails.
const MAX_WORDS: usize = 64 << 10;

/// What logic is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// ECMAScript, as ES module or CommonJS.
    JavaScript,
    /// TypeScript, whose types are stripped and not checked.
    TypeScript,
}

impl Language {
    /// `javascript` or `typescript`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JavaScript => "javascript",
            Self::TypeScript => "typescript",
        }
    }

    /// Reads [`Language::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::JavaScript, Self::TypeScript].into_iter().find(|language| language.as_str() == text)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    directory: String,
    code: String,
    language: Option<Language>,
    /// The number of an [`Attempt`], made in place of a bundle.
    attempt: Option<u32>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "answer")]
enum Answer {
    Bundled {
        code: String,
        map: Option<String>,
        language: Language,
        modules: Vec<String>,
        warnings: Vec<Finding>,
    },
    Rejected {
        findings: Vec<Finding>,
    },
    Tried {
        error: Option<i32>,
    },
}

/// Something that the bundler has to say about a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The bundler's name for it, such as `UNRESOLVED_IMPORT`.
    pub kind: String,
    /// One sentence.
    pub message: String,
    /// `logic.js`, `logic.ts` or a file of a package.
    pub file: Option<String>,
    /// From 1.
    pub line: Option<u32>,
    /// From 1, in UTF-16 code units.
    pub column: Option<u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_syntax: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_unresolved: bool,
}

impl Finding {
    /// About no place.
    pub(super) fn saying(kind: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let (is_syntax, is_unresolved) = (false, false);
        Self { kind: kind.into(), message, file: None, line: None, column: None, is_syntax, is_unresolved }
    }

    /// It does not parse.
    pub fn is_syntax(&self) -> bool {
        self.is_syntax
    }

    /// The bundler only warns of an import that leads nowhere.
    fn is_fatal(&self) -> bool {
        self.is_unresolved
    }
}

/// One text, made of what an author wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// An ES module that imports nothing but `provisiond:host`.
    pub code: String,
    /// A source map (revision 3) of it.
    pub map: Option<String>,
    /// As it was read.
    pub language: Language,
    /// The files in it, relative to the folder.
    pub modules: Vec<String>,
    /// What is odd but no error.
    pub warnings: Vec<Finding>,
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The author has to mend something; never empty.
    #[error("{}", .0.first().map_or("", |finding| finding.message.as_str()))]
    Rejected(Vec<Finding>),
    /// It took too much; the sentence names the limit.
    #[error("{0}")]
    Limit(String),
    /// The bundler could not be run: nobody's fault who reads this.
    #[error("the bundler could not be run: {0}")]
    Process(#[from] io::Error),
}

/// Bundles `code` with the packages in `directory`.
pub async fn bundle(
    program: &HostProgram,
    directory: &Path,
    code: &str,
    language: Option<Language>,
) -> Result<Bundle, BundleError> {
    let directory = directory.to_string_lossy().into_owned();
    match ask(program, &Request { directory, code: code.to_owned(), language, attempt: None }).await? {
        Answer::Bundled { code, map, language, modules, warnings } => {
            Ok(Bundle { code, map, language, modules, warnings })
        }
        Answer::Rejected { findings } => Err(BundleError::Rejected(findings)),
        Answer::Tried { .. } => Err(out_of_turn()),
    }
}

/// Starts a bundler that makes an attempt and ends.
///
/// # Errors
///
/// The process does not start or ends without an answer.
pub async fn attempt(
    program: &HostProgram,
    directory: &Path,
    attempt: Attempt,
) -> Result<AttemptEnd, BundleError> {
    let directory = directory.to_string_lossy().into_owned();
    let (code, language) = (String::new(), None);
    match ask(program, &Request { directory, code, language, attempt: Some(attempt as u32) }).await {
        Ok(Answer::Tried { error: Some(error) }) => Ok(AttemptEnd::Refused(error)),
        Ok(Answer::Tried { error: None }) => Ok(AttemptEnd::Worked),
        // It became another program, or there were two of it.
        Err(BundleError::Process(error)) if is_unreadable(&error) => Ok(AttemptEnd::Worked),
        Ok(_) => Err(out_of_turn()),
        Err(error) => Err(error),
    }
}

fn is_unreadable(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<serde_json::Error>())
}

fn out_of_turn() -> BundleError {
    io::Error::other("it answered what it was not asked").into()
}

async fn ask(program: &HostProgram, request: &Request) -> Result<Answer, BundleError> {
    let request = serde_json::to_vec(request).map_err(io::Error::other)?;
    tokio::time::timeout(LONGEST, answer_of(program, &request)).await.map_err(|_| {
        BundleError::Limit(format!("the limit of {} s for bundling was reached", LONGEST.as_secs()))
    })?
}

async fn answer_of(program: &HostProgram, request: &[u8]) -> Result<Answer, BundleError> {
    let mut command = Command::new(&program.executable);
    command.arg("bundle");
    if !program.confined {
        command.arg("--unconfined");
    }
    let mut child = command
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdin = child.stdin.take();
    let write = async {
        // One that ends early says why on its own.
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(request).await;
        }
    };
    let (answer, words) = (child.stdout.take(), child.stderr.take());
    let (answer, words, ()) = tokio::join!(read(answer, MAX_ANSWER + 1), read(words, MAX_WORDS), write);
    let (answer, words) = (answer?, words?);
    if answer.len() > MAX_ANSWER {
        let most = MAX_ANSWER >> 20;
        return Err(BundleError::Limit(format!("the limit of {most} MiB for a bundle was reached")));
    }
    let status = child.wait().await?;
    if status.success() {
        let read = tokio::task::spawn_blocking(move || serde_json::from_slice(&answer)).await;
        return read.map_err(io::Error::other)?.map_err(|error| io::Error::other(error).into());
    }
    Err(ended(status, &String::from_utf8_lossy(&words)))
}

/// Reads so much and no more: whoever writes on has nobody to write to.
async fn read(stream: Option<impl AsyncRead + Unpin>, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(most as u64).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// A bundler that ended without an answer was brought down by what it read.
fn ended(status: ExitStatus, words: &str) -> BundleError {
    use std::os::unix::process::ExitStatusExt as _;
    if status.code() == Some(2) {
        return io::Error::other(words.trim().to_owned()).into();
    }
    log::info!("a bundler ended with {status}: {}", words.trim());
    match status.signal() {
        Some(signal) => BundleError::Limit(format!(
            "the code brought the bundler down (signal {signal}): it is nested too deep, or needs too much memory"
        )),
        None => {
            // A panic of the bundler's, whose second line is what it says.
            let reason = words.lines().nth(1).unwrap_or_default().trim();
            BundleError::Limit(format!("the bundler failed over this code: {reason}"))
        }
    }
}
