//! Taking due work: a lease, a fence and everything that a run needs, in one
//! statement.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Jsonb, Nullable, SmallInt, Text, Timestamptz};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};
use serde_json::Value;

use super::DbError;
use super::held::Departure;
use super::passed::Passed;
use super::prepared::prepared;
use super::state::MAY_BE_PRESENT;
use super::subject_row::SubjectRow;
use crate::domain::ids::{HeldId, SubjectId, TargetId};
use crate::domain::status::{ProvisionStatus, Trigger};
use crate::domain::subject::Subject;
use crate::domain::target::Target;
use crate::plan::{Kills, Known, Work};

/// Work that this node now runs, with what is known of its subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The subject as it is now.
    pub subject: Subject,
    /// What the queue says.
    pub work: Work,
    /// What earlier runs left.
    pub known: Known,
    /// The id in the external system.
    pub remote_id: Option<String>,
    /// What logic kept.
    pub metadata: Option<Value>,
    /// When logic last ran.
    pub last_run_at: Option<DateTime<Utc>>,
    /// Names of what changed since the version last done.
    pub changes: Vec<String>,
    /// Which changes the claim covers.
    pub change_seq: i64,
    /// Proves that the completion belongs to this claim.
    pub fence: i64,
    /// Attempts at this version, this one included.
    pub attempt: u32,
    /// What is known of runs that brought their host down.
    pub kills: Option<Kills>,
    /// What is known of it as a removal.
    pub departure: Option<Departure>,
    /// One of the queue's priorities; the lowest is the most urgent.
    pub priority: i16,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(embed)]
    subject: SubjectRow,
    #[diesel(sql_type = BigInt)]
    change_seq: i64,
    #[diesel(sql_type = BigInt)]
    fence: i64,
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = Bool)]
    deprovision: bool,
    #[diesel(sql_type = Text)]
    trigger: String,
    #[diesel(sql_type = Array<Text>)]
    changes: Vec<String>,
    #[diesel(sql_type = SmallInt)]
    priority: i16,
    #[diesel(sql_type = Nullable<Text>)]
    known_status: Option<String>,
    #[diesel(sql_type = Bool)]
    present: bool,
    #[diesel(sql_type = Bool)]
    lapsed: bool,
    #[diesel(sql_type = Timestamptz)]
    was_due: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    in_scope: bool,
    #[diesel(sql_type = BigInt)]
    done_version: i64,
    #[diesel(sql_type = Nullable<Text>)]
    remote_id: Option<String>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    metadata: Option<Value>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_run_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = SmallInt)]
    kills: i16,
    #[diesel(sql_type = BigInt)]
    kills_version: i64,
    #[diesel(sql_type = Integer)]
    kills_logic: i32,
    #[diesel(sql_type = Text)]
    kills_reason: String,
    #[diesel(sql_type = Nullable<Text>)]
    departure: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    held_id: Option<i64>,
}

/// Which settings and which logic of a target a claimer goes by. Whoever changes
/// them tells the engine of its own node at most, and later: so a claim looks by
/// itself, in its own statement, whether they still are the target's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edition {
    /// Of the settings.
    pub version: i64,
    /// The published version.
    pub logic_version: Option<i32>,
    /// The trial that is running.
    pub canary: Option<i64>,
}

impl Edition {
    /// That of a target as it was read, with the trial that was running then.
    pub fn of(target: &Target, canary: Option<i64>) -> Self {
        Self { version: target.version, logic_version: target.logic_version, canary }
    }
}

/// Whether an edition is that of target `$1`, which is not paused.
macro_rules! is_current {
    ($version:literal, $logic:literal, $canary:literal) => {
        concat!(
            "EXISTS (SELECT FROM targets t WHERE t.id = $1 AND t.version = ",
            $version,
            " AND t.logic_version = ",
            $logic,
            " AND NOT t.paused AND t.deleted_at IS NULL AND (SELECT c.id FROM logic_canaries c \
                WHERE c.target_id = $1 AND c.state = 'running') IS NOT DISTINCT FROM ",
            $canary,
            ")"
        )
    };
}

/// What is due, in the order of priority, then of the time. A statement for all
/// priorities: one round trip claims a batch. Rows are leased by their place,
/// which their lock keeps; one that changed since the statement began is not
/// found there and is claimed the next time. So a claim never counts a change as
/// its own whose subject it has read as it was before.
///
/// Whoever held a lease that lapsed may have called. Nothing is claimed by an
/// edition of the target that is not the current one (see [`Edition`]).
const DUE: &str = concat!(
    "WITH current AS MATERIALIZED (SELECT $9::bigint IS NULL OR ",
    is_current!("$9", "$10", "$11"),
    " AS it), \
    manual AS MATERIALIZED ( \
        SELECT ctid AS place, owner IS NOT NULL AS lapsed, due_at FROM pending \
        WHERE (SELECT it FROM current) AND target_id = $1 AND priority = 0 \
            AND due_at >= coalesce($6, '-infinity') AND due_at <= now() \
        ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED), \
    changed AS MATERIALIZED ( \
        SELECT ctid AS place, owner IS NOT NULL AS lapsed, due_at FROM pending \
        WHERE (SELECT it FROM current) AND target_id = $1 AND priority = 1 \
            AND due_at >= coalesce($7, '-infinity') AND due_at <= now() \
        ORDER BY due_at LIMIT $2 - (SELECT count(*) FROM manual) FOR UPDATE SKIP LOCKED), \
    swept AS MATERIALIZED ( \
        SELECT ctid AS place, owner IS NOT NULL AS lapsed, due_at FROM pending \
        WHERE (SELECT it FROM current) AND target_id = $1 AND priority = 2 \
            AND due_at >= coalesce($8, '-infinity') AND due_at <= now() \
        ORDER BY due_at \
        LIMIT least($5, $2 - (SELECT count(*) FROM manual) - (SELECT count(*) FROM changed)) \
        FOR UPDATE SKIP LOCKED), \
    due AS (SELECT * FROM manual UNION ALL SELECT * FROM changed UNION ALL SELECT * FROM swept), "
);

const LEASE: &str = "leased AS ( \
        UPDATE pending p SET owner = $3, fence = nextval('fence_seq'), attempts = p.attempts + 1, \
            due_at = now() + make_interval(secs => $4), blocked_by = NULL, blocked_at = NULL, waits_for = NULL \
        FROM due WHERE p.ctid = due.place \
        RETURNING p.subject_id, p.change_seq, p.fence, p.attempts, p.reason, p.trigger, p.changes, p.priority, \
            p.departure, p.held_id, due.lapsed, due.due_at AS was_due) \
    SELECT s.*, l.change_seq, l.fence, l.attempts, l.reason IS NOT NULL AS deprovision, l.trigger, l.changes, \
        l.priority, st.status AS known_status, coalesce(st.present, false) OR l.lapsed AS present, \
        l.lapsed, l.was_due, coalesce(st.in_scope, false) AS in_scope, coalesce(st.done_version, 0) AS done_version, \
        st.remote_id, st.metadata, st.last_run_at, l.departure, l.held_id, \
        coalesce(st.kills, 0::smallint) AS kills, coalesce(st.kills_version, 0) AS kills_version, \
        coalesce(st.kills_logic, 0) AS kills_logic, coalesce(st.kills_reason, '') AS kills_reason \
    FROM leased l \
    JOIN LATERAL (SELECT";

const STATE: &str = "FROM subjects s WHERE s.id = l.subject_id) s ON true \
    LEFT JOIN provision_state st ON st.target_id = $1 AND st.subject_id = l.subject_id";

struct Claim;

/// What to claim.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// For which target.
    pub target: TargetId,
    /// By which node.
    pub node: &'a str,
    /// At most so many rows.
    pub limit: usize,
    /// Of these, so many may be a sweep's.
    pub swept: usize,
    /// In seconds.
    pub lease: f64,
    /// Nothing is claimed when the target is another one by now; not looked at
    /// without it.
    pub edition: Option<Edition>,
}

/// Claims due rows of a target, whatever its settings are: manual work first,
/// then changes, then at most `swept` of sweeps. `lease` is in seconds.
pub fn claim(
    connection: &mut PgConnection,
    target: TargetId,
    node: &str,
    limit: usize,
    swept: usize,
    lease: f64,
) -> Result<Vec<Claimed>, DbError> {
    let ask = Ask { target, node, limit, swept, lease, edition: None };
    claim_beyond(connection, ask, &mut Passed::default())
}

/// Claims from where `passed` is; it becomes where the next claim may begin.
pub fn claim_beyond(
    connection: &mut PgConnection,
    ask: Ask<'_>,
    passed: &mut Passed,
) -> Result<Vec<Claimed>, DbError> {
    let Ask { target, node, limit, swept, lease, edition } = ask;
    let columns = SubjectRow::COLUMNS;
    let query = sql_query(format!("{DUE}{LEASE} {columns} {STATE}"))
        .bind::<BigInt, _>(target.0)
        .bind::<BigInt, _>(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind::<Text, _>(node)
        .bind::<Double, _>(lease)
        .bind::<BigInt, _>(i64::try_from(swept).unwrap_or(i64::MAX))
        .bind::<Nullable<Timestamptz>, _>(passed.begin(0))
        .bind::<Nullable<Timestamptz>, _>(passed.begin(1))
        .bind::<Nullable<Timestamptz>, _>(passed.begin(2))
        .bind::<Nullable<BigInt>, _>(edition.map(|edition| edition.version))
        .bind::<Nullable<Integer>, _>(edition.and_then(|edition| edition.logic_version))
        .bind::<Nullable<BigInt>, _>(edition.and_then(|edition| edition.canary));
    let mut rows: Vec<Row> = prepared::<Claim, _>(query).load(connection)?;
    rows.sort_by_key(|row| row.priority);
    rows.iter().for_each(|row| passed.note(row.priority, row.was_due));
    remember_lapsed(connection, target, &rows)?;
    rows.into_iter().map(read).collect()
}

#[derive(QueryableByName)]
struct Current {
    #[diesel(sql_type = Bool)]
    it: bool,
}

/// Whether a claim by this edition finds what is due: the target still is that.
pub(super) fn is_current(
    connection: &mut PgConnection,
    target: TargetId,
    edition: Edition,
) -> Result<bool, DbError> {
    let current: Current = sql_query(concat!("SELECT ", is_current!("$2", "$3", "$4"), " AS it"))
        .bind::<BigInt, _>(target.0)
        .bind::<BigInt, _>(edition.version)
        .bind::<Nullable<Integer>, _>(edition.logic_version)
        .bind::<Nullable<BigInt>, _>(edition.canary)
        .get_result(connection)?;
    Ok(current.it)
}

/// Also when this claim is given back before it has run.
fn remember_lapsed(connection: &mut PgConnection, target: TargetId, rows: &[Row]) -> Result<(), DbError> {
    let lapsed: Vec<i64> = rows.iter().filter(|row| row.lapsed).map(|row| row.subject.id).collect();
    if lapsed.is_empty() {
        return Ok(());
    }
    sql_query(format!("WITH called AS (SELECT $1 AS target_id, unnest($2) AS subject_id) {MAY_BE_PRESENT}"))
        .bind::<BigInt, _>(target.0)
        .bind::<Array<BigInt>, _>(lapsed)
        .execute(connection)?;
    Ok(())
}

fn read(row: Row) -> Result<Claimed, DbError> {
    let corrupt = |error: crate::domain::status::UnknownWord| DbError::Corrupt(error.to_string());
    let trigger: Trigger = row.trigger.parse().map_err(corrupt)?;
    let kills = kills(&row).map_err(corrupt)?;
    let status = row.known_status.map(|word| word.parse::<ProvisionStatus>()).transpose().map_err(corrupt)?;
    Ok(Claimed {
        subject: row.subject.read()?,
        work: Work { trigger, deprovision: row.deprovision },
        known: Known { status, present: row.present, in_scope: row.in_scope, done_version: row.done_version },
        remote_id: row.remote_id,
        metadata: row.metadata,
        last_run_at: row.last_run_at,
        changes: row.changes,
        change_seq: row.change_seq,
        fence: row.fence,
        attempt: u32::try_from(row.attempts).unwrap_or(1).max(1),
        departure: departure(row.departure.as_deref(), row.held_id),
        priority: row.priority,
        kills,
    })
}

fn kills(row: &Row) -> Result<Option<Kills>, crate::domain::status::UnknownWord> {
    let count = u32::try_from(row.kills).unwrap_or(0);
    if count == 0 {
        return Ok(None);
    }
    let reason = row.kills_reason.parse()?;
    Ok(Some(Kills { count, version: row.kills_version, logic_version: row.kills_logic, reason }))
}

fn departure(word: Option<&str>, lot: Option<i64>) -> Option<Departure> {
    match (word?, lot) {
        ("held", Some(lot)) => Some(Departure::Held(HeldId(lot))),
        ("cleared", _) => Some(Departure::Cleared),
        _ => Some(Departure::Due),
    }
}

#[derive(QueryableByName)]
struct DueIn {
    #[diesel(sql_type = Nullable<Double>)]
    seconds: Option<f64>,
}

/// Seconds until the next row of a target is due; zero or less when one is,
/// `None` when there is none. It looks from where `passed` is.
pub fn next_due(
    connection: &mut PgConnection,
    target: TargetId,
    passed: Passed,
) -> Result<Option<f64>, DbError> {
    let row: DueIn = sql_query(
        "SELECT extract(epoch FROM min(due) - now())::float8 AS seconds FROM ( \
            SELECT (SELECT due_at FROM pending WHERE target_id = $1 AND priority = p \
                AND due_at >= coalesce(begin, '-infinity') AND due_at < 'infinity' \
                ORDER BY due_at LIMIT 1) AS due \
            FROM (VALUES (0, $2), (1, $3), (2, $4)) AS lines(p, begin)) AS heads",
    )
    .bind::<BigInt, _>(target.0)
    .bind::<Nullable<Timestamptz>, _>(passed.begin(0))
    .bind::<Nullable<Timestamptz>, _>(passed.begin(1))
    .bind::<Nullable<Timestamptz>, _>(passed.begin(2))
    .get_result(connection)?;
    Ok(row.seconds)
}

/// Makes leases last `lease` seconds from now, for runs that take long.
pub fn renew(
    connection: &mut PgConnection,
    target: TargetId,
    fences: &[(i64, i64)],
    lease: f64,
) -> Result<usize, DbError> {
    let (subjects, numbers): (Vec<i64>, Vec<i64>) = fences.iter().copied().unzip();
    let renewed = sql_query(
        "UPDATE pending p SET due_at = now() + make_interval(secs => $4) \
         FROM unnest($2, $3) AS i(subject_id, fence) \
         WHERE p.target_id = $1 AND p.subject_id = i.subject_id AND p.fence = i.fence AND p.owner IS NOT NULL",
    )
    .bind::<BigInt, _>(target.0)
    .bind::<Array<BigInt>, _>(subjects)
    .bind::<Array<BigInt>, _>(numbers)
    .bind::<Double, _>(lease)
    .execute(connection)?;
    Ok(renewed)
}

/// Gives back what `node` claimed without getting to know it: the connection broke
/// after the commit and before the answer. `known` is what it does know.
pub fn release_unknown(
    connection: &mut PgConnection,
    target: TargetId,
    node: &str,
    known: &[SubjectId],
) -> Result<(), DbError> {
    let known: Vec<i64> = known.iter().map(|subject| subject.0).collect();
    sql_query(
        "UPDATE pending SET owner = NULL, fence = nextval('fence_seq'), \
            due_at = CASE WHEN departure = 'held' THEN 'infinity' ELSE now() END, \
            attempts = greatest(attempts - 1, 0) \
         WHERE target_id = $1 AND owner = $2 AND subject_id <> ALL($3)",
    )
    .bind::<BigInt, _>(target.0)
    .bind::<Text, _>(node)
    .bind::<Array<BigInt>, _>(known)
    .execute(connection)?;
    Ok(())
}

/// Gives back work that was claimed and not begun: due at once, no attempt
/// counted. Rows whose fence is stale are left alone.
pub fn release(
    connection: &mut PgConnection,
    target: TargetId,
    fences: &[(i64, i64)],
) -> Result<(), DbError> {
    let (subjects, numbers): (Vec<i64>, Vec<i64>) = fences.iter().copied().unzip();
    sql_query(
        "UPDATE pending p SET owner = NULL, fence = nextval('fence_seq'), \
            due_at = CASE WHEN p.departure = 'held' THEN 'infinity' ELSE now() END, \
            attempts = greatest(p.attempts - 1, 0) \
         FROM unnest($2, $3) AS i(subject_id, fence) \
         WHERE p.target_id = $1 AND p.subject_id = i.subject_id AND p.fence = i.fence AND p.owner IS NOT NULL",
    )
    .bind::<BigInt, _>(target.0)
    .bind::<Array<BigInt>, _>(subjects)
    .bind::<Array<BigInt>, _>(numbers)
    .execute(connection)?;
    Ok(())
}
