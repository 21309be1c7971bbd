//! Removals that a guard holds until a person approves them: lots, what became
//! of them, and whose they are.
//!
//! A lot that nobody decides about counts as rejected from its expiry on; that
//! is read from the clock, so nothing has to run for it. What is held or
//! rejected stays in the queue and is judged anew when something changes.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Bool, Double, Nullable, Text, Timestamptz};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::DbError;
use super::holders;
use super::queue::lock_store_exclusive;
use crate::domain::ids::{HeldId, StoreId, TargetId};
use crate::domain::status::{Trigger, words};
use crate::domain::who::Who;
use crate::plan::GuardPolicy;

/// What is known of a removal when it is put into the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// To be judged when it is claimed.
    Due,
    /// Waits for a person, in this lot.
    Held(HeldId),
    /// Judged already: may run.
    Cleared,
}

impl Departure {
    /// The word of the queue's column.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Held(_) => "held",
            Self::Cleared => "cleared",
        }
    }

    /// The lot that holds it.
    pub(super) fn lot(self) -> Option<i64> {
        if let Self::Held(lot) = self { Some(lot.0) } else { None }
    }
}

/// What the guard of each target says about the removals of one operation; a
/// target that is not in it judges them one by one.
pub type Verdicts = HashMap<TargetId, Departure>;

words!(
    /// What became of a lot.
    LotState {
        /// Waits for a person.
        Open = "open",
        /// May run.
        Approved = "approved",
        /// A person said no.
        Rejected = "rejected",
        /// Nobody said anything in time.
        Expired = "expired",
        /// Nothing of it waits any more: what it held has changed since.
        Settled = "settled",
    }
);

/// Where a lot stands.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Lot {
    /// Its id.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// The target.
    #[diesel(sql_type = BigInt)]
    pub target_id: i64,
    /// What made the removals due.
    #[diesel(sql_type = Text)]
    pub trigger: String,
    /// How many were held in all.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
    /// How many the guard would have let pass.
    #[diesel(sql_type = BigInt)]
    pub allowed: i64,
    /// What the target held at that time.
    #[diesel(sql_type = BigInt)]
    pub present: i64,
    /// How many still wait: the others have changed since, or were let go.
    #[diesel(sql_type = BigInt)]
    pub waiting: i64,
    /// When it was made.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// When it counts as rejected.
    #[diesel(sql_type = Timestamptz)]
    pub expires_at: DateTime<Utc>,
    /// A word of [`LotState`].
    #[diesel(sql_type = Text)]
    pub state: String,
    /// The name of the token that decided.
    #[diesel(sql_type = Nullable<Text>)]
    pub decided_by: Option<String>,
    /// Which one it was.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub decided_by_token: Option<i64>,
    /// Where it was decided from.
    #[diesel(sql_type = Nullable<Text>)]
    pub decided_by_address: Option<String>,
    /// When.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub decided_at: Option<DateTime<Utc>>,
}

impl Lot {
    /// Why it was held, in one sentence.
    pub fn reason(&self) -> String {
        let Self { count, present, allowed, .. } = self;
        format!(
            "{count} removals, of {present} accounts that the target holds, are more than the {allowed} \
             that pass unasked"
        )
    }

    /// Why a subject of it stays where it is, in one sentence.
    pub fn why(&self) -> String {
        match self.state.as_str() {
            "rejected" => format!("removal rejected by {}", self.decided_by.as_deref().unwrap_or("someone")),
            "expired" => "removal not approved in time, and so rejected".into(),
            _ => format!("held: {}; it waits for someone to approve or reject {}", self.reason(), self.id),
        }
    }
}

/// Why nothing was decided.
#[derive(Debug, thiserror::Error)]
pub enum HeldError {
    /// No such lot.
    #[error("there is nothing held under this id")]
    NotFound,
    /// It was decided before, has expired, or nothing waits any more.
    #[error("this is `{0}` already")]
    Decided(String),
    /// More joined it than the caller has seen.
    #[error("{0} removals are held by now: look at them again")]
    Grown(i64),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<diesel::result::Error> for HeldError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Lots with the state that the clock gives them.
const LOTS: &str = "SELECT h.id, h.target_id, h.trigger, h.count, h.allowed, h.present, w.waiting, h.created_at, \
        h.expires_at, h.decided_by, h.decided_by_token, h.decided_by_address, h.decided_at, CASE WHEN h.state <> 'open' THEN h.state \
            WHEN h.expires_at <= now() THEN 'expired' WHEN w.waiting = 0 THEN 'settled' ELSE 'open' END AS state \
    FROM held h CROSS JOIN LATERAL (SELECT count(*) AS waiting FROM pending p \
        WHERE p.held_id = h.id AND p.departure = 'held') w";

/// The newest lots of a target, at most `limit`, from below `before` on; only
/// those in `state` if there is one.
pub fn list(
    connection: &mut PgConnection,
    target: TargetId,
    state: Option<LotState>,
    before: Option<HeldId>,
    limit: i64,
) -> Result<Vec<Lot>, DbError> {
    let lots = sql_query(format!(
        "SELECT * FROM ({LOTS} WHERE h.target_id = $1 AND h.id < coalesce($3, 9223372036854775807)) lots \
         WHERE state = coalesce($2, state) ORDER BY id DESC LIMIT $4"
    ))
    .bind::<BigInt, _>(target.0)
    .bind::<Nullable<Text>, _>(state.map(LotState::as_str))
    .bind::<Nullable<BigInt>, _>(before.map(|id| id.0))
    .bind::<BigInt, _>(limit)
    .load(connection)?;
    Ok(lots)
}

/// A lot.
pub fn find(connection: &mut PgConnection, id: HeldId) -> Result<Lot, HeldError> {
    let lots: Vec<Lot> =
        sql_query(format!("{LOTS} WHERE h.id = $1")).bind::<BigInt, _>(id.0).load(connection)?;
    lots.into_iter().next().ok_or(HeldError::NotFound)
}

/// Whose removal waits.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Member {
    /// The subject.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// Its user name.
    #[diesel(sql_type = Nullable<Text>)]
    pub user_name: Option<String>,
    /// Its id in the external system.
    #[diesel(sql_type = Nullable<Text>)]
    pub remote_id: Option<String>,
}

/// Some of those that wait, by id.
pub fn sample(connection: &mut PgConnection, lot: HeldId, limit: i64) -> Result<Vec<Member>, DbError> {
    let members = sql_query(
        "SELECT s.id, s.user_name, st.remote_id FROM pending p JOIN subjects s ON s.id = p.subject_id \
         LEFT JOIN provision_state st ON st.target_id = p.target_id AND st.subject_id = p.subject_id \
         WHERE p.held_id = $1 AND p.departure = 'held' ORDER BY p.subject_id LIMIT $2",
    )
    .bind::<BigInt, _>(lot.0)
    .bind::<BigInt, _>(limit)
    .load(connection)?;
    Ok(members)
}

/// What waits for a person at a target, and what was refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, QueryableByName)]
pub struct HeldCounts {
    /// Lots to decide about.
    #[diesel(sql_type = BigInt)]
    pub lots: i64,
    /// Removals in them.
    #[diesel(sql_type = BigInt)]
    pub waiting: i64,
    /// Removals of rejected and expired lots that nothing has changed since.
    #[diesel(sql_type = BigInt)]
    pub rejected: i64,
}

/// Counts what is held at a target.
pub fn counts(connection: &mut PgConnection, target: TargetId) -> Result<HeldCounts, DbError> {
    let counts = sql_query(format!(
        "SELECT count(*) FILTER (WHERE state = 'open') AS lots, \
            coalesce(sum(waiting) FILTER (WHERE state = 'open'), 0)::bigint AS waiting, \
            coalesce(sum(waiting) FILTER (WHERE state IN ('rejected', 'expired')), 0)::bigint AS rejected \
         FROM ({LOTS} WHERE h.target_id = $1) lots"
    ))
    .bind::<BigInt, _>(target.0)
    .get_result(connection)?;
    Ok(counts)
}

/// What a new lot is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub trigger: Trigger,
    pub count: u64,
    pub present: u64,
    /// Others of the same trigger may join it.
    pub grows: bool,
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Opens a lot, or adds to the open one of the same trigger.
pub(super) fn open(
    connection: &mut PgConnection,
    target: TargetId,
    opening: Opening,
    policy: &GuardPolicy,
) -> Result<HeldId, DbError> {
    let expiry = policy.expiry.as_secs_f64();
    if opening.grows {
        let grown: Vec<Id> = sql_query(
            "UPDATE held SET count = count + $3, expires_at = now() + make_interval(secs => $4) \
             WHERE id = (SELECT max(id) FROM held WHERE target_id = $1 AND trigger = $2 AND grows \
                AND state = 'open' AND expires_at > now()) AND state = 'open' RETURNING id",
        )
        .bind::<BigInt, _>(target.0)
        .bind::<Text, _>(opening.trigger.as_str())
        .bind::<BigInt, _>(number(opening.count))
        .bind::<Double, _>(expiry)
        .load(connection)?;
        if let Some(lot) = grown.first() {
            return Ok(HeldId(lot.id));
        }
    }
    insert(connection, target, opening, policy)
}

fn insert(
    connection: &mut PgConnection,
    target: TargetId,
    opening: Opening,
    policy: &GuardPolicy,
) -> Result<HeldId, DbError> {
    let Opening { trigger, count, present, grows } = opening;
    let lot: Id = sql_query(
        "INSERT INTO held (target_id, trigger, count, allowed, present, grows, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7)) RETURNING id",
    )
    .bind::<BigInt, _>(target.0)
    .bind::<Text, _>(trigger.as_str())
    .bind::<BigInt, _>(number(count))
    .bind::<BigInt, _>(number(policy.guard.most(present)))
    .bind::<BigInt, _>(number(present))
    .bind::<Bool, _>(grows)
    .bind::<Double, _>(policy.expiry.as_secs_f64())
    .get_result(connection)?;
    log::warn!("{count} removals at target {target} wait for approval ({trigger}, held as {})", lot.id);
    Ok(HeldId(lot.id))
}

#[derive(QueryableByName)]
struct State {
    #[diesel(sql_type = Text)]
    state: String,
}

/// How further removals of a lot are to be put into the queue. The lot cannot
/// be decided about before the transaction ends. To be called before rows of the
/// queue are locked.
pub(super) fn standing(connection: &mut PgConnection, lot: HeldId) -> Result<Departure, DbError> {
    standing_by(connection, lot, "FOR SHARE").map(|found| found.unwrap_or(Departure::Held(lot)))
}

/// The same for who has locked rows of the queue already, and so must not wait
/// for someone who decides about the lot.
///
/// # Errors
/// [`DbError::Unavailable`] when someone is deciding this moment.
pub(super) fn standing_at_once(connection: &mut PgConnection, lot: HeldId) -> Result<Departure, DbError> {
    let found = standing_by(connection, lot, "FOR SHARE SKIP LOCKED")?;
    found.ok_or_else(|| DbError::Unavailable(format!("{lot} is being decided about")))
}

fn standing_by(connection: &mut PgConnection, lot: HeldId, lock: &str) -> Result<Option<Departure>, DbError> {
    let rows: Vec<State> = sql_query(format!("SELECT state FROM held WHERE id = $1 {lock}"))
        .bind::<BigInt, _>(lot.0)
        .load(connection)?;
    let departure = |row: &State| match row.state.as_str() {
        "approved" => Departure::Cleared,
        _ => Departure::Held(lot),
    };
    Ok(rows.first().map(departure))
}

/// What a person says about a lot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Whether the removals may run.
    pub approved: bool,
    /// Who says it.
    pub by: Who,
    /// How many the person has seen; more than these are not decided about.
    pub seen: Option<i64>,
}

/// Decides about an open lot. Approved removals are due at once; nobody waits for
/// rejected ones any more.
///
/// # Errors
/// [`HeldError::NotFound`], [`HeldError::Decided`], [`HeldError::Grown`].
pub fn decide(
    connection: &mut PgConnection,
    store: StoreId,
    id: HeldId,
    word: &Word,
) -> Result<Lot, HeldError> {
    connection.transaction(|connection| {
        // No change may lock rows of the lot in another order meanwhile.
        lock_store_exclusive(connection, store)?;
        sql_query("SELECT FROM held WHERE id = $1 FOR UPDATE").bind::<BigInt, _>(id.0).execute(connection)?;
        let lot = find(connection, id)?;
        if lot.state != "open" {
            return Err(HeldError::Decided(lot.state));
        }
        if word.seen.is_some_and(|seen| seen < lot.count) {
            return Err(HeldError::Grown(lot.count));
        }
        sql_query(
            "UPDATE held SET state = $2, decided_by = $3, decided_by_token = $4, decided_by_address = $5, \
                decided_at = now() WHERE id = $1",
        )
        .bind::<BigInt, _>(id.0)
        .bind::<Text, _>(if word.approved { "approved" } else { "rejected" })
        .bind::<Text, _>(&word.by.name)
        .bind::<Nullable<BigInt>, _>(word.by.token_number())
        .bind::<Nullable<Text>, _>(word.by.address_text())
        .execute(connection)?;
        if word.approved {
            clear(connection, id)?;
        } else {
            holders::free_from_lot(connection, id)?;
        }
        find(connection, id)
    })
}

fn clear(connection: &mut PgConnection, lot: HeldId) -> Result<(), DbError> {
    sql_query(
        "UPDATE pending SET departure = 'cleared', attempts = 0, \
            due_at = CASE WHEN owner IS NULL THEN now() ELSE due_at END, \
            since = CASE WHEN owner IS NULL THEN now() ELSE since END \
         WHERE held_id = $1 AND departure = 'held'",
    )
    .bind::<BigInt, _>(lot.0)
    .execute(connection)?;
    Ok(())
}
