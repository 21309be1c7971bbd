//! The author's code: an ES module with a default export, or a CommonJS module.

use deno_core::error::{CoreError, CoreErrorKind, JsError};
use deno_core::{ModuleSpecifier, PollEventLoopOptions, v8};

use super::protocol::{LoadFailure, Loaded};
use super::runtime::{Runtime, plain_message};

/// Under which address the engine knows the author's code. It shows in stacks,
/// from which the daemon takes these frames only.
pub(super) const LOGIC_MODULE: &str = "file:///logic.js";
/// The module `provisiond`.
pub(super) const HOST_MODULE: &str = "file:///provisiond.js";
/// Its source; the bootstrap leaves the object until it is loaded.
const HOST_SOURCE: &str = "export const { log } = globalThis.__provisiond; delete globalThis.__provisiond;";
/// In front of a CommonJS module, in its first line to keep the others.
const FACTORY: &str = "(function (exports, module, require) { ";

const NEVER_SETTLES: &str = "a top-level `await` never settles";

type Load<T> = Result<T, LoadFailure>;
/// Loads the code and makes its function the one that runs call.
pub(super) async fn load(runtime: &mut Runtime, code: String) -> Load<Loaded> {
    evaluate(runtime, HOST_MODULE, HOST_SOURCE.into()).await.map_err(failure)?;
    let exported = match as_module(runtime, code.clone()).await? {
        Some(exported) => exported,
        None => as_common_js(runtime, &code).map_err(common_js_failure)?,
    };
    let adopt = runtime.scripts.adopt.clone();
    let adopted = call(runtime, &adopt, &[exported]).map_err(|error| failure(js(error)))?;
    let end_loading = runtime.scripts.end_loading.clone();
    call(runtime, &end_loading, &[]).map_err(|error| failure(js(error)))?;
    deno_core::scope!(scope, runtime.js);
    let adopted = v8::Local::new(scope, adopted).to_rust_string_lossy(scope);
    serde_json::from_str(&adopted).map_err(|_| LoadFailure { message: adopted, frames: Vec::new() })
}

/// What the code exports, `None` when it is no ES module.
async fn as_module(runtime: &mut Runtime, code: String) -> Load<Option<v8::Global<v8::Value>>> {
    let specifier = parse(LOGIC_MODULE).map_err(failure)?;
    let id = match runtime.js.load_side_es_module_from_code(&specifier, code.clone()).await {
        Ok(id) => id,
        // Sloppy code, such as `with`, parses as CommonJS only.
        Err(_) if compile_common_js(runtime, &code).is_ok() => return Ok(None),
        Err(error) => return Err(failure(error)),
    };
    if exports(runtime, id).map_err(failure)?.is_empty() && compile_common_js(runtime, &code).is_ok() {
        return Ok(None);
    }
    begin_loading(runtime)?;
    let evaluated = runtime.js.mod_evaluate(id);
    let options = PollEventLoopOptions::default();
    runtime.js.with_event_loop_promise(evaluated, options).await.map_err(failure)?;
    let namespace = runtime.js.get_module_namespace(id).map_err(failure)?;
    deno_core::scope!(scope, runtime.js);
    let namespace: v8::Local<v8::Value> = v8::Local::new(scope, namespace).into();
    Ok(Some(v8::Global::new(scope, namespace)))
}

fn as_common_js(runtime: &mut Runtime, code: &str) -> Result<v8::Global<v8::Value>, Box<JsError>> {
    let factory = compile_common_js(runtime, code)?;
    let begin = runtime.scripts.begin_loading.clone();
    call(runtime, &begin, &[])?;
    let require = runtime.scripts.require.clone();
    call(runtime, &require, &[factory])
}

fn compile_common_js(runtime: &mut Runtime, code: &str) -> Result<v8::Global<v8::Value>, Box<JsError>> {
    runtime.js.execute_script(LOGIC_MODULE, format!("{FACTORY}{code}\n}})"))
}

fn begin_loading(runtime: &mut Runtime) -> Load<()> {
    let begin = runtime.scripts.begin_loading.clone();
    call(runtime, &begin, &[]).map(drop).map_err(|error| failure(js(error)))
}

async fn evaluate(runtime: &mut Runtime, specifier: &str, code: String) -> Result<(), CoreError> {
    let id = runtime.js.load_side_es_module_from_code(&parse(specifier)?, code).await?;
    let evaluated = runtime.js.mod_evaluate(id);
    runtime.js.with_event_loop_promise(evaluated, PollEventLoopOptions::default()).await
}

/// The names that a module exports.
fn exports(runtime: &mut Runtime, id: usize) -> Result<Vec<String>, CoreError> {
    let namespace = runtime.js.get_module_namespace(id)?;
    deno_core::scope!(scope, runtime.js);
    let namespace = v8::Local::new(scope, namespace);
    let Some(names) = namespace.get_own_property_names(scope, v8::GetPropertyNamesArgs::default()) else {
        return Ok(Vec::new());
    };
    let mut list = Vec::new();
    for index in 0..names.length() {
        if let Some(name) = names.get_index(scope, index) {
            list.push(name.to_rust_string_lossy(scope));
        }
    }
    Ok(list)
}

/// Calls a function of the bootstrap, or what it wraps.
fn call(
    runtime: &mut Runtime,
    function: &v8::Global<v8::Function>,
    arguments: &[v8::Global<v8::Value>],
) -> Result<v8::Global<v8::Value>, Box<JsError>> {
    deno_core::scope!(scope, runtime.js);
    v8::tc_scope!(let scope, scope);
    let function = v8::Local::new(scope, function);
    let arguments: Vec<_> = arguments.iter().map(|argument| v8::Local::new(scope, argument)).collect();
    let this = v8::undefined(scope).into();
    match function.call(scope, this, &arguments) {
        Some(value) => Ok(v8::Global::new(scope, value)),
        None => {
            let thrown = scope.exception().unwrap_or(this);
            Err(JsError::from_v8_exception(scope, thrown))
        }
    }
}

fn parse(specifier: &str) -> Result<ModuleSpecifier, CoreError> {
    Ok(ModuleSpecifier::parse(specifier)?)
}

fn js(error: Box<JsError>) -> CoreError {
    CoreErrorKind::Js(error).into_box()
}

/// What was wrong, with the position in the author's code.
fn failure(error: CoreError) -> LoadFailure {
    let frames = match error.as_kind() {
        CoreErrorKind::Js(error) => frames(error),
        _ => Vec::new(),
    };
    let message = match error.as_kind() {
        CoreErrorKind::PendingPromiseResolution => NEVER_SETTLES.into(),
        // The engine's own words for the same.
        CoreErrorKind::Js(error) if describe(error).starts_with("Top-level await promise never") => {
            NEVER_SETTLES.into()
        }
        CoreErrorKind::Js(error) => hinted(describe(error)),
        _ => plain_message(&error),
    };
    LoadFailure { message, frames }
}

fn describe(error: &JsError) -> String {
    let text = error.exception_message.as_str();
    text.strip_prefix("Uncaught ").unwrap_or(text).trim_start_matches("(in promise) ").to_owned()
}

/// Most often it is a package that adds to a built-in function or prototype.
fn hinted(message: String) -> String {
    match message.ends_with("object is not extensible") {
        true => format!(
            "{message}: built-in objects are frozen, and code or a package that changes them cannot be loaded"
        ),
        false => message,
    }
}

fn frames(error: &JsError) -> Vec<(u32, u32)> {
    let number = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok());
    let ours = error.frames.iter().filter(|frame| frame.file_name.as_deref() == Some(LOGIC_MODULE));
    ours.filter_map(|frame| Some((number(frame.line_number)?, number(frame.column_number).unwrap_or(1))))
        .collect()
}

fn common_js_failure(error: Box<JsError>) -> LoadFailure {
    let mut failure = failure(js(error));
    for (_, column) in failure.frames.iter_mut().filter(|(line, _)| *line == 1) {
        *column = column.saturating_sub(FACTORY.len() as u32);
    }
    failure
}
