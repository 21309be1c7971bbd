//! Attribute names: which field of a subject a path leads to (RFC 7644
//! §3.10, RFC 7643 §2.1). Core fields come first and in any case; everything
//! else is a way into the attributes, whose names are exact.

use super::FilterError;
use super::ast::{ContainerField, Field, Step};
use super::lexer::{Parser, quoted};
use crate::domain::subject::SubjectKind;

/// Explicit prefix of attributes, for those that a core field would hide.
pub(super) const ATTRIBUTES: &str = "attributes";
/// Schemas whose attributes are those of the subject itself (RFC 7643 §4).
const CORE_SCHEMAS: [&str; 2] =
    ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:core:2.0:Group"];

/// Where a path of a subject leads.
pub(super) enum Subject {
    Core(Field),
    Containers(SubjectKind, Option<ContainerField>),
    Attributes(Vec<Step>),
}

/// Words that no path may consist of.
pub(super) fn reserved(word: &str) -> bool {
    ["and", "or", "not"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

/// The name by which filters address the containers of a kind.
pub(super) fn containers_name(kind: SubjectKind) -> &'static str {
    if kind == SubjectKind::Organization { "organization" } else { "groups" }
}

/// Resolves a path of a subject that stands at byte `at`.
pub(super) fn subject(parser: &Parser<'_>, word: &str, at: usize) -> Result<Subject, FilterError> {
    let Some((schema, names)) = schema(word) else { return plain(parser, word, at) };
    let at = at + schema.len() + 1;
    if CORE_SCHEMAS.iter().any(|core| core.eq_ignore_ascii_case(schema)) {
        return plain(parser, names, at);
    }
    let mut steps = vec![Step::Member(schema.to_owned())];
    steps.extend(members(parser, names, at)?);
    Ok(Subject::Attributes(steps))
}

/// Splits `urn:…:User:department` at the last colon.
fn schema(word: &str) -> Option<(&str, &str)> {
    let (schema, names) = word.rsplit_once(':')?;
    let urn = schema.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("urn:"));
    (urn && schema.bytes().all(|byte| byte.is_ascii_graphic())).then_some((schema, names))
}

fn plain(parser: &Parser<'_>, word: &str, at: usize) -> Result<Subject, FilterError> {
    let (first, rest) = match word.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (word, None),
    };
    let behind = at + first.len() + 1;
    if first.eq_ignore_ascii_case(ATTRIBUTES) {
        let names = rest.ok_or_else(|| {
            parser.fault(behind - 1, "expected \".\" and the name of an attribute behind \"attributes\"")
        })?;
        return members(parser, names, behind).map(Subject::Attributes);
    }
    for kind in [SubjectKind::Group, SubjectKind::Organization] {
        if first.eq_ignore_ascii_case(containers_name(kind)) {
            let field = rest.map(|name| container(parser, name, behind)).transpose()?;
            return Ok(Subject::Containers(kind, field));
        }
    }
    match (core(word), core(first)) {
        (Some(field), _) => Ok(Subject::Core(field)),
        (None, Some(field)) => Err(parser.fault(
            behind - 1,
            format!("expected an operator such as eq behind {field}, which has no sub-attributes (\"attributes.{field}\" is an attribute of that name), found \".\""),
        )),
        (None, None) => members(parser, word, at).map(Subject::Attributes),
    }
}

/// The core field of a name; SCIM keeps the times in `meta` (RFC 7643 §3.1).
fn core(name: &str) -> Option<Field> {
    let aliases = [("meta.created", Field::CreatedAt), ("meta.lastModified", Field::UpdatedAt)];
    let names = Field::ALL.iter().map(|field| (field.as_str(), *field));
    names.chain(aliases).find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, field)| field)
}

/// Whether a way into the attributes would be read as something else without
/// its explicit prefix.
pub(super) fn hidden(first: &str, second: Option<&str>) -> bool {
    let meta = second.map(|second| format!("{first}.{second}"));
    let others = [ATTRIBUTES, "groups", "organization"];
    core(first).is_some()
        || meta.is_some_and(|name| core(&name).is_some())
        || others.iter().any(|other| first.eq_ignore_ascii_case(other))
        || reserved(first)
}

/// A field of one group or organization; SCIM calls its id `value` and its
/// name `display` (RFC 7643 §4.1.2).
pub(super) fn container(parser: &Parser<'_>, name: &str, at: usize) -> Result<ContainerField, FilterError> {
    let aliases = [("value", ContainerField::Id), ("display", ContainerField::DisplayName)];
    let names = ContainerField::ALL.iter().map(|field| (field.as_str(), *field));
    names
        .chain(aliases)
        .find(|(known, _)| name.eq_ignore_ascii_case(known))
        .map(|(_, field)| field)
        .ok_or_else(|| {
            let found = if name.is_empty() { "nothing".into() } else { quoted(name) };
            parser.fault(
                at,
                format!("expected displayName, externalId or id of a group or organization, found {found}"),
            )
        })
}

/// The members that names joined by dots lead through.
pub(super) fn members(parser: &Parser<'_>, names: &str, at: usize) -> Result<Vec<Step>, FilterError> {
    let mut at = at;
    let mut steps = Vec::new();
    for name in names.split('.') {
        check_name(name).map_err(|(offset, message)| parser.fault(at + offset, message))?;
        steps.push(Step::Member(name.to_owned()));
        at += name.len() + 1;
    }
    Ok(steps)
}

/// RFC 7644's ATTRNAME, with letters of any script, `_` and `$` in any place.
fn check_name(name: &str) -> Result<(), (usize, String)> {
    let begins = |c: char| unicode_ident::is_xid_start(c) || matches!(c, '_' | '$');
    let continues = |c: char| unicode_ident::is_xid_continue(c) || matches!(c, '-' | '$');
    match name.chars().next() {
        None => return Err((0, "expected an attribute name, found nothing".into())),
        Some(first) if begins(first) => {}
        Some(_) => {
            return Err((0, format!("expected an attribute name such as userName, found {}", quoted(name))));
        }
    }
    match name.char_indices().find(|(_, c)| !continues(*c)) {
        None => Ok(()),
        Some((offset, c)) => {
            let found = quoted(c.encode_utf8(&mut [0; 4]));
            Err((
                offset,
                format!(
                    "expected a letter, a digit, \"-\", \"_\" or \"$\" in an attribute name, found {found}"
                ),
            ))
        }
    }
}
