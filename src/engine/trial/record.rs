//! What remains of logic that was tried: who did it, with which code, and whom it
//! talked to. It is written before anything runs, and at the end; also when
//! whoever asked hangs up.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::act::Tape;
use super::{Logic, TrialError, Trials};
use crate::domain::host_call::{Exchange, Handling};
use crate::domain::ids::{SubjectId, TargetId, TokenId};
use crate::storage::dry_runs::{self, Begun, Ended, Key, Kind};
use crate::storage::{Db, DbError, Pool};

/// Exchanges that are kept: the first.
const KEPT: usize = 50;
/// Hosts that are kept.
const HOSTS: usize = 1_000;
/// Runs that may be under way at one time, and more.
const TAPES: usize = 16;
/// How long after a host has lost its caller its calls may still end.
const AFTERMATH: Duration = Duration::from_millis(500);

/// Who wants logic tried.
#[derive(Debug, Clone)]
pub struct Asker {
    /// The token.
    pub token: TokenId,
    /// Its name.
    pub name: String,
}

/// What is tried.
pub(super) struct Trial<'a> {
    pub target: TargetId,
    pub kind: Kind,
    pub logic: &'a Logic,
    pub account: Option<SubjectId>,
    pub run: Option<String>,
}

/// The record of something that is tried.
pub(super) struct Record {
    db: Db,
    key: Key,
    noted: Arc<Mutex<Noted>>,
}

#[derive(Default)]
struct Noted {
    runs: i64,
    hosts: BTreeSet<String>,
    count: i64,
    exchanges: Vec<Exchange>,
    /// Of the latest runs: what of them was not noted yet.
    tapes: VecDeque<Arc<dyn Tape>>,
    ended: bool,
}

impl Trials {
    /// Writes down what is about to be tried, and says it in the log.
    pub(super) async fn record(&self, trial: Trial<'_>) -> Result<Record, TrialError> {
        let Trial { target, kind, logic, account, run } = trial;
        let hash = Sha256::digest(logic.code.text().as_bytes());
        let begun = Begun {
            target,
            kind,
            token: self.by.as_ref().map(|by| by.token),
            token_name: self.by.as_ref().map_or_else(String::new, |by| by.name.clone()),
            logic: logic.origin.to_string(),
            code_hash: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            code: logic.written.clone(),
            subject: account,
            run,
        };
        let db = self.deps.db.clone();
        let (key, begun) = db
            .run(Pool::Api, move |connection| Ok::<_, DbError>((dry_runs::begin(connection, &begun)?, begun)))
            .await?;
        log::info!(
            "{} {} of target {target} for token {} {:?}: logic {}, SHA-256 {}",
            kind.as_str(),
            key.id,
            begun.token.map_or_else(|| "-".to_owned(), |token| token.to_string()),
            begun.token_name,
            begun.logic,
            begun.code_hash
        );
        Ok(Record { db, key, noted: Arc::default() })
    }
}

impl Record {
    /// Notes a run that begins.
    pub fn watch(&self, tape: Arc<dyn Tape>) {
        let mut noted = lock(&self.noted);
        noted.runs += 1;
        noted.tapes.push_back(tape);
        if noted.tapes.len() > TAPES {
            noted.tapes.pop_front();
        }
    }

    /// Notes what a run has said and heard.
    pub fn note(&self, exchanges: &[Exchange], left_out: usize) {
        lock(&self.noted).add(exchanges, left_out);
    }

    /// Writes down that all is done.
    pub async fn finish(&self) {
        let ended = lock(&self.noted).end(false);
        if let Some(ended) = ended {
            write(&self.db, self.key, ended).await;
        }
    }
}

impl Drop for Record {
    /// Somebody hung up or cancelled it.
    fn drop(&mut self) {
        if lock(&self.noted).ended {
            return;
        }
        let (db, key, noted) = (self.db.clone(), self.key, self.noted.clone());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            tokio::time::sleep(AFTERMATH).await;
            let ended = lock(&noted).end(true);
            if let Some(ended) = ended {
                write(&db, key, ended).await;
            }
        });
    }
}

impl Noted {
    fn add(&mut self, exchanges: &[Exchange], left_out: usize) {
        let sent = exchanges.iter().filter(|exchange| matches!(exchange.effect, None | Some(Handling::Sent)));
        let hosts: Vec<String> = sent.filter_map(|exchange| host_of(&exchange.request.url)).collect();
        for host in hosts {
            if self.hosts.len() < HOSTS {
                self.hosts.insert(host);
            }
        }
        self.count += i64::try_from(exchanges.len() + left_out).unwrap_or(i64::MAX);
        let room = KEPT.saturating_sub(self.exchanges.len());
        self.exchanges.extend(exchanges.iter().take(room).cloned());
    }

    /// What is to be written, once.
    fn end(&mut self, abandoned: bool) -> Option<Ended> {
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        for tape in std::mem::take(&mut self.tapes) {
            let (exchanges, rest) = tape.take();
            if !exchanges.is_empty() {
                self.add(&exchanges, rest.left_out());
            }
        }
        Some(Ended {
            abandoned,
            runs: self.runs,
            hosts: std::mem::take(&mut self.hosts).into_iter().collect(),
            exchange_count: self.count,
            exchanges: super::report::to_json(&std::mem::take(&mut self.exchanges)),
        })
    }
}

fn host_of(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

fn lock(noted: &Mutex<Noted>) -> MutexGuard<'_, Noted> {
    noted.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn write(db: &Db, key: Key, ended: Ended) {
    let written = db.run(Pool::Api, move |connection| dry_runs::end(connection, key, &ended)).await;
    if let Err(error) = written {
        log::warn!("what came of dry run {} was not written down: {error}", key.id);
    }
}
