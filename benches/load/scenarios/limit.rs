//! What would be possible: a bare loop of the same HTTP calls and the same
//! batched statements, without engine, JavaScript process and full log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use provisiond::domain::ids::TargetId;
use provisiond::domain::status::{ProvisionStatus, Reason, Trigger};
use provisiond::plan::{Conclusion, Links};
use provisiond::storage::claim::{Claimed, claim};
use provisiond::storage::complete::{Completion, RunLog, complete};
use provisiond::storage::{Connection, Db, DbError, JsonText, Pool};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::{Meter, Stage};
use crate::figures::Figures;
use crate::target::Target;

/// Rows of a batch, claimed and completed.
const BATCH: usize = 500;

pub async fn run(accounts: usize, parallel: usize) -> Figures {
    let stage = Stage::set(accounts, Duration::ZERO).await;
    let target = Target::make(&stage.daemon, &stage.store, "bench", "manual", 1, &stage.sink).await;
    // Paused: the rows are ours.
    stage.daemon.post(&format!("/targets/{}/pause", target.id), json!({})).await;
    target.force(&stage.daemon).await;
    until_enqueued(&stage, &target, accounts).await;
    let meter = Meter::start(&stage);
    let own = crate::cpu::of_self();
    let id = TargetId(target.id.parse().unwrap());
    let (jobs, waiting) = mpsc::channel::<Claimed>(2 * BATCH);
    let (ended, results) = mpsc::channel::<Completion>(2 * BATCH);
    // The engine's own pool: its sessions plan as the engine's do.
    let db = Db::connect(&stage.daemon.database(), 1, 2);
    let again = db.clone();
    let claims = tokio::spawn(async move {
        again.run(Pool::Engine, move |connection| claim_all(connection, id, accounts, &jobs)).await
    });
    let completions = tokio::spawn(async move {
        db.run(Pool::Engine, move |connection| complete_all(connection, accounts, results)).await
    });
    let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
    for _ in 0..parallel {
        tokio::spawn(call_all(stage.sink.address.clone(), id, waiting.clone(), ended.clone()));
    }
    drop(ended);
    claims.await.unwrap().unwrap();
    completions.await.unwrap().unwrap();
    let mut figures = meter.stop(&stage, accounts);
    // The loop is in the place of the daemon.
    figures.cpu.daemon = crate::cpu::of_self().saturating_sub(own).saturating_sub(figures.sink_cpu_micros);
    figures
}

async fn until_enqueued(stage: &Stage, target: &Target, accounts: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while target.status(&stage.daemon).await["sweep"]["enqueued"] != accounts {
        assert!(Instant::now() < deadline, "not enqueued");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn claim_all(
    connection: &mut Connection,
    target: TargetId,
    accounts: usize,
    jobs: &mpsc::Sender<Claimed>,
) -> Result<(), DbError> {
    let mut claimed = 0;
    while claimed < accounts {
        let rows = claim(connection, target, "bench", BATCH, BATCH, 60.0)?;
        claimed += rows.len();
        for row in rows {
            jobs.blocking_send(row).unwrap();
        }
    }
    Ok(())
}

fn complete_all(
    connection: &mut Connection,
    accounts: usize,
    mut results: mpsc::Receiver<Completion>,
) -> Result<(), DbError> {
    let mut done = 0;
    let mut batch = Vec::with_capacity(BATCH);
    while done < accounts {
        batch.push(results.blocking_recv().unwrap());
        while batch.len() < BATCH
            && let Ok(more) = results.try_recv()
        {
            batch.push(more);
        }
        done += complete(connection, &batch, &Links::default())?.written;
        batch.clear();
    }
    Ok(())
}

async fn call_all(
    address: String,
    target: TargetId,
    waiting: Arc<tokio::sync::Mutex<mpsc::Receiver<Claimed>>>,
    ended: mpsc::Sender<Completion>,
) {
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answer = [0; 1024];
    loop {
        let job = waiting.lock().await.recv().await;
        let Some(job) = job else { return };
        let body =
            json!({ "userName": job.subject.user_name, "attributes": job.subject.attributes }).to_string();
        let length = body.len();
        let request =
            format!("POST /users HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\n\r\n{body}");
        let started_at = Utc::now();
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(stream.read(&mut answer).await.unwrap() > 0);
        ended.send(completion(target, &job, started_at, &body)).await.unwrap();
    }
}

fn completion(target: TargetId, job: &Claimed, started_at: chrono::DateTime<Utc>, body: &str) -> Completion {
    let conclusion = Conclusion {
        status: ProvisionStatus::Provisioned,
        message: String::new(),
        error_class: None,
        present: true,
        done: true,
        dead: false,
        remote_id: Some("remote".into()),
        forgets_remote_id: false,
        metadata: None,
        attributes: None,
        next: None,
        retry_after: None,
        kills: 0,
    };
    let run = RunLog {
        reason: Reason::Provision,
        trigger: Trigger::Force,
        attempt: 1,
        status_before: ProvisionStatus::Pending,
        logic_version: 1,
        canary: None,
        started_at,
        finished_at: Utc::now(),
        log: JsonText::empty_list(),
        exchanges: JsonText::of(&json!([{ "request": { "body": body } }])),
        replay: None,
    };
    Completion {
        target,
        subject: job.subject.id,
        fence: job.fence,
        change_seq: job.change_seq,
        version: job.subject.version,
        in_scope: true,
        conclusion,
        takes_remote_id: false,
        refused: None,
        fingerprint: None,
        run: Some(run),
    }
}
