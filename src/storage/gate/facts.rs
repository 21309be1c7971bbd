//! What the gate looks at: the other targets of the store, and how subjects
//! stand there.

use std::collections::{HashMap, HashSet};

use chrono::Utc;
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Nullable, SmallInt, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};
use serde_json::Value;

use super::Dependency;
use crate::domain::filter::Filter;
use crate::domain::ids::{StoreId, SubjectId, TargetId};
use crate::domain::status::{ProvisionStatus, Trigger, UnknownWord};
use crate::domain::subject::Subject;
use crate::domain::target::Target;
use crate::plan::{Known, Links, Neighbour, Node, Queued, Scope, Tie, Work};
use crate::storage::dependencies::numbers;
use crate::storage::queue::PRIORITY_PARKED;
use crate::storage::{DbError, subjects, targets};

/// The targets that one is tied to, as they are now: no cache could be trusted
/// about what decides over the order of calls.
pub(super) struct Others(Vec<Other>);

struct Other {
    target: Target,
    filter: Filter,
    tie: Tie,
    able: bool,
}

type Pair = (TargetId, SubjectId);

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

impl Others {
    pub(super) fn load(connection: &mut PgConnection, target: &Target) -> Result<Self, DbError> {
        let all = targets::list(connection, Some(target.store))?;
        let links = Links::of(target.id, &all.iter().map(Node::from).collect::<Vec<_>>());
        let tied: Vec<Target> =
            all.into_iter().filter(|other| links.tie(other.id) != Tie::default()).collect();
        let well: Vec<Id> = sql_query(
            "SELECT id FROM targets WHERE id = ANY($1) AND NOT paused AND breaker IS NULL AND owner_until > now()",
        )
        .bind::<Array<BigInt>, _>(tied.iter().map(|other| other.id.0).collect::<Vec<_>>())
        .load(connection)?;
        let well: HashSet<i64> = well.into_iter().map(|row| row.id).collect();
        let other = |target: Target| {
            let filter = Filter::parse(&target.settings.filter)
                .map_err(|error| DbError::Corrupt(format!("filter of target {}: {error}", target.id)))?;
            let (tie, able) = (links.tie(target.id), well.contains(&target.id.0));
            Ok(Other { filter, tie, able, target })
        };
        tied.into_iter().map(other).collect::<Result<_, DbError>>().map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn ids(&self) -> Vec<TargetId> {
        self.0.iter().map(|other| other.target.id).collect()
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.0.iter().map(|other| &other.target)
    }

    /// How subjects stand at these targets.
    pub(super) fn facts(&self, connection: &mut PgConnection, about: &[SubjectId]) -> Result<Facts, DbError> {
        let rows: Vec<Row> = sql_query(
            "SELECT t.target_id, s.subject_id, st.status, coalesce(st.present, false) AS present, \
                coalesce(st.in_scope, false) AS in_scope, coalesce(st.done_version, 0) AS done_version, \
                coalesce(st.provisioned, false) AS provisioned, st.remote_id, st.metadata, \
                coalesce(st.message, '') AS message, p.trigger, coalesce(p.reason IS NOT NULL, false) AS deprovision, \
                coalesce(p.owner IS NOT NULL OR p.due_at <= clock_timestamp(), false) AS active, \
                coalesce(p.owner IS NOT NULL OR p.priority <> $3, false) AS goes_on, \
                st.status IS NOT NULL AS has_state \
             FROM unnest($1) AS t(target_id) CROSS JOIN unnest($2) AS s(subject_id) \
             LEFT JOIN provision_state st ON st.target_id = t.target_id AND st.subject_id = s.subject_id \
             LEFT JOIN pending p ON p.target_id = t.target_id AND p.subject_id = s.subject_id \
             WHERE st.status IS NOT NULL OR p.trigger IS NOT NULL",
        )
        .bind::<Array<BigInt>, _>(numbers(&self.ids()))
        .bind::<Array<BigInt>, _>(subjects::numbers(about))
        .bind::<SmallInt, _>(PRIORITY_PARKED)
        .load(connection)?;
        rows.into_iter().map(Row::read).collect::<Result<_, DbError>>().map(Facts)
    }

    /// Keeps what is known of subjects at these targets from being written for
    /// the rest of the transaction, and what the targets of the store are, as far
    /// as nobody is writing it.
    pub(super) fn seize(
        &self,
        connection: &mut PgConnection,
        store: StoreId,
        about: &[SubjectId],
    ) -> Result<Seized, DbError> {
        let targets: Vec<Id> = sql_query(
            "SELECT id FROM targets WHERE store_id = $1 AND deleted_at IS NULL FOR SHARE SKIP LOCKED",
        )
        .bind::<BigInt, _>(store.0)
        .load(connection)?;
        let mut lock = |table: &str, strength: &str| -> Result<HashSet<Pair>, DbError> {
            let rows: Vec<Locked> = sql_query(format!(
                "SELECT target_id, subject_id FROM {table} WHERE target_id = ANY($1) AND subject_id = ANY($2) \
                 FOR {strength} SKIP LOCKED"
            ))
            .bind::<Array<BigInt>, _>(numbers(&self.ids()))
            .bind::<Array<BigInt>, _>(subjects::numbers(about))
            .load(connection)?;
            Ok(rows.into_iter().map(|row| (TargetId(row.target_id), SubjectId(row.subject_id))).collect())
        };
        // Claims and completions lock rows of the queue `FOR UPDATE`, which the
        // weaker lock keeps out as well. Making them due it does not: they may
        // themselves wait for somebody who is done this moment.
        Ok(Seized {
            targets: targets.into_iter().map(|row| TargetId(row.id)).collect(),
            work: lock("pending", "KEY SHARE")?,
            state: lock("provision_state", "SHARE")?,
        })
    }

    pub(super) fn neighbours(&self, facts: &Facts, subject: &Subject) -> Vec<Neighbour> {
        let now = Utc::now();
        let neighbour = |other: &Other| {
            let fact = facts.0.get(&(other.target.id, subject.id));
            Neighbour {
                target: other.target.id,
                tie: other.tie,
                served: other.target.settings.is_served(),
                able: other.able,
                scope: Scope {
                    version: subject.version,
                    deleted: subject.deleted_at.is_some(),
                    matches: other.filter.matches(subject, now),
                },
                known: fact.map(|fact| fact.known).unwrap_or_default(),
                provisioned: fact.is_some_and(|fact| fact.provisioned),
                queued: fact.and_then(|fact| fact.queued),
            }
        };
        self.0.iter().map(neighbour).collect()
    }

    /// What logic is told.
    pub(super) fn dependencies(&self, facts: &Facts, subject: &Subject) -> Vec<Dependency> {
        let now = Utc::now();
        let dependency = |other: &Other| {
            let fact = facts.0.get(&(other.target.id, subject.id));
            let wanted = subject.deleted_at.is_none() && other.filter.matches(subject, now);
            let before = if wanted { ProvisionStatus::Pending } else { ProvisionStatus::ProvisionNotNeeded };
            Dependency {
                target: other.target.settings.name.clone(),
                status: fact.and_then(|fact| fact.known.status).unwrap_or(before),
                remote_id: fact.and_then(|fact| fact.remote_id.clone()),
                metadata: fact.and_then(|fact| fact.metadata.clone()),
            }
        };
        self.0.iter().filter(|other| other.tie.needed).map(dependency).collect()
    }
}

/// Rows that nobody else can write before the transaction ends.
pub(super) struct Seized {
    targets: HashSet<TargetId>,
    work: HashSet<Pair>,
    state: HashSet<Pair>,
}

impl Seized {
    /// Whether a target was seized: what is read of it from now on stays so.
    pub(super) fn has(&self, target: TargetId) -> bool {
        self.targets.contains(&target)
    }

    /// Whether all that there is about a subject at a target was seized.
    pub(super) fn holds(&self, facts: &Facts, target: TargetId, subject: SubjectId) -> bool {
        facts.0.get(&(target, subject)).is_none_or(|fact| {
            (!fact.has_work || self.work.contains(&(target, subject)))
                && (!fact.has_state || self.state.contains(&(target, subject)))
        })
    }
}

/// How subjects stand at targets.
pub(super) struct Facts(HashMap<Pair, Fact>);

struct Fact {
    known: Known,
    provisioned: bool,
    has_state: bool,
    has_work: bool,
    /// `None` as well for what waits with a paused sweep.
    queued: Option<Queued>,
    remote_id: Option<String>,
    metadata: Option<Value>,
    message: String,
}

impl Facts {
    /// Forgets what was known of subjects for what was read since.
    pub(super) fn replace(&mut self, about: &[SubjectId], newer: Self) {
        let about: HashSet<&SubjectId> = about.iter().collect();
        self.0.retain(|(_, subject), _| !about.contains(subject));
        self.0.extend(newer.0);
    }

    pub(super) fn message(&self, target: TargetId, subject: SubjectId) -> &str {
        self.0.get(&(target, subject)).map_or("", |fact| fact.message.as_str())
    }
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = BigInt)]
    target_id: i64,
    #[diesel(sql_type = BigInt)]
    subject_id: i64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    target_id: i64,
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
    #[diesel(sql_type = Bool)]
    provisioned: bool,
    #[diesel(sql_type = Bool)]
    has_state: bool,
    #[diesel(sql_type = Nullable<Text>)]
    remote_id: Option<String>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    metadata: Option<Value>,
    #[diesel(sql_type = Text)]
    message: String,
    #[diesel(sql_type = Nullable<Text>)]
    trigger: Option<String>,
    #[diesel(sql_type = Bool)]
    deprovision: bool,
    #[diesel(sql_type = Bool)]
    active: bool,
    #[diesel(sql_type = Bool)]
    goes_on: bool,
}

impl Row {
    fn read(self) -> Result<(Pair, Fact), DbError> {
        let corrupt = |error: UnknownWord| DbError::Corrupt(error.to_string());
        let status = self.status.map(|word| word.parse::<ProvisionStatus>()).transpose().map_err(corrupt)?;
        let trigger = self.trigger.map(|word| word.parse::<Trigger>()).transpose().map_err(corrupt)?;
        let (deprovision, active) = (self.deprovision, self.active);
        let queued = |trigger| Queued { work: Work { trigger, deprovision }, active };
        let fact = Fact {
            known: Known {
                status,
                present: self.present,
                in_scope: self.in_scope,
                done_version: self.done_version,
            },
            provisioned: self.provisioned,
            has_state: self.has_state,
            has_work: trigger.is_some(),
            queued: trigger.filter(|_| self.goes_on).map(queued),
            remote_id: self.remote_id,
            metadata: self.metadata,
            message: self.message,
        };
        Ok(((TargetId(self.target_id), SubjectId(self.subject_id)), fact))
    }
}
