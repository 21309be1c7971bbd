//! The author's code: an ES module with a default export, or a CommonJS module.

use deno_core::error::{CoreError, CoreErrorKind, JsError};
use deno_core::{ModuleSpecifier, PollEventLoopOptions, v8};

use super::protocol::LoadFailure;
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

const NO_FUNCTION: &str = "logic must have a function as `export default` or `module.exports`";

type Loaded<T> = Result<T, LoadFailure>;

/// Loads the code and makes its function the one that runs call.
pub(super) async fn load(runtime: &mut Runtime, code: String) -> Loaded<()> {
    evaluate(runtime, HOST_MODULE, HOST_SOURCE.into()).await.map_err(failure)?;
    let exported = match as_module(runtime, code.clone()).await {
        Ok(Some(exported)) => exported,
        Ok(None) => as_common_js(runtime, &code).map_err(common_js_failure)?,
        Err(error) => return Err(error),
    };
    let adopt = runtime.scripts.adopt.clone();
    let adopted = call(runtime, &adopt, &[exported]).map_err(|error| failure(js(error)))?;
    let end_loading = runtime.scripts.end_loading.clone();
    call(runtime, &end_loading, &[]).map_err(|error| failure(js(error)))?;
    deno_core::scope!(scope, runtime.js);
    match v8::Local::new(scope, adopted).is_true() {
        true => Ok(()),
        false => Err(LoadFailure { message: NO_FUNCTION.into(), line: None, column: None }),
    }
}

/// The default export, `None` when the code is no ES module.
async fn as_module(runtime: &mut Runtime, code: String) -> Loaded<Option<v8::Global<v8::Value>>> {
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
    default_export(runtime, id).map(Some).map_err(failure)
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

fn begin_loading(runtime: &mut Runtime) -> Loaded<()> {
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

fn default_export(runtime: &mut Runtime, id: usize) -> Result<v8::Global<v8::Value>, CoreError> {
    let namespace = runtime.js.get_module_namespace(id)?;
    deno_core::scope!(scope, runtime.js);
    let namespace = v8::Local::new(scope, namespace);
    let undefined = v8::undefined(scope).into();
    let exported = match v8::String::new(scope, "default") {
        Some(name) => namespace.get(scope, name.into()).unwrap_or(undefined),
        None => undefined,
    };
    Ok(v8::Global::new(scope, exported))
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
    let position = match error.as_kind() {
        CoreErrorKind::Js(error) => position(error),
        _ => (None, None),
    };
    let message = match error.as_kind() {
        CoreErrorKind::PendingPromiseResolution => "a top-level `await` never settles".into(),
        CoreErrorKind::Js(error) => describe(error),
        _ => plain_message(&error),
    };
    LoadFailure { message, line: position.0, column: position.1 }
}

fn describe(error: &JsError) -> String {
    let text = error.exception_message.as_str();
    text.strip_prefix("Uncaught ").unwrap_or(text).trim_start_matches("(in promise) ").to_owned()
}

fn position(error: &JsError) -> (Option<u32>, Option<u32>) {
    let number = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok());
    error
        .frames
        .iter()
        .find(|frame| frame.file_name.as_deref() == Some(LOGIC_MODULE))
        .map_or((None, None), |frame| (number(frame.line_number), number(frame.column_number)))
}

fn common_js_failure(error: Box<JsError>) -> LoadFailure {
    let mut failure = failure(js(error));
    if failure.line == Some(1) {
        failure.column = failure.column.map(|column| column.saturating_sub(FACTORY.len() as u32));
    }
    failure
}
