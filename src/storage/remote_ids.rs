//! One remote id belongs to one subject at a target: in the transaction of a
//! completion, what a run has answered is refused when it belongs to another, and
//! taken from those who have no right to it any more.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::sql_types::{Array, BigInt, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::DbError;
use super::complete::Completion;
use super::former_names::{self, Former, folded};
use super::holders::{Fact, Facts, lock_remote_ids};
use super::subjects::{self, numbers};
use super::targets::{self, TargetError};
use crate::domain::ids::{SubjectId, TargetId};
use crate::domain::status::{ErrorClass, Reason, Trigger};
use crate::domain::subject::Subject;
use crate::domain::target::Target;
use crate::plan::{Conclusion, Field, Next, Taking, fingerprint, taking};

/// After so long a run is repeated that met a removal.
const AGAIN: TimeDelta = TimeDelta::seconds(2);

/// A batch as it may be written, and what is to be taken from whom.
pub(super) struct Judgement<'a> {
    pub batch: Cow<'a, [Completion]>,
    transfers: Vec<Transfer>,
}

/// A remote id that goes from some to another.
struct Transfer {
    to: SubjectId,
    remote_id: String,
    from: Givers,
}

/// Who gives a remote id up.
#[derive(Default)]
struct Givers {
    /// These have it no more: they hold nothing, or are known by another name.
    forgetting: Vec<SubjectId>,
    /// The removals of these would go by it, and are to be settled.
    leaving: Vec<SubjectId>,
}

/// Judges the remote ids of a batch of one target that are new to their links. No
/// other completion, and no removal, of the target can be begun before the
/// transaction ends.
pub(super) fn judge<'a>(
    connection: &mut PgConnection,
    batch: &'a [Completion],
) -> Result<Judgement<'a>, DbError> {
    let mut judgement = Judgement { batch: Cow::Borrowed(batch), transfers: Vec::new() };
    let takers: Vec<(usize, &str)> = batch.iter().enumerate().filter_map(taker).collect();
    let Some(first) = batch.first().filter(|_| !takers.is_empty()) else { return Ok(judgement) };
    lock_remote_ids(connection, first.target)?;
    let links = links(connection, batch, &takers)?;
    let former = bearers(connection, first.target, &takers)?;
    let mut owners: HashMap<&str, SubjectId> = HashMap::new();
    if links.is_empty()
        && former.is_empty()
        && takers.iter().all(|(index, id)| owners.insert(id, batch[*index].subject).is_none())
    {
        return Ok(judgement);
    }
    owners.clear();
    let target = match targets::find(connection, first.target) {
        Ok(target) => target,
        Err(TargetError::Db(error)) => return Err(error),
        Err(_) => return Ok(judgement),
    };
    let scene = Scene::load(connection, &target, batch, &takers, (&links, former))?;
    for (index, remote_id) in takers {
        let completion = &batch[index];
        match scene.judge(completion, remote_id, owners.get(remote_id).copied()) {
            Ok(from) => {
                owners.insert(remote_id, completion.subject);
                let (to, remote_id) = (completion.subject, remote_id.to_owned());
                judgement.transfers.push(Transfer { to, remote_id, from });
            }
            Err(conclusion) => judgement.batch.to_mut()[index].replace(*conclusion, remote_id),
        }
    }
    Ok(judgement)
}

/// Forgets the remote ids of those that lost them to others, once the batch is
/// written.
pub(super) fn forget(connection: &mut PgConnection, batch: &[Completion]) -> Result<(), DbError> {
    let forgetting = batch.iter().filter(|completion| completion.conclusion.forgets_remote_id);
    let ids: Vec<i64> = forgetting.map(|completion| completion.subject.0).collect();
    let Some(first) = batch.first().filter(|_| !ids.is_empty()) else { return Ok(()) };
    sql_query(
        "UPDATE provision_state SET remote_id = NULL WHERE target_id = $1 AND subject_id = ANY($2) \
            AND NOT present AND updated_at = now()",
    )
    .bind::<BigInt, _>(first.target.0)
    .bind::<Array<BigInt>, _>(ids)
    .execute(connection)?;
    Ok(())
}

fn taker((index, completion): (usize, &Completion)) -> Option<(usize, &str)> {
    let taken = completion.conclusion.remote_id.as_deref().filter(|_| completion.takes_remote_id);
    Some((index, taken?))
}

#[derive(QueryableByName)]
struct Link {
    #[diesel(sql_type = BigInt)]
    subject_id: i64,
    #[diesel(sql_type = Text)]
    remote_id: String,
}

/// Who has one of the remote ids at the target, the takers left out.
fn links(
    connection: &mut PgConnection,
    batch: &[Completion],
    takers: &[(usize, &str)],
) -> Result<Vec<Link>, DbError> {
    let ids: Vec<i64> = takers.iter().map(|(index, _)| batch[*index].subject.0).collect();
    let remote_ids: Vec<&str> = takers.iter().map(|(_, remote_id)| *remote_id).collect();
    let links = sql_query(
        "SELECT DISTINCT o.subject_id, o.remote_id FROM unnest($2, $3) AS i(subject_id, remote_id) \
         JOIN provision_state o ON o.target_id = $1 \
            AND hashtextextended(o.remote_id, 0) = hashtextextended(i.remote_id, 0) \
            AND o.remote_id = i.remote_id AND o.subject_id <> i.subject_id ORDER BY 1",
    )
    .bind::<BigInt, _>(batch[takers[0].0].target.0)
    .bind::<Array<BigInt>, _>(ids)
    .bind::<Array<Text>, _>(remote_ids)
    .load(connection)?;
    Ok(links)
}

/// Who had one of the remote ids as a name: systems may know accounts by it.
fn bearers(
    connection: &mut PgConnection,
    target: TargetId,
    takers: &[(usize, &str)],
) -> Result<Vec<Former>, DbError> {
    let remote_ids: Vec<&str> = takers.iter().map(|(_, remote_id)| *remote_id).collect();
    let names: Vec<String> = remote_ids.iter().map(|remote_id| folded(remote_id)).collect();
    former_names::of_names(connection, target, &names, &remote_ids)
}

/// What is known of those who have the remote ids, and of those who take them.
struct Scene {
    facts: Facts,
    by_remote_id: HashMap<String, Vec<SubjectId>>,
    takers: HashMap<SubjectId, Subject>,
    former: Vec<Former>,
}

impl Scene {
    fn load(
        connection: &mut PgConnection,
        target: &Target,
        batch: &[Completion],
        takers: &[(usize, &str)],
        (links, former): (&[Link], Vec<Former>),
    ) -> Result<Self, DbError> {
        let mut by_remote_id: HashMap<String, Vec<SubjectId>> = HashMap::new();
        for link in links {
            by_remote_id.entry(link.remote_id.clone()).or_default().push(SubjectId(link.subject_id));
        }
        let ids: HashSet<SubjectId> = takers.iter().map(|(index, _)| batch[*index].subject).collect();
        let ids: Vec<SubjectId> = ids.into_iter().collect();
        let bearers = former.iter().map(|former| former.subject);
        let others: HashSet<SubjectId> = by_remote_id.values().flatten().copied().chain(bearers).collect();
        let others: Vec<SubjectId> = others.into_iter().collect();
        let facts = Facts::load(connection, target, &others)?;
        let takers = subjects::load(connection, &ids)?;
        let takers = takers.into_iter().map(|subject| (subject.id, subject)).collect();
        Ok(Self { facts, by_remote_id, takers, former })
    }

    /// From whom a run may take its remote id, or what is recorded instead.
    /// `owner` has taken it in the same batch.
    fn judge(
        &self,
        completion: &Completion,
        remote_id: &str,
        owner: Option<SubjectId>,
    ) -> Result<Givers, Box<Conclusion>> {
        if let Some(owner) = owner {
            let name = self.takers.get(&owner).and_then(|subject| subject.user_name.as_deref());
            return Err(Box::new(refused(completion, remote_id, name.unwrap_or_default(), owner)));
        }
        let mut from = Givers::default();
        for id in self.by_remote_id.get(remote_id).into_iter().flatten() {
            if *id == completion.subject {
                continue;
            }
            let Some(other) = self.facts.get(*id) else { continue };
            let moves_on = self.moves_on(other, completion.subject, remote_id);
            match taking(&other.holder, ended_since(other, completion), moves_on) {
                Taking::Free if moves_on || !other.holder.known.present => from.forgetting.push(*id),
                Taking::Free => from.leaving.push(*id),
                Taking::Refused => return Err(Box::new(refused(completion, remote_id, other.name(), *id))),
                Taking::Again => return Err(Box::new(again(completion, remote_id, other))),
            }
        }
        match self.at_work(completion, remote_id) {
            Some(other) => Err(Box::new(again(completion, remote_id, other))),
            None => Ok(from),
        }
    }

    /// Who had the remote id as a name and gave it up at the target while the run
    /// lasted, or is about to: whatever was done under the name last is not known.
    fn at_work(&self, completion: &Completion, remote_id: &str) -> Option<&Fact> {
        let same = |former: &&Former| is_called(former, remote_id) && former.subject != completion.subject;
        self.former.iter().filter(same).find_map(|former| {
            let other = self.facts.get(former.subject)?;
            let runs = other.holder.is_running() && other.holder.may_hold(former.version);
            (runs || ended_since(other, completion)).then_some(other)
        })
    }

    /// The remote id is a name that the other gave up for another one, and that is
    /// the taker's by now; what is to become of the other is in the queue.
    fn moves_on(&self, other: &Fact, taker: SubjectId, remote_id: &str) -> bool {
        let Some(taker) = self.takers.get(&taker) else { return false };
        let name = folded(remote_id);
        let named = taker.user_name.as_deref().map(folded).as_deref() == Some(name.as_str())
            || taker.external_id.as_deref() == Some(remote_id);
        let has_another = other.subject.user_name.as_deref().map(folded).as_deref() != Some(name.as_str())
            && other.subject.external_id.as_deref() != Some(remote_id);
        let gave_up = self.former.iter().any(|former| {
            former.subject == other.subject.id
                && is_called(former, remote_id)
                && other.holder.may_hold(former.version)
        });
        named && has_another && gave_up && other.holder.queued.is_some()
    }
}

fn is_called(former: &Former, remote_id: &str) -> bool {
    match former.field {
        Field::UserName => former.name == folded(remote_id),
        _ => former.name == remote_id,
    }
}

fn ended_since(other: &Fact, completion: &Completion) -> bool {
    let began = completion.run.as_ref().map(|run| run.started_at);
    let ended: Option<DateTime<Utc>> = other.last_run_at;
    ended.zip(began).is_some_and(|(ended, began)| ended >= began)
}

/// What the run is recorded as instead: a failure as logic's own would be.
fn refused(completion: &Completion, remote_id: &str, name: &str, id: SubjectId) -> Conclusion {
    let message = format!(
        "logic answered the remote id `{remote_id}`, which belongs to `{name}` (account {id}) at this target: \
         nothing was recorded of what it answered. Check how it finds what is there"
    );
    instead(completion, message)
}

fn again(completion: &Completion, remote_id: &str, other: &Fact) -> Conclusion {
    let (name, id) = (other.name(), other.subject.id);
    let message = format!(
        "the remote id `{remote_id}` belonged to `{name}` (account {id}), which was being removed or renamed at \
         the same time: it runs again"
    );
    let mut conclusion = instead(completion, message);
    let Some(run) = &completion.run else { return conclusion };
    if conclusion.error_class.is_some() {
        conclusion.error_class = Some(ErrorClass::Transient);
        conclusion.dead = false;
        let (deprovision, attempts) = (run.reason == Reason::Deprovision, run.attempt.saturating_sub(1));
        conclusion.next =
            Some(Next { at: Utc::now() + AGAIN, trigger: Trigger::Retry, deprovision, attempts });
    }
    conclusion
}

/// A removal keeps its end, without the remote id: what it has done is done.
fn instead(completion: &Completion, message: String) -> Conclusion {
    let removal = completion.run.as_ref().is_some_and(|run| run.reason == Reason::Deprovision);
    match &completion.refused {
        Some(refused) if !removal => Conclusion { message, ..Conclusion::clone(refused) },
        _ => Conclusion { remote_id: None, ..completion.conclusion.clone() },
    }
}

impl Completion {
    fn replace(&mut self, conclusion: Conclusion, remote_id: &str) {
        self.fingerprint =
            conclusion.dead.then(|| fingerprint(conclusion.error_class, &conclusion.message, &[remote_id]));
        self.conclusion = conclusion;
    }
}

impl Judgement<'_> {
    /// Takes remote ids from those who have no right to them any more, once the
    /// batch is written; a stale completion has written nothing. A removal that
    /// would have gone by one is looked at again, to be settled.
    pub(super) fn transfer(&self, connection: &mut PgConnection) -> Result<(), DbError> {
        let Some(first) = self.batch.first() else { return Ok(()) };
        for Transfer { to, remote_id, from: Givers { forgetting, leaving } } in &self.transfers {
            if forgetting.is_empty() && leaving.is_empty() {
                continue;
            }
            sql_query(
                "WITH mine AS MATERIALIZED (SELECT FROM provision_state WHERE target_id = $1 AND subject_id = $2 \
                    AND remote_id = $3 AND present AND updated_at = now()), \
                 forgotten AS (UPDATE provision_state SET remote_id = NULL WHERE EXISTS (SELECT FROM mine) \
                    AND target_id = $1 AND subject_id = ANY($4) AND remote_id = $3), \
                 leaving AS MATERIALIZED (SELECT target_id, subject_id FROM pending \
                    WHERE EXISTS (SELECT FROM mine) AND target_id = $1 AND subject_id = ANY($5) \
                        AND owner IS NULL FOR NO KEY UPDATE SKIP LOCKED) \
                 UPDATE pending p SET due_at = least(p.due_at, now()), blocked_by = NULL, blocked_at = NULL, \
                    waits_for = NULL \
                 FROM leaving WHERE p.target_id = leaving.target_id AND p.subject_id = leaving.subject_id",
            )
            .bind::<BigInt, _>(first.target.0)
            .bind::<BigInt, _>(to.0)
            .bind::<Text, _>(remote_id)
            .bind::<Array<BigInt>, _>(numbers(forgetting))
            .bind::<Array<BigInt>, _>(numbers(leaving))
            .execute(connection)?;
        }
        Ok(())
    }
}
