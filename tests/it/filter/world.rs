//! Generated subjects in a database, and the same ones in memory.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Jsonb, Nullable, Text, Timestamptz};
use provisiond::domain::ids::{StoreId, SubjectId};
use provisiond::domain::subject::{Container, Subject, SubjectKind, SubjectStatus};
use serde_json::{Map, Value};

use super::generate::{Draft, Membership, now};

/// The containers of every world; `true` is deleted.
const CONTAINERS: [(SubjectKind, &str, Option<&str>, bool); 9] = [
    (SubjectKind::Group, "a", Some("A"), false),
    (SubjectKind::Group, "Ab c", None, false),
    (SubjectKind::Group, "ä", Some("5"), false),
    (SubjectKind::Group, "5", Some("ab"), false),
    (SubjectKind::Group, "b", Some("b"), true),
    (SubjectKind::Organization, "Work", Some("work"), false),
    (SubjectKind::Organization, "a", Some("z"), false),
    (SubjectKind::Organization, "Z", None, true),
    (SubjectKind::Type, "k", Some("k"), false),
];
/// How many there are.
pub const CONTAINER_COUNT: usize = CONTAINERS.len();

#[derive(QueryableByName)]
struct Inserted {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = Jsonb)]
    attributes: Value,
}

/// Inserts a store with its containers and subjects; returns the store and the
/// subjects as production would read them.
pub fn insert(connection: &mut PgConnection, drafts: Vec<Draft>) -> (StoreId, Vec<Subject>) {
    let store: Inserted =
        sql_query("INSERT INTO stores (name) VALUES (gen_random_uuid()::text) RETURNING id")
            .get_result(connection)
            .unwrap();
    let store = StoreId(store.id);
    let containers: Vec<_> =
        CONTAINERS.iter().map(|container| insert_container(connection, store, container)).collect();
    let numbered = drafts.into_iter().enumerate();
    let subjects = numbered
        .map(|(number, draft)| insert_subject(connection, store, number, draft, &containers))
        .collect();
    (store, subjects)
}

/// A subject with nothing but attributes.
pub fn bare(attributes: &Map<String, Value>) -> Subject {
    Subject {
        id: SubjectId(1),
        store: StoreId(1),
        kind: SubjectKind::Account,
        external_id: None,
        user_name: None,
        display_name: None,
        status: SubjectStatus::Active,
        attributes: attributes.clone(),
        version: 1,
        created_at: now(),
        updated_at: now(),
        deleted_at: None,
        containers: Vec::new(),
    }
}

fn insert_container(
    connection: &mut PgConnection,
    store: StoreId,
    (kind, name, external_id, deleted): &(SubjectKind, &str, Option<&str>, bool),
) -> (Container, bool) {
    let row: Inserted = sql_query(
        "INSERT INTO subjects (store_id, kind, display_name, external_id, deleted_at) \
         VALUES ($1, $2, $3, $4, CASE WHEN $5 = 'deleted' THEN now() END) RETURNING id",
    )
    .bind::<BigInt, _>(store.0)
    .bind::<Text, _>(kind.as_str())
    .bind::<Text, _>(name)
    .bind::<Nullable<Text>, _>(external_id)
    .bind::<Text, _>(if *deleted { "deleted" } else { "" })
    .get_result(connection)
    .unwrap();
    let external_id = external_id.map(str::to_owned);
    (
        Container { id: SubjectId(row.id), kind: *kind, display_name: (*name).to_owned(), external_id },
        *deleted,
    )
}

/// Names must differ in a store, so most carry the number of their subject.
fn in_memory(store: StoreId, number: usize, draft: &Draft) -> Subject {
    // With a sign between them: "1" and "12" are not "11" and "2".
    let unique = |text: &str| format!("{text}-{number}");
    let account = draft.kind == SubjectKind::Account;
    let display_name = if account { draft.name.clone() } else { unique(&draft.name) };
    Subject {
        store,
        kind: draft.kind,
        external_id: draft.external_id.as_deref().map(unique),
        user_name: account.then(|| unique(&draft.name)),
        display_name: (!account || number.is_multiple_of(3)).then_some(display_name),
        status: draft.status,
        created_at: draft.created_at,
        updated_at: draft.updated_at,
        deleted_at: draft.deleted.then(now),
        ..bare(&draft.attributes)
    }
}

fn insert_subject(
    connection: &mut PgConnection,
    store: StoreId,
    number: usize,
    draft: Draft,
    containers: &[(Container, bool)],
) -> Subject {
    let mut subject = in_memory(store, number, &draft);
    let row: Inserted = sql_query(
        "INSERT INTO subjects (store_id, kind, external_id, user_name, display_name, status, attributes, created_at, \
         updated_at, deleted_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id",
    )
    .bind::<BigInt, _>(store.0)
    .bind::<Text, _>(subject.kind.as_str())
    .bind::<Nullable<Text>, _>(&subject.external_id)
    .bind::<Nullable<Text>, _>(&subject.user_name)
    .bind::<Nullable<Text>, _>(&subject.display_name)
    .bind::<Text, _>(subject.status.as_str())
    .bind::<Jsonb, _>(Value::Object(subject.attributes.clone()))
    .bind::<Timestamptz, _>(subject.created_at)
    .bind::<Timestamptz, _>(subject.updated_at)
    .bind::<Nullable<Timestamptz>, _>(subject.deleted_at)
    .get_result(connection)
    .unwrap();
    subject.id = SubjectId(row.id);
    for membership in draft.memberships {
        join(connection, &mut subject, &membership, &containers[membership.container]);
    }
    subject
}

fn join(
    connection: &mut PgConnection,
    subject: &mut Subject,
    membership: &Membership,
    container: &(Container, bool),
) {
    let (container, deleted) = container;
    let inserted = sql_query(
        "INSERT INTO memberships (container_id, member_id, role, valid_from, valid_through) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind::<BigInt, _>(container.id.0)
    .bind::<BigInt, _>(subject.id.0)
    .bind::<Text, _>(membership.role)
    .bind::<Nullable<Timestamptz>, _>(membership.valid_from)
    .bind::<Nullable<Timestamptz>, _>(membership.valid_through)
    .execute(connection)
    .unwrap();
    let begun = membership.valid_from.is_none_or(|from| from <= now());
    let in_force = begun && membership.valid_through.is_none_or(|through| through > now());
    if inserted == 1 && in_force && !deleted && membership.role == "member" {
        subject.containers.push(container.clone());
    }
}

/// The same subject with its attributes as the database returns them.
pub fn read_back(connection: &mut PgConnection, subject: &Subject) -> Subject {
    let stored: Stored = sql_query("SELECT attributes FROM subjects WHERE id = $1")
        .bind::<BigInt, _>(subject.id.0)
        .get_result(connection)
        .unwrap();
    Subject { attributes: stored.attributes.as_object().unwrap().clone(), ..subject.clone() }
}
