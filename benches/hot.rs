//! The hot pieces alone: filter, planner, the process boundary, and claim and
//! complete on PostgreSQL. `cargo bench --bench hot`
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use diesel::connection::SimpleConnection;
use provisiond::domain::filter::Filter;
use provisiond::domain::host_call::{FetchRequest, FetchResponse, Fetched, HostCallFuture, HostCalls};
use provisiond::domain::ids::{StoreId, SubjectId, TargetId};
use provisiond::domain::response::Response;
use provisiond::domain::status::{ProvisionStatus, Reason, Trigger};
use provisiond::domain::subject::{Subject, SubjectKind, SubjectStatus};
use provisiond::domain::target::{Limits, RetryPolicy};
use provisiond::js::{HostProgram, JsHost, RunOutcome, RunRequest};
use provisiond::plan::{Ending, Known, Links, Policy, RunFacts, Scope, Work, conclude, decide};
use provisiond::storage::claim::{Claimed, claim};
use provisiond::storage::complete::{Completion, RunLog, complete};
use provisiond::storage::embedded::EmbeddedPostgres;
use provisiond::storage::{Connection, Db, DbError, JsonText, Pool, migrate, runs};
use serde_json::json;

const FILTER: &str =
    r#"status eq "active" and (department eq "Physics" or groups eq "staff") and not (title co "Guest")"#;
const TARGET: TargetId = TargetId(1);

fn subject() -> Subject {
    let attributes =
        json!({ "department": "Physics", "title": "Research associate", "email": "a@example.org" });
    Subject {
        id: SubjectId(1),
        store: StoreId(1),
        kind: SubjectKind::Account,
        external_id: None,
        user_name: Some("ada".into()),
        display_name: Some("Ada".into()),
        status: SubjectStatus::Active,
        attributes: attributes.as_object().unwrap().clone(),
        version: 1,
        created_at: Utc::now(),
        updated_at: Utc::now(),
        deleted_at: None,
        containers: Vec::new(),
    }
}

fn filter(bench: &mut Criterion) {
    let (parsed, subject, now) = (Filter::parse(FILTER).unwrap(), subject(), Utc::now());
    bench.bench_function("filter/parse", |b| b.iter(|| Filter::parse(black_box(FILTER)).unwrap()));
    bench.bench_function("filter/match", |b| b.iter(|| parsed.matches(black_box(&subject), now)));
}

fn planner(bench: &mut Criterion) {
    let work = Work { trigger: Trigger::Updated, deprovision: false };
    let known =
        Known { status: Some(ProvisionStatus::Provisioned), present: true, in_scope: true, done_version: 1 };
    let scope = Scope { version: 2, deleted: false, matches: true };
    bench.bench_function("plan/decide", |b| b.iter(|| decide(black_box(work), known, scope)));
    let value = json!({ "status": "provisioned", "remoteId": "r-1" });
    bench.bench_function("plan/conclude", |b| {
        b.iter(|| {
            let response = Response::read(black_box(&value), Reason::Provision).unwrap();
            let end = Ending::Answered { response, retry_after: None };
            conclude(&facts(), end, &policy(), Utc::now(), 0.5)
        });
    });
}

fn facts() -> RunFacts {
    RunFacts {
        reason: Reason::Provision,
        trigger: Trigger::Force,
        attempt: 1,
        status_before: ProvisionStatus::Pending,
        present_before: false,
        wanted: true,
        made_calls: true,
        kills: 0,
    }
}

fn policy() -> Policy {
    let seconds = Duration::from_secs(10);
    Policy { retry: RetryPolicy::default(), run_again_floor: seconds, poll_interval: seconds }
}

/// Answers every call at once.
struct Echo;

impl HostCalls for Echo {
    fn fetch(&self, request: FetchRequest) -> HostCallFuture<Fetched> {
        Box::pin(async move {
            let response = FetchResponse {
                status: 200,
                status_text: "OK".into(),
                url: request.url,
                redirected: false,
                headers: vec![("content-type".into(), "application/json".into())],
                body: bytes::Bytes::from_static(b"{\"id\":\"r-1\"}"),
            };
            Ok(response.into())
        })
    }
}

const LOGIC: &str = "export default async (ctx) => {
  const answer = await fetch('http://sink.example/users', { method: 'POST', body: JSON.stringify(ctx.subject) });
  return { status: 'provisioned', remoteId: (await answer.json()).id };
}";

/// Runs through the process boundary, with one host call each, and what the
/// sandbox costs them.
fn host(bench: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let confined = HostProgram::new(env!("CARGO_BIN_EXE_provisiond"));
    let unconfined = HostProgram { confined: false, ..confined.clone() };
    let context = json!({ "reason": "provision", "subject": { "userName": "ada", "attributes": subject().attributes } });
    let (context, calls) = (context.to_string(), Arc::new(Echo));
    for (group, program) in [("host", confined), ("host-unconfined", unconfined)] {
        let host = runtime.block_on(JsHost::start(&program, LOGIC, &Limits::default())).unwrap();
        let mut group = bench.benchmark_group(group);
        for parallel in [1_usize, 16, 64] {
            group.throughput(Throughput::Elements(parallel as u64));
            group.bench_function(format!("run/{parallel}"), |b| {
                b.iter(|| {
                    let run = || host.run(RunRequest { context: context.clone() }, calls.clone());
                    let ends = runtime.block_on(futures_util::future::join_all((0..parallel).map(|_| run())));
                    assert!(ends.iter().all(|end| matches!(end.outcome, RunOutcome::Returned(_))));
                });
            });
        }
    }
}

/// Claim and complete, a batch at a time, out of a queue of 100,000 rows.
fn queue(bench: &mut Criterion) {
    let directory = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path(), mode).unwrap();
    let postgres = EmbeddedPostgres::start(&directory.path().join("data")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // The engine's own pool: its sessions plan as the engine's do.
    let db = Db::connect(&postgres.url(), 1, 1);
    let run = |work: fn(&mut Connection, usize), batch| {
        let done = db.run(Pool::Engine, move |connection| {
            work(connection, batch);
            Ok::<_, DbError>(())
        });
        runtime.block_on(done).unwrap();
    };
    run(prepare, 0);
    let mut group = bench.benchmark_group("queue");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    for batch in [1_usize, 20, 100, 500] {
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(format!("claim-complete/{batch}"), |b| b.iter(|| run(work_off, batch)));
        run(refill, 0);
    }
}

/// What the engine does with a batch, less the runs.
fn work_off(connection: &mut Connection, batch: usize) {
    let mut claimed = claim(connection, TARGET, "bench", batch, batch, 60.0).unwrap();
    if claimed.len() < batch {
        refill(connection, 0);
        claimed = claim(connection, TARGET, "bench", batch, batch, 60.0).unwrap();
    }
    let batch: Vec<Completion> = claimed.iter().map(completion).collect();
    complete(connection, &batch, &Links::default()).unwrap();
}

fn prepare(connection: &mut Connection, _: usize) {
    migrate::up(connection).unwrap();
    runs::make_partitions(connection, Utc::now().date_naive()).unwrap();
    connection
        .batch_execute(
            "INSERT INTO stores (name) VALUES ('people'); \
             INSERT INTO subjects (store_id, kind, user_name, attributes) \
             SELECT (SELECT id FROM stores), 'account', 'user' || n, \
                jsonb_build_object('email', 'user' || n || '@example.org') \
             FROM generate_series(1, 100000) AS n",
        )
        .unwrap();
    refill(connection, 0);
}

fn refill(connection: &mut Connection, _: usize) {
    connection
        .batch_execute(
            "INSERT INTO pending (target_id, subject_id, trigger, priority) \
             SELECT 1, id, 'force', 2 FROM subjects ON CONFLICT DO NOTHING; ANALYZE",
        )
        .unwrap();
}

fn completion(claimed: &Claimed) -> Completion {
    let value = json!({ "status": "provisioned", "remoteId": "r-1" });
    let response = Response::read(&value, Reason::Provision).unwrap();
    let end = Ending::Answered { response, retry_after: None };
    let run = RunLog {
        reason: Reason::Provision,
        trigger: Trigger::Force,
        attempt: 1,
        status_before: ProvisionStatus::Pending,
        logic_version: 1,
        canary: None,
        started_at: Utc::now(),
        finished_at: Utc::now(),
        log: JsonText::empty_list(),
        exchanges: JsonText::of(&json!([{ "request": { "body": claimed.subject.attributes } }])),
        replay: None,
    };
    Completion {
        target: TARGET,
        subject: claimed.subject.id,
        fence: claimed.fence,
        change_seq: claimed.change_seq,
        version: claimed.subject.version,
        in_scope: true,
        conclusion: conclude(&facts(), end, &policy(), Utc::now(), 0.5),
        takes_remote_id: false,
        refused: None,
        fingerprint: None,
        run: Some(run),
    }
}

criterion_group!(benches, filter, planner, host, queue);
criterion_main!(benches);
