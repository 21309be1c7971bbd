//! What the bundler is told about modules that are no packages: the author's
//! own code, the modules of provisiond, and those that do not exist here.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rolldown::plugin::{
    HookLoadArgs, HookLoadOutput, HookLoadReturn, HookResolveIdArgs, HookResolveIdOutput,
    HookResolveIdReturn, HookUsage, Plugin, PluginContext, PluginContextResolveOptions,
    SharedLoadPluginContext,
};
use rolldown_common::side_effects::HookSideEffects;
use rolldown_common::{ImportKind, ModuleType, ResolvedExternal};

use super::{Language, author};
use crate::modules;

/// The entry, as it is named to the bundler.
pub(super) const ENTRY: &str = "provisiond:entry";
/// What a host offers under this name is not bundled.
const HOST: &str = "provisiond:host";

/// The plugin that knows them.
#[derive(Debug)]
pub(super) struct Entry {
    code: Arc<str>,
    language: Language,
    /// Where the packages are, and where alone.
    directory: PathBuf,
}

impl Entry {
    pub fn new(code: String, language: Language, directory: &str) -> Self {
        Self { code: code.into(), language, directory: directory.into() }
    }

    fn id(&self) -> &'static str {
        author::file(self.language)
    }

    fn resolve(&self, specifier: &str) -> HookResolveIdReturn {
        if specifier == ENTRY {
            return Ok(Some(HookResolveIdOutput::from_id(self.id())));
        }
        if specifier == HOST {
            let external = Some(ResolvedExternal::Bool(true));
            return Ok(Some(HookResolveIdOutput {
                id: HOST.into(),
                external,
                ..HookResolveIdOutput::default()
            }));
        }
        if modules::source(specifier).is_some() {
            return Ok(Some(HookResolveIdOutput::from_id(specifier)));
        }
        match refusal(specifier) {
            Some(sentence) => Err(anyhow::anyhow!(sentence)),
            None => Ok(None),
        }
    }

    /// For what is not there. An `import` of the author's own can only fail.
    fn missing(&self, args: &HookResolveIdArgs<'_>) -> HookResolveIdReturn {
        if args.importer == Some(self.id()) && matches!(args.kind, ImportKind::Import) {
            let why = "it is part of Node.js, which logic does not run on";
            return Err(anyhow::anyhow!("cannot import `{}`: {why}", args.specifier));
        }
        Ok(Some(absent(args.specifier, args.importer)))
    }

    /// Whether it is a file that lies elsewhere than packages do. The sandbox would
    /// not have it read either; an old kernel may have none.
    fn is_outside(&self, id: &str) -> bool {
        let path = Path::new(id);
        let inside =
            path.starts_with(&self.directory) && !path.components().any(|part| part == Component::ParentDir);
        path.is_absolute() && !inside
    }

    fn load_from_memory(&self, id: &str) -> Option<HookLoadOutput> {
        if id == self.id() {
            return Some(self.load_authors());
        }
        let (code, module_type) = if let Some(rest) = id.strip_prefix(ABSENT) {
            (throwing(rest).into(), ModuleType::Js)
        } else {
            (modules::source(id)?.into(), ModuleType::Ts)
        };
        Some(HookLoadOutput { code, module_type: Some(module_type), ..HookLoadOutput::default() })
    }

    /// Nothing of it is left out: the bundler takes a loop without end for
    /// something without an effect.
    fn load_authors(&self) -> HookLoadOutput {
        let module_type = match self.language {
            Language::JavaScript => ModuleType::Js,
            Language::TypeScript => ModuleType::Ts,
        };
        HookLoadOutput {
            code: self.code.as_ref().into(),
            module_type: Some(module_type),
            side_effects: Some(HookSideEffects::NoTreeshake),
            ..HookLoadOutput::default()
        }
    }
}

/// Stands for a module of Node.js, or for a package that was not installed. Many
/// packages ask for one only to find out whether it is there, within a `try`; so
/// it is there and throws when it is loaded.
const ABSENT: &str = "provisiond:absent/";

fn absent(name: &str, importer: Option<&str>) -> HookResolveIdOutput {
    let importer = importer.map_or("logic", |id| id.rsplit("node_modules/").next().unwrap_or(id));
    HookResolveIdOutput::from_id(format!("{ABSENT}{name}?{importer}"))
}

fn throwing(rest: &str) -> String {
    let (name, importer) = rest.split_once('?').unwrap_or((rest, "logic"));
    let (name, why) = match name.strip_prefix("node:").or(is_builtin(name).then_some(name)) {
        Some(builtin) => (builtin, "is part of Node.js, which logic does not run on"),
        None => (name, "is not among its packages"),
    };
    let message = serde_json::Value::from(format!("\"{name}\", which {importer} asks for, {why}"));
    // By the code a package tells what is missing from what is broken.
    format!(
        "module.exports = {{}}; throw Object.assign(new Error({message}), {{ code: \"MODULE_NOT_FOUND\" }});"
    )
}

/// Why a module cannot be had, `None` for one that may be a package's.
fn refusal(specifier: &str) -> Option<String> {
    if specifier.starts_with("provisiond:") {
        let known = modules::names().collect::<Vec<_>>().join("`, `");
        return Some(format!("there is no module `{specifier}`; there are `{known}`"));
    }
    if specifier.ends_with(".node") {
        let why = "it would run outside the sandbox";
        return Some(format!("`{specifier}` is a native addon, which cannot be loaded: {why}"));
    }
    let is_address =
        specifier.contains("://") || specifier.starts_with('/') || specifier.starts_with("data:");
    is_address.then(|| {
        format!("cannot import `{specifier}`: only packages and the modules of provisiond can be imported")
    })
}

/// What is said of an import that leads nowhere. The bundler's words are
/// `Could not resolve 'x' in y`.
pub(super) fn unresolved(message: &str, directory: &Path) -> String {
    let mut parts = message.split('\'');
    let (Some(_), Some(specifier)) = (parts.next(), parts.next()) else { return message.to_owned() };
    if !message.contains("in logic.") {
        let importer = message.rsplit("node_modules/").next().unwrap_or(message);
        return format!("`{importer}` imports `{specifier}`, which is not there");
    }
    let name = package_of(specifier);
    let why = if specifier.starts_with('.') {
        "logic is one file, which can import packages".to_owned()
    } else if directory.join("node_modules").join(name).is_dir() {
        format!("the package `{name}` has no such file or entry")
    } else {
        "no package of that name is among `packageDependencies`".to_owned()
    };
    format!("cannot import `{specifier}`: {why}")
}

/// The package that an import is from: `@scope/name` of `@scope/name/file.js`.
fn package_of(specifier: &str) -> &str {
    let parts = if specifier.starts_with('@') { 2 } else { 1 };
    specifier.match_indices('/').nth(parts - 1).map_or(specifier, |(end, _)| &specifier[..end])
}

/// Paths in a sentence as an author knows them: below a package, wherever that
/// lies.
pub(in crate::logic) fn short(sentence: &str) -> String {
    let mut pieces = sentence.split("node_modules/").peekable();
    let mut shown = String::new();
    while let Some(piece) = pieces.next() {
        let path = || piece.rfind([' ', '"', '\'', '`', '(']).map_or(0, |at| at + 1);
        let end = if pieces.peek().is_some() { path() } else { piece.len() };
        shown.push_str(&piece[..end]);
    }
    shown
}

/// What is said of a file that lies elsewhere than packages do, `None` for other
/// messages. The bundler's words are `Could not load x (imported by y) - plugin
/// `provisiond` threw an error`.
pub(super) fn outside(message: &str) -> Option<String> {
    let (file, why) = message.strip_prefix("Could not load ")?.split_once(" - ")?;
    why.starts_with(PLUGIN_ERROR).then(|| format!("{file} lies outside the packages and cannot be imported"))
}

/// How the bundler begins the error of this plugin.
pub(super) const PLUGIN_ERROR: &str = "plugin `provisiond` threw an error";

/// The sentence of an error of this plugin, without what the bundler puts
/// around it.
pub(super) fn sentence_of(text: &str) -> String {
    let sentence = text.split_once("Caused by:").map_or(text, |(_, rest)| rest);
    sentence.trim().lines().next().unwrap_or_default().to_owned()
}

impl Plugin for Entry {
    fn name(&self) -> Cow<'static, str> {
        "provisiond".into()
    }

    async fn resolve_id(&self, context: &PluginContext, args: &HookResolveIdArgs<'_>) -> HookResolveIdReturn {
        let found = self.resolve(args.specifier)?;
        if found.is_some() || !(is_builtin(args.specifier) || may_be_missing(args)) {
            return Ok(found);
        }
        // A package may have the name of a module of Node.js.
        let options = PluginContextResolveOptions {
            import_kind: args.kind,
            skip_self: true,
            ..PluginContextResolveOptions::default()
        };
        let resolved = context.resolve(args.specifier, args.importer, Some(options)).await?;
        if resolved.is_ok_and(|resolved| resolved.id.as_str().contains("node_modules")) {
            return Ok(None);
        }
        self.missing(args)
    }

    async fn load(&self, _context: SharedLoadPluginContext, args: &HookLoadArgs<'_>) -> HookLoadReturn {
        if self.is_outside(args.id) {
            return Err(anyhow::anyhow!("outside"));
        }
        Ok(self.load_from_memory(args.id))
    }

    fn register_hook_usage(&self) -> HookUsage {
        HookUsage::ResolveId | HookUsage::Load
    }
}

/// Whether a package can do without this one: it is asked for in a way that can
/// fail, and packages that are optional are not always there.
fn may_be_missing(args: &HookResolveIdArgs<'_>) -> bool {
    let by_package = args.importer.is_some_and(|importer| importer.contains("node_modules"));
    let can_fail = matches!(args.kind, ImportKind::Require | ImportKind::DynamicImport);
    by_package && can_fail && !args.specifier.starts_with(['.', '#'])
}

/// Modules of Node.js, which may be asked for without `node:`.
fn is_builtin(specifier: &str) -> bool {
    const NAMES: &str = " assert async_hooks buffer child_process cluster console constants crypto dgram \
        diagnostics_channel dns domain events fs http http2 https inspector module net os path perf_hooks process \
        punycode querystring readline repl stream string_decoder sys timers tls trace_events tty url util v8 vm \
        wasi worker_threads zlib ";
    let name = specifier.split('/').next().unwrap_or(specifier);
    specifier.starts_with("node:") || NAMES.split_whitespace().any(|known| known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_as_an_author_knows_them() {
        for (long, shown) in [
            (
                r#""a" is not exported by "node_modules/.store/@s+b@1.0.0/node_modules/@s/b/x.js"."#,
                r#""a" is not exported by "@s/b/x.js"."#,
            ),
            ("in /tmp/x/node_modules/a/b.js, (node_modules/c)", "in a/b.js, (c)"),
            ("nothing of the kind", "nothing of the kind"),
        ] {
            assert_eq!(short(long), shown);
        }
    }

    #[test]
    fn packages_are_told_from_their_files() {
        let names = ["a", "a/b/c.js", "@s/a", "@s/a/b/c.js", "@s"].map(package_of);
        assert_eq!(names, ["a", "a", "@s/a", "@s/a", "@s"]);
    }
}
