//! The types that editors are given know everything that is there.

use std::collections::BTreeMap;

use provisiond::modules::TYPES;

use super::support::evaluate;

/// Part of the language, which TypeScript declares itself.
const LANGUAGE: &str = include_str!("../../../src/js/bootstrap/globals.js");

fn is_of_the_language(name: &str) -> bool {
    let list = LANGUAGE.split("const LANGUAGE = [").nth(1).unwrap().split("];").next().unwrap();
    list.contains(&format!("\"{name}\""))
}

/// Members that no document promises: those of pages, inner ones of the
/// implementation, and what its standard has not settled.
const UNDOCUMENTED: &str = "Request.cache Request.credentials Request.integrity Request.keepalive Request.mode
    Request.referrer Request.referrerPolicy Crypto.toString CryptoKey.toString SubtleCrypto.toString
    CryptoKey.fromCloneData Event.initialized EventTarget.getParent crypto.__qjs_cppgc_wrapped Blob.textStream
    Request.textStream Response.textStream SubtleCrypto.getPublicKey SubtleCrypto.encapsulateKey
    SubtleCrypto.decapsulateKey SubtleCrypto.encapsulateBits SubtleCrypto.decapsulateBits SubtleCrypto.supports";

/// Whether a member need not be declared: beside those, `DOMException` is an
/// `Error` with a number for each of its old names.
fn is_undocumented(member: &str) -> bool {
    let is_old = member.starts_with("DOMException.") && member.ends_with("_ERR");
    is_old
        || member == "DOMException.message"
        || UNDOCUMENTED.split_ascii_whitespace().any(|name| name == member)
}

/// What stands at the top level for a name, and for what it extends or is.
fn declared(name: &str) -> String {
    let starts = ["interface {}", "declare var {}", "declare function {}"];
    let is_start = |line: &str| {
        let rest = starts.iter().find_map(|start| line.strip_prefix(&start.replace("{}", name)));
        rest.is_some_and(|rest| rest.starts_with(['<', ' ', ':', '(']))
    };
    let mut text = String::new();
    let mut lines = TYPES.lines();
    while let Some(line) = lines.next() {
        if !is_start(line) {
            continue;
        }
        text.push_str(line);
        let extended = line.split(" extends ").nth(1).and_then(|rest| rest.split([' ', '<']).next());
        let of_type = line.split(": ").nth(1).and_then(|rest| rest.strip_suffix(';'));
        let other = extended.or(of_type.filter(|word| word.chars().all(char::is_alphanumeric)));
        if line.ends_with(['{', '(']) {
            text.extend(
                lines.by_ref().take_while(|line| !line.starts_with(['}', ')'])).flat_map(|l| ["\n", l]),
            );
        }
        if let Some(other) = other.filter(|other| *other != name) {
            text.push_str(&declared(other));
        }
    }
    text
}

fn has_member(text: &str, member: &str) -> bool {
    text.match_indices(member).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + member.len()..].chars().next();
        before.is_some_and(|c| c == ' ') && after.is_some_and(|c| "(:<?".contains(c))
    })
}

#[tokio::test]
async fn every_global_and_each_of_its_members_is_declared() {
    let there = evaluate(
        "const own = (object, but) => Reflect.ownKeys(object).filter((key) => typeof key === 'string' && !but.includes(key));
        const members = (value) => typeof value !== 'function' ? [...own(value, []), ...own(Reflect.getPrototypeOf(value), ['constructor'])]
            : value.prototype === undefined ? []
            : [...own(value.prototype, ['constructor']), ...own(value, ['length', 'name', 'prototype'])];
        return Object.fromEntries(own(globalThis, ['NaN', 'Infinity', 'undefined'])
            .map((name) => [name, typeof globalThis[name] === 'object' && Reflect.getPrototypeOf(globalThis[name]) === Object.prototype
                ? own(globalThis[name], []) : members(globalThis[name])]));",
    )
    .await;
    let there: BTreeMap<String, Vec<String>> = serde_json::from_value(there).unwrap();
    let missing: Vec<String> = there
        .iter()
        .filter(|(name, _)| !is_of_the_language(name))
        .flat_map(|(name, members)| {
            let text = declared(name);
            let is_value = TYPES.lines().any(|line| {
                [format!("declare var {name}:"), format!("declare function {name}(")]
                    .iter()
                    .any(|s| line.starts_with(s))
                    || line.starts_with(&format!("declare function {name}<"))
            });
            let unknown = members.iter().filter(move |member| !has_member(&text, member));
            let unknown = unknown.map(move |member| format!("{name}.{member}"));
            let unknown = unknown.filter(|member| !is_undocumented(member));
            (!is_value).then(|| name.clone()).into_iter().chain(unknown)
        })
        .collect();
    assert!(there.len() > 80, "{there:?}");
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn what_came_to_the_language_late_is_declared_too() {
    for member in ["toBase64", "toHex", "setFromBase64", "setFromHex"] {
        assert!(has_member(&declared("Uint8Array"), member), "{member}");
    }
    for member in ["fromBase64", "fromHex"] {
        assert!(has_member(&declared("Uint8ArrayConstructor"), member), "{member}");
    }
}
