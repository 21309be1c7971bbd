//! How other subjects stand at a target: their records, their links, their work.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use crate::domain::filter::Filter;
use crate::domain::ids::{SubjectId, TargetId};
use crate::domain::status::UnknownWord;
use crate::domain::subject::Subject;
use crate::domain::target::Target;
use crate::plan::{Field, Holder, Known, Place, Scope, Undone, Waited, Work};
use crate::storage::DbError;
use crate::storage::subjects::{self, numbers};

/// Others at a target, by subject.
pub(in crate::storage) struct Facts(HashMap<SubjectId, Fact>);

/// What there is about one of them.
pub(in crate::storage) struct Fact {
    pub subject: Subject,
    pub holder: Holder,
    pub remote_id: Option<String>,
    pub last_run_at: Option<DateTime<Utc>>,
    lot: Option<i64>,
    message: String,
    has_state: bool,
}

/// Another subject that keeps one waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// Which one.
    pub subject: SubjectId,
    /// Its log-in name.
    pub user_name: String,
    /// What both are known by.
    pub field: Field,
    /// What it has still to do.
    pub undone: Undone,
    /// The lot that holds it.
    pub lot: Option<i64>,
    /// What its last run said.
    pub message: String,
}

impl Blocker {
    /// One sentence about it.
    pub fn why(&self) -> String {
        let Self { subject, user_name, field, undone, lot, message } = self;
        let (subject, field, undone, lot) = (*subject, *field, *undone, *lot);
        Waited { subject, user_name, field, undone, lot, message }.why()
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    subject_id: i64,
    #[diesel(sql_type = Nullable<Text>)]
    status: Option<String>,
    #[diesel(sql_type = Bool)]
    present: bool,
    #[diesel(sql_type = Bool)]
    in_scope: bool,
    #[diesel(sql_type = BigInt)]
    done_version: i64,
    #[diesel(sql_type = BigInt)]
    taken_version: i64,
    #[diesel(sql_type = Bool)]
    dead: bool,
    #[diesel(sql_type = Nullable<Text>)]
    remote_id: Option<String>,
    #[diesel(sql_type = Text)]
    message: String,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_run_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    trigger: Option<String>,
    #[diesel(sql_type = Bool)]
    deprovision: bool,
    #[diesel(sql_type = Nullable<Text>)]
    place: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    lot: Option<i64>,
}

/// The words are those of [`Place`].
const FACTS: &str = "SELECT s.subject_id, st.status, coalesce(st.present, false) AS present, \
        coalesce(st.in_scope, false) AS in_scope, coalesce(st.done_version, 0) AS done_version, \
        coalesce(st.taken_version, 0) AS taken_version, coalesce(st.dead, false) AS dead, st.remote_id, \
        coalesce(st.message, '') AS message, st.last_run_at, p.trigger, \
        coalesce(p.reason IS NOT NULL, false) AS deprovision, p.held_id AS lot, \
        CASE WHEN p.trigger IS NULL THEN NULL WHEN p.owner IS NOT NULL THEN 'running' \
            WHEN p.departure = 'held' AND EXISTS (SELECT FROM held h WHERE h.id = p.held_id \
                AND (h.state = 'rejected' OR h.state = 'open' AND h.expires_at <= now())) THEN 'rejected' \
            WHEN p.departure = 'held' THEN 'held' WHEN p.priority = 3 THEN 'paused' \
            WHEN p.due_at = 'infinity' THEN 'waiting' WHEN p.due_at <= clock_timestamp() THEN 'due' \
            ELSE 'later' END AS place \
    FROM unnest($2) AS s(subject_id) \
    LEFT JOIN provision_state st ON st.target_id = $1 AND st.subject_id = s.subject_id \
    LEFT JOIN pending p ON p.target_id = $1 AND p.subject_id = s.subject_id";

impl Facts {
    /// Reads how these stand at the target.
    pub(in crate::storage) fn load(
        connection: &mut PgConnection,
        target: &Target,
        about: &[SubjectId],
    ) -> Result<Self, DbError> {
        if about.is_empty() {
            return Ok(Self(HashMap::new()));
        }
        let filter = Filter::parse(&target.settings.filter)
            .map_err(|error| DbError::Corrupt(format!("filter of target {}: {error}", target.id)))?;
        let rows: Vec<Row> = sql_query(FACTS)
            .bind::<BigInt, _>(target.id.0)
            .bind::<Array<BigInt>, _>(numbers(about))
            .load(connection)?;
        let mut rows: HashMap<i64, Row> = rows.into_iter().map(|row| (row.subject_id, row)).collect();
        let now = Utc::now();
        let mut facts = HashMap::new();
        for subject in subjects::load(connection, about)? {
            let scope = Scope {
                version: subject.version,
                deleted: subject.deleted_at.is_some(),
                matches: filter.matches(&subject, now),
            };
            if let Some(row) = rows.remove(&subject.id.0) {
                facts.insert(subject.id, row.read(subject, scope)?);
            }
        }
        Ok(Self(facts))
    }

    pub(in crate::storage) fn get(&self, subject: SubjectId) -> Option<&Fact> {
        self.0.get(&subject)
    }

    pub(super) fn undone(&self, other: SubjectId, given_up: i64) -> Option<Undone> {
        self.get(other)?.holder.undone(given_up)
    }

    /// From now on its work waits.
    pub(super) fn waits(&mut self, subject: SubjectId) {
        let work = self.0.get_mut(&subject).and_then(|fact| fact.holder.queued.as_mut());
        if let Some((_, place)) = work {
            *place = Place::Waiting;
        }
    }

    pub(super) fn blocker(&self, other: SubjectId, field: Field, given_up: i64) -> Option<Blocker> {
        let fact = self.get(other)?;
        let undone = fact.holder.undone(given_up)?;
        let (user_name, message) = (fact.name().to_owned(), fact.message.clone());
        Some(Blocker { subject: other, user_name, field, undone, lot: fact.lot, message })
    }
}

impl Fact {
    /// What people know it by.
    pub(in crate::storage) fn name(&self) -> &str {
        self.subject.user_name.as_deref().or(self.subject.display_name.as_deref()).unwrap_or_default()
    }
}

impl Row {
    fn read(self, subject: Subject, scope: Scope) -> Result<Fact, DbError> {
        let corrupt = |error: UnknownWord| DbError::Corrupt(error.to_string());
        let trigger = self.trigger.as_deref().map(str::parse).transpose().map_err(corrupt)?;
        let place: Option<Place> = self.place.as_deref().map(str::parse).transpose().map_err(corrupt)?;
        let work = trigger.map(|trigger| Work { trigger, deprovision: self.deprovision });
        let holder = Holder {
            scope,
            known: Known {
                status: self.status.as_deref().map(str::parse).transpose().map_err(corrupt)?,
                present: self.present,
                in_scope: self.in_scope,
                done_version: self.done_version,
            },
            taken_version: self.taken_version,
            dead: self.dead,
            queued: work.zip(place),
        };
        Ok(Fact {
            subject,
            holder,
            remote_id: self.remote_id,
            last_run_at: self.last_run_at,
            lot: self.lot,
            message: self.message,
            has_state: self.status.is_some(),
        })
    }
}

/// Work and links that nobody else can write before the transaction ends.
pub(super) struct Seized {
    work: HashSet<SubjectId>,
    state: HashSet<SubjectId>,
}

impl Seized {
    /// Whether all that there is about one was seized.
    pub(super) fn holds(&self, subject: SubjectId, fact: &Fact) -> bool {
        (fact.holder.queued.is_none() || self.work.contains(&subject))
            && (!fact.has_state || self.state.contains(&subject))
    }
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = BigInt)]
    subject_id: i64,
}

/// Locks what there is about these, as far as nobody is writing it: against claims
/// and completions, not against what makes work due.
pub(super) fn seize(
    connection: &mut PgConnection,
    target: TargetId,
    about: &[SubjectId],
) -> Result<Seized, DbError> {
    let mut lock = |table: &str, strength: &str| -> Result<HashSet<SubjectId>, DbError> {
        let rows: Vec<Locked> = sql_query(format!(
            "SELECT subject_id FROM {table} WHERE target_id = $1 AND subject_id = ANY($2) \
             FOR {strength} SKIP LOCKED"
        ))
        .bind::<BigInt, _>(target.0)
        .bind::<Array<BigInt>, _>(numbers(about))
        .load(connection)?;
        Ok(rows.into_iter().map(|row| SubjectId(row.subject_id)).collect())
    };
    Ok(Seized { work: lock("pending", "KEY SHARE")?, state: lock("provision_state", "SHARE")? })
}
