//! From the names that accounts give to containers: external id first, then
//! display name. A name that nothing bears makes a new container. Ids of the
//! store are no names: a group that its source calls `4711` is that one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text};
use serde_json::Map;

use super::SubjectError;
use super::write::{Taken, insert};
use crate::domain::ids::{StoreId, SubjectId};
use crate::domain::subject::{Container, FieldError, Subject, SubjectDraft, SubjectKind, SubjectStatus};
use crate::storage::DbError;

/// What the names of some drafts stand for.
#[derive(Debug, Default)]
pub(super) struct Names {
    found: HashMap<(SubjectKind, String), Container>,
}

/// The names that a draft gives, with the kind that each stands for.
fn named(draft: &SubjectDraft) -> impl Iterator<Item = (SubjectKind, &String)> {
    let groups = draft.groups.iter().map(|name| (SubjectKind::Group, name));
    groups.chain(draft.organization.iter().map(|name| (SubjectKind::Organization, name)))
}

/// Looks the names of drafts up and makes the containers that are missing.
/// Returns these as well: they are new subjects.
pub(super) fn resolve(
    connection: &mut PgConnection,
    store: StoreId,
    drafts: &[&SubjectDraft],
) -> Result<(Names, Vec<Subject>), SubjectError> {
    let mut wanted: BTreeMap<SubjectKind, BTreeSet<&str>> = BTreeMap::new();
    for (kind, name) in drafts.iter().flat_map(|draft| named(draft)) {
        wanted.entry(kind).or_default().insert(name);
    }
    let mut names = Names::default();
    let mut made = Vec::new();
    for (kind, texts) in wanted {
        names.look_up(connection, store, kind, &texts)?;
        let missing = names.missing(kind, &texts);
        if !missing.is_empty() {
            made.extend(make(connection, store, kind, &missing)?);
            // Also finds what another transaction made in the meantime.
            names.look_up(connection, store, kind, &missing)?;
        }
    }
    Ok((names, made))
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    display_name: String,
    #[diesel(sql_type = Nullable<Text>)]
    external_id: Option<String>,
}

impl Names {
    /// The containers that a draft names, sorted and without repetition. A
    /// name that one of the containers `before` bears stands for that one, so
    /// that a record which is read and sent back stays as it is.
    pub(super) fn containers(
        &self,
        draft: &SubjectDraft,
        before: &[Container],
    ) -> Result<Vec<Container>, FieldError> {
        let mut containers = Vec::new();
        for (kind, name) in named(draft) {
            let kept =
                before.iter().find(|container| container.kind == kind && container.display_name == *name);
            let container = kept.or_else(|| self.found.get(&(kind, name.clone())));
            containers.push(container.cloned().ok_or_else(|| unknown(kind, name))?);
        }
        // Vocabulary entries are not named by accounts and stay.
        containers.extend(before.iter().filter(|container| container.kind == SubjectKind::Type).cloned());
        super::rows::sort(&mut containers);
        containers.dedup_by_key(|container| container.id);
        Ok(containers)
    }

    fn missing<'a>(&self, kind: SubjectKind, texts: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
        let unknown = |text: &&&str| !self.found.contains_key(&(kind, (**text).to_owned()));
        texts.iter().filter(unknown).copied().collect()
    }

    fn look_up(
        &mut self,
        connection: &mut PgConnection,
        store: StoreId,
        kind: SubjectKind,
        texts: &BTreeSet<&str>,
    ) -> Result<(), DbError> {
        let rows = candidates(connection, store, kind, texts)?;
        for text in texts {
            let row = rows
                .iter()
                .find(|row| row.external_id.as_deref() == Some(*text))
                .or_else(|| rows.iter().find(|row| row.display_name.eq_ignore_ascii_case(text)));
            if let Some(row) = row {
                self.found.insert((kind, (*text).to_owned()), row.container(kind));
            }
        }
        Ok(())
    }
}

impl Row {
    fn container(&self, kind: SubjectKind) -> Container {
        Container {
            id: SubjectId(self.id),
            kind,
            display_name: self.display_name.clone(),
            external_id: self.external_id.clone(),
        }
    }
}

fn unknown(kind: SubjectKind, name: &str) -> FieldError {
    let field = if kind == SubjectKind::Group { "groups" } else { "organization" };
    FieldError::new(field, format!("names `{name}`, which was deleted this moment: try again"))
}

fn candidates(
    connection: &mut PgConnection,
    store: StoreId,
    kind: SubjectKind,
    texts: &BTreeSet<&str>,
) -> Result<Vec<Row>, DbError> {
    let exact: Vec<&str> = texts.iter().copied().collect();
    let folded: Vec<String> = texts.iter().map(|text| text.to_ascii_lowercase()).collect();
    let rows = diesel::sql_query(
        "SELECT id, display_name, external_id FROM subjects \
         WHERE store_id = $1 AND kind = $2 AND kind <> 'account' AND deleted_at IS NULL \
           AND (external_id = ANY($3) OR lower(display_name COLLATE \"C\") = ANY($4))",
    )
    .bind::<BigInt, _>(store.0)
    .bind::<Text, _>(kind.as_str())
    .bind::<Array<Text>, _>(exact)
    .bind::<Array<Text>, _>(folded)
    .load(connection)?;
    Ok(rows)
}

/// Makes containers of the names. The set is sorted, so that two transactions
/// that make the same ones cannot wait for each other.
fn make(
    connection: &mut PgConnection,
    store: StoreId,
    kind: SubjectKind,
    names: &BTreeSet<&str>,
) -> Result<Vec<Subject>, SubjectError> {
    let folded: BTreeMap<String, &str> =
        names.iter().rev().map(|name| (name.to_ascii_lowercase(), *name)).collect();
    let drafts: Vec<SubjectDraft> = folded.into_values().map(named_draft).collect();
    insert(connection, store, kind, &drafts.iter().collect::<Vec<_>>(), Taken::Skips)
}

fn named_draft(name: &str) -> SubjectDraft {
    SubjectDraft {
        external_id: None,
        user_name: None,
        display_name: Some(name.to_owned()),
        status: SubjectStatus::Active,
        attributes: Map::new(),
        groups: BTreeSet::new(),
        organization: None,
    }
}
