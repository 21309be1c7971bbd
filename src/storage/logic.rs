//! Logic: one draft a target, published versions that never change, and the
//! artefacts that hosts run.

use chrono::{DateTime, Utc};
use diesel::dsl::{exists, not, sql};
use diesel::prelude::*;
use diesel::sql_types::{Integer, Text};
use serde_json::Value;

use super::DbError;
use super::schema::{logic_artefacts, logic_canaries, logic_drafts, logic_versions, targets};
use crate::domain::ids::TargetId;
use crate::domain::who::Who;

/// What a host runs, named by its hash.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = logic_artefacts)]
pub struct Artefact {
    /// SHA-256 of all the others, in hexadecimal.
    pub id: String,
    /// One ES module.
    pub code: String,
    /// A source map (revision 3) of it.
    pub source_map: Option<String>,
    /// The packages in it, a list.
    pub packages: Value,
    /// Which packages were chosen; opaque.
    pub lock: Value,
}

/// What an author wrote.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = logic_drafts, treat_none_as_null = true)]
pub struct Draft {
    /// Source text.
    pub code: String,
    /// `javascript` or `typescript`; `None` while nobody knows.
    pub language: Option<String>,
    /// Package name to version range.
    pub package_dependencies: Value,
    /// What it was built to; `None` while it is not validated.
    pub artefact: Option<String>,
    /// Which packages were chosen before, while it has no artefact that says it.
    pub lock: Option<Value>,
    /// What was found meanwhile.
    pub report: Value,
    /// The name of the token that saved it.
    pub saved_by: String,
    /// Which one it was.
    pub saved_by_token: Option<i64>,
    /// Where it was saved from.
    pub saved_by_address: Option<String>,
    /// When it was saved.
    pub updated_at: DateTime<Utc>,
}

/// A published version.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = logic_versions)]
pub struct Version {
    /// From 1.
    pub version: i32,
    /// Source text.
    pub code: String,
    /// `javascript` or `typescript`.
    pub language: String,
    /// Package name to version range.
    pub package_dependencies: Value,
    /// What it was built to.
    pub artefact: String,
    /// What was found meanwhile.
    pub report: Value,
    /// The name of the token that published it.
    pub published_by: String,
    /// Which one it was.
    pub published_by_token: Option<i64>,
    /// Where it was published from.
    pub published_by_address: Option<String>,
    /// When.
    pub published_at: DateTime<Utc>,
    /// Why.
    pub note: String,
    /// The version whose logic it is again.
    pub restores: Option<i32>,
}

/// A published version without what is long.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = logic_versions)]
pub struct VersionHead {
    /// From 1.
    pub version: i32,
    /// `javascript` or `typescript`.
    pub language: String,
    /// Package name to version range.
    pub package_dependencies: Value,
    /// What it was built to.
    pub artefact: String,
    /// The name of the token that published it.
    pub published_by: String,
    /// Which one it was.
    pub published_by_token: Option<i64>,
    /// Where it was published from.
    pub published_by_address: Option<String>,
    /// When.
    pub published_at: DateTime<Utc>,
    /// Why.
    pub note: String,
    /// The version whose logic it is again.
    pub restores: Option<i32>,
}

impl From<Version> for VersionHead {
    fn from(whole: Version) -> Self {
        Self {
            version: whole.version,
            language: whole.language,
            package_dependencies: whole.package_dependencies,
            artefact: whole.artefact,
            published_by: whole.published_by,
            published_by_token: whole.published_by_token,
            published_by_address: whole.published_by_address,
            published_at: whole.published_at,
            note: whole.note,
            restores: whole.restores,
        }
    }
}

/// Who publishes, and why.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// Who.
    pub who: &'a Who,
    /// In their words; may be empty.
    pub note: &'a str,
}

/// Saves the draft of a target, and what it was built to.
pub fn save_draft(
    connection: &mut PgConnection,
    target: TargetId,
    draft: &Draft,
    artefact: Option<&Artefact>,
) -> Result<(), DbError> {
    connection.transaction(|connection| {
        keep_artefact(connection, artefact)?;
        diesel::insert_into(logic_drafts::table)
            .values((logic_drafts::target_id.eq(target.0), draft))
            .on_conflict(logic_drafts::target_id)
            .do_update()
            .set(draft)
            .execute(connection)?;
        forget_unused(connection)
    })
}

/// Saves what was found about a draft, unless it is another one than that of
/// `saved_at` by now; says whether it did.
pub fn save_validated(
    connection: &mut PgConnection,
    target: TargetId,
    saved_at: DateTime<Utc>,
    draft: &Draft,
    artefact: Option<&Artefact>,
) -> Result<bool, DbError> {
    connection.transaction(|connection| {
        keep_artefact(connection, artefact)?;
        let same = logic_drafts::table.find(target.0).filter(logic_drafts::updated_at.eq(saved_at));
        let saved = diesel::update(same).set(draft).execute(connection)?;
        forget_unused(connection)?;
        Ok(saved > 0)
    })
}

fn keep_artefact(connection: &mut PgConnection, artefact: Option<&Artefact>) -> Result<(), DbError> {
    if let Some(artefact) = artefact {
        diesel::insert_into(logic_artefacts::table)
            .values(artefact)
            .on_conflict_do_nothing()
            .execute(connection)?;
    }
    Ok(())
}

/// Artefacts of drafts that were replaced. Young ones are left to whoever is
/// about to name them.
fn forget_unused(connection: &mut PgConnection) -> Result<(), DbError> {
    let used_by_draft = logic_drafts::table.filter(logic_drafts::artefact.eq(logic_artefacts::id.nullable()));
    let used_by_version = logic_versions::table.filter(logic_versions::artefact.eq(logic_artefacts::id));
    diesel::delete(logic_artefacts::table)
        .filter(not(exists(used_by_draft)))
        .filter(not(exists(used_by_version)))
        .filter(logic_artefacts::created_at.lt(Utc::now() - chrono::Duration::hours(1)))
        .execute(connection)?;
    Ok(())
}

/// The draft of a target.
pub fn draft(connection: &mut PgConnection, target: TargetId) -> Result<Option<Draft>, DbError> {
    Ok(logic_drafts::table.find(target.0).select(Draft::as_select()).first(connection).optional()?)
}

/// An artefact by its hash.
pub fn artefact(connection: &mut PgConnection, id: &str) -> Result<Option<Artefact>, DbError> {
    Ok(logic_artefacts::table.find(id).select(Artefact::as_select()).first(connection).optional()?)
}

/// So many characters of the code of an artefact; fewer at its end.
pub fn part_of_code(
    connection: &mut PgConnection,
    artefact: &str,
    after: i32,
    characters: i32,
) -> Result<Option<String>, DbError> {
    let part = sql::<Text>("substr(code, ")
        .bind::<Integer, _>(after.saturating_add(1))
        .sql(", ")
        .bind::<Integer, _>(characters)
        .sql(")");
    Ok(logic_artefacts::table.find(artefact).select(part).first(connection).optional()?)
}

/// A published version.
pub fn version(
    connection: &mut PgConnection,
    target: TargetId,
    version: i32,
) -> Result<Option<Version>, DbError> {
    let found = logic_versions::table.find((target.0, version)).select(Version::as_select());
    Ok(found.first(connection).optional()?)
}

/// At most `limit` published versions, newest first, older than `before`.
pub fn versions(
    connection: &mut PgConnection,
    target: TargetId,
    before: Option<i32>,
    limit: i64,
) -> Result<Vec<VersionHead>, DbError> {
    Ok(logic_versions::table
        .filter(logic_versions::target_id.eq(target.0))
        .filter(logic_versions::version.lt(before.unwrap_or(i32::MAX)))
        .order(logic_versions::version.desc())
        .limit(limit)
        .select(VersionHead::as_select())
        .load(connection)?)
}

/// The version that all ran before `published`: the newest one below it, or below
/// the one that it restores, with other logic. One that never was more than a
/// trial is none.
pub fn before(
    connection: &mut PgConnection,
    target: TargetId,
    published: i32,
) -> Result<Option<i32>, DbError> {
    let Some(current) = version(connection, target, published)? else { return Ok(None) };
    let trials = logic_canaries::table
        .filter(logic_canaries::target_id.eq(logic_versions::target_id))
        .filter(logic_canaries::version.eq(logic_versions::version));
    let promoted = trials.filter(logic_canaries::state.eq("promoted"));
    Ok(logic_versions::table
        .filter(logic_versions::target_id.eq(target.0))
        .filter(logic_versions::version.lt(current.restores.unwrap_or(published)))
        .filter(logic_versions::artefact.ne(current.artefact))
        .filter(not(exists(trials)).or(exists(promoted)))
        .select(diesel::dsl::max(logic_versions::version))
        .first(connection)?)
}

/// Publishes the draft as the next version; `None` when it was not built to
/// `tested`.
pub fn publish(
    connection: &mut PgConnection,
    target: TargetId,
    tested: &str,
    by: By<'_>,
) -> Result<Option<Version>, DbError> {
    connection.transaction(|connection| {
        let next = next_version(connection, target)?;
        let draft = draft(connection, target)?;
        let Some(draft) = draft.filter(|draft| draft.artefact.as_deref() == Some(tested)) else {
            return Ok(None);
        };
        // One that was built has a language.
        let Some(language) = draft.language else { return Ok(None) };
        let artefact = tested.to_owned();
        let version = Version {
            version: next,
            code: draft.code,
            language,
            package_dependencies: draft.package_dependencies,
            artefact,
            report: draft.report,
            published_by: by.who.name.clone(),
            published_by_token: by.who.token_number(),
            published_by_address: by.who.address_text(),
            published_at: Utc::now(),
            note: by.note.into(),
            restores: None,
        };
        insert(connection, target, &version)?;
        Ok(Some(version))
    })
}

/// Publishes what an earlier version was as the next one; `None` when there is
/// no such version.
pub fn restore(
    connection: &mut PgConnection,
    target: TargetId,
    earlier: i32,
    by: By<'_>,
) -> Result<Option<Version>, DbError> {
    connection.transaction(|connection| {
        let next = next_version(connection, target)?;
        let Some(earlier) = version(connection, target, earlier)? else { return Ok(None) };
        let restored = Version {
            version: next,
            published_by: by.who.name.clone(),
            published_by_token: by.who.token_number(),
            published_by_address: by.who.address_text(),
            published_at: Utc::now(),
            note: by.note.into(),
            restores: Some(earlier.version),
            ..earlier
        };
        insert(connection, target, &restored)?;
        Ok(Some(restored))
    })
}

/// Locks the target: two publications at once get numbers of their own.
fn next_version(connection: &mut PgConnection, target: TargetId) -> Result<i32, DbError> {
    targets::table.find(target.0).select(targets::id).for_no_key_update().execute(connection)?;
    let last: Option<i32> = logic_versions::table
        .filter(logic_versions::target_id.eq(target.0))
        .select(diesel::dsl::max(logic_versions::version))
        .first(connection)?;
    Ok(last.unwrap_or(0) + 1)
}

fn insert(connection: &mut PgConnection, target: TargetId, version: &Version) -> Result<(), DbError> {
    let Version { code, language, package_dependencies, artefact, report, published_by, note, .. } = version;
    diesel::insert_into(logic_versions::table)
        .values((
            logic_versions::target_id.eq(target.0),
            logic_versions::version.eq(version.version),
            logic_versions::code.eq(code),
            logic_versions::language.eq(language),
            logic_versions::package_dependencies.eq(package_dependencies),
            logic_versions::artefact.eq(artefact),
            logic_versions::report.eq(report),
            logic_versions::published_by.eq(published_by),
            logic_versions::published_by_token.eq(version.published_by_token),
            logic_versions::published_by_address.eq(&version.published_by_address),
            logic_versions::published_at.eq(version.published_at),
            logic_versions::note.eq(note),
            logic_versions::restores.eq(version.restores),
        ))
        .execute(connection)?;
    Ok(())
}

/// Makes a version the one that runs.
pub fn run_version(connection: &mut PgConnection, target: TargetId, version: i32) -> Result<(), DbError> {
    diesel::update(targets::table.find(target.0))
        .set(targets::logic_version.eq(version))
        .execute(connection)?;
    Ok(())
}
