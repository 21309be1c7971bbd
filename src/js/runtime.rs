//! The runtime in a host, and how frames reach its scripts.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use deno_core::error::{CoreError, ModuleLoaderError};
use deno_core::{
    JsRuntime, ModuleLoadOptions, ModuleLoadReferrer, ModuleLoadResponse, ModuleLoader, ModuleSpecifier,
    PollEventLoopOptions, ResolutionKind, RuntimeOptions, v8,
};

use super::extensions;
use super::load::HOST_MODULE;
use super::ops::{Bodies, Outbox};
use super::protocol::{self, Frame, Kind};

/// Most frames handed to the scripts before the event loop turns.
const BATCH: usize = 32;
/// A turn that took longer is followed by single frames, so that the host
/// answers pings in between and many slow runs do not look like a loop. Quick
/// ones let the batch grow again; it begins with one.
const LONG_TURN: Duration = Duration::from_millis(10);
/// Text bodies up to this size reach the scripts within the batch.
const INLINE_BODY: usize = 64 * 1024;

/// A runtime with its globals in place.
pub(super) struct Runtime {
    pub js: JsRuntime,
    pub scripts: Scripts,
    pub outbox: Outbox,
    batch: usize,
}

/// What the bootstrap hands out.
pub(super) struct Scripts {
    /// `(batch: string) => void`
    deliver: v8::Global<v8::Function>,
    /// `() => void`: what follows belongs to no run.
    pub begin_loading: v8::Global<v8::Function>,
    /// `(exported: unknown) => boolean`: whether it is a function.
    pub adopt: v8::Global<v8::Function>,
    /// `(factory: Function) => unknown`: what a CommonJS module exports.
    pub require: v8::Global<v8::Function>,
    /// `() => void`
    pub end_loading: v8::Global<v8::Function>,
}

/// What came of a turn.
pub(super) enum Turn {
    /// Nothing is left to do for now, or at all.
    Idle { at_rest: bool },
    /// The engine gave up on its heap.
    HeapExhausted,
    /// The event loop failed, which no script should be able to cause.
    Broken(String),
}

impl Runtime {
    /// Builds the globals. Panics only when the embedded scripts are broken.
    pub fn new(heap_mib: u32, outbox: Outbox) -> Self {
        let heap = heap_mib as usize * 1024 * 1024;
        let mut js = JsRuntime::new(RuntimeOptions {
            module_loader: Some(Rc::new(OnlyHostModules)),
            extensions: extensions::all(),
            create_params: Some(v8::CreateParams::default().heap_limits(0, heap)),
            ..RuntimeOptions::default()
        });
        js.op_state().borrow_mut().put(outbox.clone());
        js.op_state().borrow_mut().put(Bodies::default());
        let scripts = Scripts::boot(&mut js);
        // The samples of the bootstrap lie in the heap that is the author's.
        js.v8_isolate().low_memory_notification();
        Self { js, scripts, outbox, batch: 1 }
    }

    /// Hands over the waiting frames and turns the event loop until it rests.
    pub fn turn(&mut self, cx: &mut Context<'_>, frames: &mut VecDeque<Frame>) -> Turn {
        let began = Instant::now();
        let batch: Vec<_> = frames.drain(..frames.len().min(self.batch)).collect();
        if !batch.is_empty() {
            self.deliver(&batch);
        }
        let polled = self.js.poll_event_loop(cx, PollEventLoopOptions::default());
        self.batch = if began.elapsed() > LONG_TURN { 1 } else { (self.batch * 2).min(BATCH) };
        if self.is_heap_exhausted() {
            return Turn::HeapExhausted;
        }
        match polled {
            Poll::Ready(Err(error)) => Turn::Broken(error.to_string()),
            polled => Turn::Idle { at_rest: polled.is_ready() },
        }
    }

    /// Nobody in this process terminates execution but the engine itself, when
    /// its heap is used up.
    pub fn is_heap_exhausted(&mut self) -> bool {
        self.js.v8_isolate().is_execution_terminating()
    }

    fn deliver(&mut self, frames: &[Frame]) {
        let mark = self.bodies(|bodies| bodies.mark());
        let mut text = String::from("[");
        for frame in frames {
            self.append(&mut text, frame);
        }
        // Every message ended with a comma.
        text.pop();
        text.push(']');
        if !self.deliver_text(&text) && !self.is_heap_exhausted() {
            self.bodies(|bodies| bodies.forget_since(mark));
            self.deliver_one_by_one(frames);
        }
    }

    /// A context that is no JSON spoils its batch, so the others go again.
    fn deliver_one_by_one(&mut self, frames: &[Frame]) {
        for frame in frames {
            let mut text = String::from("[");
            self.append(&mut text, frame);
            text.pop();
            text.push(']');
            if !self.deliver_text(&text) && frame.kind == Kind::Run {
                let description = r#"{"message":"the context of the run is not JSON"}"#;
                self.outbox.put(Kind::Threw, frame.run, 0, &[description.as_bytes()]);
            }
        }
    }

    fn append(&mut self, text: &mut String, frame: &Frame) {
        let (run, call) = (frame.run, frame.call);
        // Writing to a String does not fail.
        let _ = match frame.kind {
            Kind::Run => write!(text, "[2,{run},{}],", String::from_utf8_lossy(&frame.payload)),
            Kind::Test => write!(text, "[8,{run},{}],", String::from_utf8_lossy(&frame.payload)),
            Kind::Refusal => write!(text, "[4,{run},{call},{}],", String::from_utf8_lossy(&frame.payload)),
            Kind::Abort => write!(text, "[5,{run}],"),
            Kind::Reply => self.append_reply(text, frame),
            Kind::Part => {
                let number = self.keep(frame.payload.clone());
                write!(text, "[9,{run},{call},{number}],")
            }
            Kind::End => write!(text, "[10,{run},{call}],"),
            _ => Ok(()),
        };
    }

    fn append_reply(&mut self, text: &mut String, frame: &Frame) -> std::fmt::Result {
        let Ok((head, body)) = protocol::split_body(frame.payload.clone()) else {
            return Ok(());
        };
        write!(text, "[3,{},{},{},", frame.run, frame.call, String::from_utf8_lossy(&head))?;
        match inline(&body) {
            Some(body) => text.push_str(&body),
            None => write!(text, "{}", self.keep(body))?,
        }
        text.push_str("],");
        Ok(())
    }

    /// Keeps bytes until a script takes them, and says under which number.
    fn keep(&mut self, bytes: Bytes) -> u32 {
        self.bodies(|bodies| bodies.keep(bytes))
    }

    fn bodies<T>(&mut self, work: impl FnOnce(&mut Bodies) -> T) -> T {
        work(self.js.op_state().borrow_mut().borrow_mut())
    }

    fn deliver_text(&mut self, text: &str) -> bool {
        deno_core::scope!(scope, self.js);
        let deliver = v8::Local::new(scope, &self.scripts.deliver);
        let Some(text) = v8::String::new(scope, text) else {
            return false;
        };
        let this = v8::undefined(scope).into();
        v8::tc_scope!(let scope, scope);
        deliver.call(scope, this, &[text.into()]).is_some()
    }
}

/// A short text as a JSON string. A byte order mark is not text to `JSON`, but
/// bodies drop it.
fn inline(body: &Bytes) -> Option<String> {
    if body.len() > INLINE_BODY || body.starts_with(b"\xef\xbb\xbf") {
        return None;
    }
    let text = std::str::from_utf8(body).ok()?;
    serde_json::to_string(text).ok()
}

impl Scripts {
    fn boot(js: &mut JsRuntime) -> Self {
        let main = deno_core::ascii_str_include!("bootstrap/main.js");
        let exports = js
            .execute_script("ext:provisiond/main.js", main)
            .unwrap_or_else(|error| panic!("the bootstrap fails: {error}"));
        deno_core::scope!(scope, js);
        let exports = v8::Local::new(scope, exports);
        let function = |name: &str| {
            let name = v8::String::new(scope, name)?;
            let function = exports.to_object(scope)?.get(scope, name.into())?;
            let function = v8::Local::<v8::Function>::try_from(function).ok()?;
            Some(v8::Global::new(scope, function))
        };
        let need =
            |name: &str| function(name).unwrap_or_else(|| panic!("the bootstrap has no function `{name}`"));
        Self {
            deliver: need("deliver"),
            begin_loading: need("beginLoading"),
            adopt: need("adopt"),
            require: need("requireFrom"),
            end_loading: need("endLoading"),
        }
    }
}

/// Nothing can be imported but the host's own module: logic is one file.
struct OnlyHostModules;

impl ModuleLoader for OnlyHostModules {
    fn resolve(
        &self,
        specifier: &str,
        _referrer: &str,
        kind: ResolutionKind,
    ) -> Result<ModuleSpecifier, ModuleLoaderError> {
        if matches!(kind, ResolutionKind::DynamicImport) {
            return Err(ModuleLoaderError::type_error("dynamic import is not available to logic"));
        }
        match specifier {
            "provisiond" | "provisiond:host" => {
                ModuleSpecifier::parse(HOST_MODULE).map_err(ModuleLoaderError::from_err)
            }
            _ if specifier.contains(':') => {
                ModuleSpecifier::parse(specifier).map_err(ModuleLoaderError::from_err)
            }
            _ => Err(not_found(specifier)),
        }
    }

    fn load(
        &self,
        specifier: &ModuleSpecifier,
        _referrer: Option<&ModuleLoadReferrer>,
        _options: ModuleLoadOptions,
    ) -> ModuleLoadResponse {
        ModuleLoadResponse::Sync(Err(not_found(specifier.as_str())))
    }
}

fn not_found(specifier: &str) -> ModuleLoaderError {
    ModuleLoaderError::type_error(format!(
        "cannot import \"{specifier}\": only \"provisiond\" can be imported, packages are bundled on publication"
    ))
}

/// What a failed load says, without the engine's prefix.
pub(super) fn plain_message(error: &CoreError) -> String {
    let text = error.to_string();
    text.strip_prefix("Uncaught ").map_or(text.clone(), str::to_owned)
}
