//! The bundler's side: one bundle, then the process ends. It is a process of
//! its own because it parses what anybody wrote: code that is nested too deep
//! brings a parser down, and the daemon is not to go with it.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use nix::libc;
use nix::unistd::Pid;
use rolldown::plugin::__inner::SharedPluginable;
use rolldown::{
    BundleOutput, Bundler, BundlerOptions, CodeSplittingMode, OutputFormat, Platform, ResolveOptions,
    SourceMapType,
};
use rolldown_common::Output;
use rolldown_error::{BatchedBuildDiagnostic, BuildDiagnostic, DiagnosticOptions, EventKind};

use super::author;
use super::entry::{self, ENTRY, Entry};
use crate::js::sandbox::{self, Attempt};

use super::{Answer, Finding, Language, Request};

/// Most memory of the process, its threads' stacks among it.
const MEMORY: u64 = 2 << 30;

/// The main function of a bundler. It must be the first thing that the process
/// does.
///
/// `confined` is false when the operator has switched the sandbox off.
pub fn main(confined: bool) -> ExitCode {
    match run(confined) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let hint = "`bundle` is started by the daemon itself";
            let _ = writeln!(io::stderr(), "error: cannot run as bundler: {error}\nhint: {hint}");
            ExitCode::from(2)
        }
    }
}

fn run(confined: bool) -> io::Result<()> {
    // Of threads that wait for each other, one that is gone leaves the others
    // waiting for ever.
    std::panic::set_hook(Box::new(|panic| {
        let _ = writeln!(io::stderr(), "{panic}");
        std::process::exit(101);
    }));
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let mut request: Request = serde_json::from_str(&text)?;
    sandbox::enter_bundler(MEMORY)?;
    // Modules are named by where they truly are.
    if let Ok(directory) = std::fs::canonicalize(&request.directory) {
        request.directory = directory.to_string_lossy().into_owned();
    }
    let daemon = Pid::parent();
    // What stands in the request is text until the door is locked.
    if confined {
        sandbox::confine_bundler(Path::new(&request.directory));
    }
    if let Some(number) = request.attempt {
        let made = Attempt::from_number(number).map_or(Err(libc::EINVAL), |attempt| attempt.make(daemon));
        return answer(&Answer::Tried { error: made.err() });
    }
    // No reactor: there is nothing to wait for but files.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    answer(&runtime.block_on(bundle(&request)))
}

fn answer(answer: &Answer) -> io::Result<()> {
    serde_json::to_writer(io::stdout().lock(), answer)?;
    io::stdout().flush()
}

/// JavaScript that does not parse may be TypeScript, when nobody said which it
/// is. The other way round would be wrong: `a < b > (c)` is both.
async fn bundle(request: &Request) -> Answer {
    let Some(language) = request.language else {
        let answer = bundle_as(request, Language::JavaScript).await;
        return match &answer {
            Answer::Rejected { findings } if findings.iter().any(|finding| finding.is_syntax) => {
                farther(answer, bundle_as(request, Language::TypeScript).await)
            }
            _ => answer,
        };
    };
    bundle_as(request, language).await
}

/// Of two readings, the one that works, or whose parser got farther.
fn farther(first: Answer, second: Answer) -> Answer {
    let place = |answer: &Answer| match answer {
        Answer::Rejected { findings } => {
            findings.iter().filter(|f| f.is_syntax).map(|f| (f.line, f.column)).min()
        }
        Answer::Bundled { .. } | Answer::Tried { .. } => None,
    };
    match (place(&first), place(&second)) {
        (Some(one), Some(other)) if other <= one => first,
        _ => second,
    }
}

async fn bundle_as(request: &Request, language: Language) -> Answer {
    if let Some(finding) = author::refused(&request.code, language) {
        return Answer::Rejected { findings: vec![finding] };
    }
    let entry = Entry::new(request.code.clone(), language, &request.directory);
    let options = options(&request.directory);
    let cwd = PathBuf::from(&request.directory);
    let made = Bundler::with_plugins(options, vec![Arc::new(entry) as SharedPluginable]);
    let mut bundler = match made {
        Ok(bundler) => bundler,
        Err(errors) => return refused(errors, request, language),
    };
    match bundler.generate().await {
        Ok(mut output) => {
            let (errors, warnings): (Vec<_>, Vec<_>) =
                findings(std::mem::take(&mut output.warnings), &cwd).into_iter().partition(Finding::is_fatal);
            if errors.is_empty() {
                bundled(&output, warnings, language, &cwd)
            } else {
                Answer::Rejected { findings: errors }
            }
        }
        Err(errors) => refused(errors, request, language),
    }
}

/// What the plugin refuses has no place, but the author's import of it has.
fn refused(errors: BatchedBuildDiagnostic, request: &Request, language: Language) -> Answer {
    let mut findings = findings(errors.into_vec(), Path::new(&request.directory));
    for finding in findings.iter_mut().filter(|finding| finding.file.is_none()) {
        let import = finding.message.split('`').nth(1);
        let place = import.and_then(|import| author::import_of(&request.code, language, import));
        if let Some((line, column)) = place {
            (finding.line, finding.column) = (Some(line), Some(column));
            finding.file = Some(author::file(language).into());
        }
    }
    Answer::Rejected { findings }
}

fn options(directory: &str) -> BundlerOptions {
    let texts = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    BundlerOptions {
        input: Some(vec![ENTRY.to_owned().into()]),
        cwd: Some(directory.into()),
        platform: Some(Platform::Browser),
        format: Some(OutputFormat::Esm),
        sourcemap: Some(SourceMapType::Hidden),
        // One file: a version of logic is one text.
        code_splitting: Some(CodeSplittingMode::Bool(false)),
        // The message of a frame names the author's function.
        keep_names: Some(false),
        resolve: Some(ResolveOptions {
            // What the host is: the web's platform, without a page. The bundler adds
            // `import` or `require`, whichever it is; both would mean that whichever
            // the package lists first is had by both.
            condition_names: Some(texts(&["worker", "browser", "module", "default"])),
            // `module` cannot be required as what `main` is, and these fields are not
            // by what asks. Node.js knows `main` only, so that this is what works.
            main_fields: Some(texts(&["browser", "main", "module"])),
            extensions: Some(texts(&[".js", ".mjs", ".cjs", ".ts", ".json"])),
            ..ResolveOptions::default()
        }),
        define: Some(
            [("process.env.NODE_ENV".to_owned(), "\"production\"".to_owned())].into_iter().collect(),
        ),
        ..BundlerOptions::default()
    }
}

fn bundled(output: &BundleOutput, warnings: Vec<Finding>, language: Language, cwd: &Path) -> Answer {
    let chunk = output.assets.iter().find_map(|asset| match asset {
        Output::Chunk(chunk) if chunk.is_entry => Some(chunk),
        _ => None,
    });
    let Some(chunk) = chunk else {
        return Answer::Rejected {
            findings: vec![Finding::saying("BUNDLER", "the bundler made nothing of it")],
        };
    };
    Answer::Bundled {
        code: chunk.code.clone(),
        map: chunk.map.as_ref().map(|map| map.to_json_string()),
        language,
        modules: chunk.modules.keys.iter().map(|id| relative(id.as_str(), cwd)).collect(),
        warnings,
    }
}

fn findings(diagnostics: Vec<BuildDiagnostic>, cwd: &Path) -> Vec<Finding> {
    let options = DiagnosticOptions { cwd: cwd.to_owned() };
    diagnostics.iter().map(|diagnostic| finding(diagnostic, &options)).collect()
}

fn finding(diagnostic: &BuildDiagnostic, options: &DiagnosticOptions) -> Finding {
    let shown = diagnostic.to_diagnostic_with(options);
    let place = shown.get_primary_location();
    let number = |value: usize| u32::try_from(value).ok();
    let mut message = diagnostic.to_message_with(options);
    if let Some(rest) = message.strip_prefix(entry::PLUGIN_ERROR) {
        message = entry::sentence_of(rest);
    } else if let Some(sentence) = entry::outside(&message) {
        message = sentence;
    } else if matches!(diagnostic.kind(), EventKind::UnresolvedImport) {
        message = entry::unresolved(&message, &options.cwd);
    }
    Finding {
        is_syntax: matches!(diagnostic.kind(), EventKind::ParseError),
        is_unresolved: matches!(diagnostic.kind(), EventKind::UnresolvedImport),
        kind: shown.kind(),
        message: entry::short(&message),
        file: place.as_ref().map(|(file, ..)| relative(file, &options.cwd)),
        line: place.as_ref().and_then(|(_, line, ..)| number(*line)),
        column: place.as_ref().and_then(|(_, _, column, _)| number(*column + 1)),
    }
}

fn relative(path: &str, cwd: &Path) -> String {
    Path::new(path).strip_prefix(cwd).map_or(path.to_owned(), |path| path.to_string_lossy().into_owned())
}
