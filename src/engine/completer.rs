//! The completer of a target: gathers what workers finished while the last
//! batch is being written, so that batches are small when idle and large under
//! load. It never gives a result up because the database is away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use chrono::Utc;

use super::handle::Nudge;
use super::pace::Pace;
use super::target::Committed;
use crate::domain::ids::SubjectId;
use crate::domain::status::{ErrorClass, ProvisionStatus};
use crate::plan::{Links, fingerprint};
use crate::storage::complete::{Completed, Completion, complete};
use crate::storage::{Db, DbError, JsonText, Pool, runs};

/// Largest batch; larger ones gain little and hold locks longer.
const MOST: usize = 500;
/// How long a result waits under load for others to share its batch.
const LINGER: Duration = Duration::from_millis(20);
/// Batches smaller than this are not worth waiting for.
const FEW: usize = 16;

/// Writes completions in batches.
pub struct Completer {
    db: Db,
    target: Recipient<Committed>,
    nudge: Nudge,
    links: Arc<Links>,
    waiting: Vec<Completion>,
    pace: Pace,
    writing: bool,
    lingering: Option<SpawnHandle>,
}

/// Which targets may wait for this one, from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Linked(pub Arc<Links>);

/// A run, or a decision that needs none, has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Finished(pub Completion);

impl Completer {
    /// A completer that tells `target` what was committed, and nudges other
    /// targets that got work or need no longer wait.
    pub fn new(db: Db, target: Recipient<Committed>, nudge: Nudge, links: Arc<Links>) -> Self {
        Self {
            db,
            target,
            nudge,
            links,
            waiting: Vec::new(),
            pace: Pace::new(Instant::now()),
            writing: false,
            lingering: None,
        }
    }

    /// Writes what waits, now or when the batch has grown to what the load of
    /// late promises.
    fn flush_in_time(&mut self, context: &mut Context<Self>) {
        if self.writing || self.waiting.is_empty() {
            return;
        }
        let promised = self.pace.within(LINGER, MOST, Instant::now());
        if promised < FEW || self.waiting.len() >= promised {
            self.flush(context);
        } else if self.lingering.is_none() {
            self.lingering = Some(context.run_later(LINGER, |completer, context| {
                completer.lingering = None;
                completer.flush(context);
            }));
        }
    }

    fn flush(&mut self, context: &mut Context<Self>) {
        if self.writing || self.waiting.is_empty() {
            return;
        }
        if let Some(timer) = self.lingering.take() {
            context.cancel_future(timer);
        }
        self.writing = true;
        let batch: Vec<Completion> = self.waiting.drain(..self.waiting.len().min(MOST)).collect();
        let subjects: Vec<SubjectId> = batch.iter().map(|completion| completion.subject).collect();
        let written = write(self.db.clone(), self.links.clone(), batch).into_actor(self);
        context.spawn(written.map(move |completed, completer, context| {
            completer.writing = false;
            (completer.nudge)(&completed.woken);
            let next_in =
                completed.next_in.map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, 3_600.0)));
            completer.target.do_send(Committed { subjects, next_in });
            completer.flush_in_time(context);
        }));
    }
}

impl Actor for Completer {
    type Context = Context<Self>;
}

impl Handler<Finished> for Completer {
    type Result = ();

    fn handle(&mut self, Finished(completion): Finished, context: &mut Self::Context) {
        self.waiting.push(completion);
        self.pace.count(1, Instant::now());
        if self.waiting.len() == 1 && !self.writing {
            // Whatever else is in the mailbox now joins the batch.
            context.notify(Flush);
        } else {
            self.flush_in_time(context);
        }
    }
}

impl Handler<Linked> for Completer {
    type Result = ();

    fn handle(&mut self, Linked(links): Linked, _: &mut Self::Context) {
        self.links = links;
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Flush;

impl Handler<Flush> for Completer {
    type Result = ();

    fn handle(&mut self, _: Flush, context: &mut Self::Context) {
        self.flush_in_time(context);
    }
}

/// Writes a batch for as long as it takes. What the database refuses is found
/// one by one and recorded without what cannot be stored.
async fn write(db: Db, links: Arc<Links>, batch: Vec<Completion>) -> Completed {
    let (batch, outcome) = attempt(&db, &links, batch).await;
    match outcome {
        Ok(completed) => completed,
        Err(error) => {
            log::error!("a batch of {} results was refused: {error}", batch.len());
            one_by_one(&db, &links, batch).await
        }
    }
}

async fn one_by_one(db: &Db, links: &Arc<Links>, batch: Vec<Completion>) -> Completed {
    let mut sum = Completed::default();
    for completion in batch {
        let (mut left, mut outcome) = attempt(db, links, vec![completion]).await;
        if let (Err(error), Some(completion)) = (&outcome, left.pop()) {
            let plain = without_content(completion, &error.to_string());
            (_, outcome) = attempt(db, links, vec![plain]).await;
        }
        match outcome {
            Ok(completed) => {
                sum.written += completed.written;
                sum.woken.extend(completed.woken);
                sum.next_in = completed.next_in.into_iter().chain(sum.next_in).reduce(f64::min);
            }
            // The lease runs out and the work is done again.
            Err(error) => log::error!("a result could not be recorded at all: {error}"),
        }
    }
    sum
}

fn without_content(mut completion: Completion, error: &str) -> Completion {
    let end = &mut completion.conclusion;
    end.status = ProvisionStatus::ProvisionFailed;
    end.message = format!("what the run returned could not be stored: {error}").replace('\0', "");
    end.error_class = Some(ErrorClass::Logic);
    (end.dead, end.done) = (true, false);
    completion.fingerprint = Some(fingerprint(end.error_class, &end.message, &[]));
    (end.remote_id, end.metadata, end.attributes, end.next) = (None, None, None, None);
    completion.refused = None;
    if let Some(run) = &mut completion.run {
        run.log = JsonText::empty_list();
        run.exchanges = JsonText::empty_list();
        run.replay = None;
    }
    completion
}

const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Tries until the database is there and answers; only a refusal comes back as
/// an error, with the batch.
async fn attempt(
    db: &Db,
    links: &Arc<Links>,
    batch: Vec<Completion>,
) -> (Vec<Completion>, Result<Completed, DbError>) {
    let batch = Arc::new(batch);
    let mut wait = FIRST_WAIT;
    let mut partitions_made = false;
    let outcome = loop {
        let (shared, links) = (batch.clone(), links.clone());
        match db.run(Pool::Engine, move |connection| complete(connection, &shared, &links)).await {
            Err(DbError::Unavailable(reason) | DbError::TooSlow(reason) | DbError::DiskFull(reason)) => {
                log::warn!("{} results wait for the database: {reason}", batch.len());
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            Err(error) if !partitions_made && error.to_string().contains("no partition of relation") => {
                partitions_made = true;
                let today = Utc::now().date_naive();
                let made = db.run(Pool::Engine, move |connection| runs::make_partitions(connection, today));
                if let Err(error) = made.await {
                    log::error!("the execution log has no partition for today: {error}");
                }
            }
            other => break other,
        }
    };
    (Arc::try_unwrap(batch).unwrap_or_else(|shared| shared.to_vec()), outcome)
}
