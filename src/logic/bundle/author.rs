//! What is looked at in the author's own code beside what the bundler looks at.
//! It strips types without asking whether a module is left that an engine would
//! take.

use std::path::Path;

use oxc::allocator::Allocator;
use oxc::ast::AstKind;
use oxc::ast::ast::Program;
use oxc::codegen::{Codegen, CodegenOptions};
use oxc::diagnostics::{OxcDiagnostic, Severity};
use oxc::parser::{ParseOptions, Parser, ParserReturn};
use oxc::semantic::{Semantic, SemanticBuilder};
use oxc::span::{SourceType, Span};
use oxc::transformer::{TransformOptions, Transformer};

use super::{Finding, Language};

/// The author's code, as it is named in findings.
pub(super) const fn file(language: Language) -> &'static str {
    match language {
        Language::JavaScript => "logic.js",
        Language::TypeScript => "logic.ts",
    }
}

/// What no host could run of code that the bundler would take. Code that does
/// not even parse is left to the bundler, which says so.
pub(super) fn refused(code: &str, language: Language) -> Option<Finding> {
    let arena = Allocator::default();
    let mut program = parsed(&arena, code, language)?;
    let read = reader().with_build_nodes(true).with_enum_eval(true).build(&program);
    if first_error(&read.diagnostics).is_some() {
        return None;
    }
    if let Some(span) = decorator(&read.semantic) {
        let why = "decorators cannot be used: the JavaScript engine does not know them";
        return Some(finding("UNSUPPORTED_FEATURE", why, language, place(code, span.start)));
    }
    if language == Language::JavaScript {
        return None;
    }
    let scoping = read.semantic.into_scoping();
    let options = TransformOptions::default();
    Transformer::new(&arena, Path::new(file(language)), &options).build_with_scoping(scoping, &mut program);
    let (message, at) = early_error(&program)?;
    Some(Finding { is_syntax: true, ..finding("PARSE_ERROR", &message, language, at) })
}

/// Where the author's code imports a module by this name.
pub(super) fn import_of(code: &str, language: Language, specifier: &str) -> Option<(u32, u32)> {
    let arena = Allocator::default();
    let parsed = read(&arena, code, source_type(language));
    let requests = parsed.module_record.requested_modules.get(specifier)?;
    place(code, requests.first()?.span.start)
}

fn source_type(language: Language) -> SourceType {
    SourceType::mjs().with_typescript(language == Language::TypeScript)
}

/// As the bundler reads it.
fn read<'a>(arena: &'a Allocator, code: &'a str, kind: SourceType) -> ParserReturn<'a> {
    let options = ParseOptions { allow_return_outside_function: true, ..ParseOptions::default() };
    Parser::new(arena, code, kind).with_options(options).parse()
}

fn parsed<'a>(arena: &'a Allocator, code: &'a str, language: Language) -> Option<Program<'a>> {
    let parsed = read(arena, code, source_type(language));
    let works = !parsed.panicked && parsed.diagnostics.is_empty();
    works.then_some(parsed.program)
}

fn reader<'a>() -> SemanticBuilder<'a> {
    SemanticBuilder::new().with_check_syntax_error(true)
}

fn decorator(semantic: &Semantic<'_>) -> Option<Span> {
    semantic.nodes().iter().find_map(|node| match node.kind() {
        AstKind::Decorator(decorator) => Some(decorator.span),
        _ => None,
    })
}

/// An early error (ECMA-262, 16.2.1.1) of what is left without the types, and
/// where it was in what was written.
fn early_error(program: &Program<'_>) -> Option<(String, Option<(u32, u32)>)> {
    let options = CodegenOptions {
        source_map_path: Some(file(Language::TypeScript).into()),
        ..CodegenOptions::default()
    };
    let printed = Codegen::new().with_options(options).build(program);
    let arena = Allocator::default();
    let parsed = read(&arena, &printed.code, source_type(Language::JavaScript));
    let read = || reader().build(&parsed.program).diagnostics;
    let (message, offset) = first_error(&parsed.diagnostics).or_else(|| first_error(&read()))?;
    let written = || {
        let (line, column) = place(&printed.code, offset?)?;
        let map = sourcemap::SourceMap::from_slice(printed.map?.to_json_string().as_bytes()).ok()?;
        let token = map.lookup_token(line - 1, column - 1)?;
        Some((token.get_src_line() + 1, token.get_src_col() + 1))
    };
    Some((message, written()))
}

fn first_error<'a>(
    diagnostics: impl IntoIterator<Item = &'a OxcDiagnostic>,
) -> Option<(String, Option<u32>)> {
    let error = diagnostics.into_iter().find(|diagnostic| diagnostic.severity == Severity::Error)?;
    let offset = error.labels.first().map(|label| label.offset());
    Some((error.message.to_string(), offset))
}

/// Line and column of a byte, both from 1, columns in UTF-16 code units.
fn place(code: &str, offset: u32) -> Option<(u32, u32)> {
    let before = code.get(..usize::try_from(offset).ok()?)?;
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before[start..].encode_utf16().count() + 1;
    Some((u32::try_from(line).ok()?, u32::try_from(column).ok()?))
}

fn finding(kind: &str, message: &str, language: Language, place: Option<(u32, u32)>) -> Finding {
    let (line, column) = place.unzip();
    Finding { file: Some(file(language).into()), line, column, ..Finding::saying(kind, message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str) -> Option<(String, Option<u32>, Option<u32>)> {
        refused(code, Language::TypeScript).map(|found| (found.message, found.line, found.column))
    }

    #[test]
    fn what_types_hid_is_found() {
        let (message, line, column) = error("type A = 1;\nexport default 1;\nexport default 2;").unwrap();
        assert_eq!(
            (message.as_str(), line, column.is_some()),
            ("A module cannot have multiple default exports.", Some(2), true)
        );
        let (message, line, column) =
            error("type A = 1;\nconst a: A = 1; export {\n  äöü,\n  nope };").unwrap();
        assert_eq!((message.as_str(), line, column), ("Export 'äöü' is not defined", Some(3), Some(3)));
        for twice in ["export const a = 1; export { a };", "export function f(a: any) {} export { f };"] {
            assert!(error(twice).is_some(), "{twice}");
        }
    }

    #[test]
    fn what_only_types_declare_twice_is_fine() {
        for code in [
            "export function f(a: string): void; export function f(a: number): void; export function f(a: any) {}",
            "export default function (a: string): void; export default function (a: any) {}",
            "interface A { a: string } interface A { b: string } export type { A }; export default 1;",
            "interface A { a: string } const A = 1; export { A };",
            "export enum A { x } export enum A { y = 1 }",
            "export class A {} export namespace A { export const b = 1 }",
            "export namespace N { export const a = 1 } export namespace N { export const b = 2 }",
            "export function f() {} export namespace f { export const a = 1 }",
            "import { type A, b } from 'x'; export { b }; export type { A };",
            "import type { A } from 'x'; const a: A = 1 as any; export { a as default };",
            "declare const a: string; export default a;",
            "declare module 'x' { export const a: string } export {};",
            "abstract class A { abstract a(): void; constructor(private b: string) {} } export { A };",
            "export type A = string; export const A = 1;",
            "module.exports = (a: any) => a;",
            "const enum E { a, b } export default () => E.b;",
            "type A = 1; export { A };",
            "export const a = <T>(b: T) => b satisfies T; export default a!;",
            "await Promise.resolve(); return;",
        ] {
            assert_eq!(error(code), None, "{code}");
        }
    }

    #[test]
    fn imports_are_found() {
        let code = "import a from 'a';\nconst x: string = 'ä'; import 'b'; export * from 'c';";
        let of = |name| import_of(code, Language::TypeScript, name);
        assert_eq!((of("a"), of("b"), of("d")), (Some((1, 15)), Some((2, 31)), None));
    }
}
