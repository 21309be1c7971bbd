//! From a world at rest to its report: the oracle for each target, and the
//! source against the ledger.

use std::collections::HashMap;
use std::time::Instant;

use diesel::sql_types::{BigInt, Bool};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use serde_json::Value;

use super::ledger::Account;
use super::oracle::{self, Key};
use super::report::Waits;
use super::world::World;

/// Writes into the world's report what became of it.
pub async fn judge(world: &mut World, accounts: &[Account]) {
    world.report.accounts += accounts.len() as u64;
    source(world, accounts).await;
    for index in 0..world.places.len() {
        let (runs, limits) = tokio::task::block_in_place(|| executed(world, index));
        let place = &world.places[index];
        let mut findings = oracle::inspect(place.scope, accounts, &place.sink.calls(), &runs);
        let name = place.target.name.clone();
        let faulty = |at: Instant| world.strikes.iter().any(|strike| strike.contains(&at));
        let waits = Waits {
            p95: findings.wait_ms(95, |_| true),
            calm_p95: findings.wait_ms(95, |at| !faulty(at)),
            faulty_p50: findings.wait_ms(50, faulty),
        };
        findings.content(place.scope, accounts, &place.sink.content());
        world.report.absorb(&name, findings, waits, limits);
    }
}

/// Every acknowledged change is in the source.
async fn source(world: &mut World, accounts: &[Account]) {
    let held = list(world).await;
    let living = accounts.iter().filter(|account| !account.now().deleted);
    for account in living.clone() {
        let now = account.now();
        let found = held.get(&account.id);
        let same = |found: &Value| found["version"] == now.version && found["attributes"]["n"] == now.value;
        if !found.is_some_and(same) {
            world.report.losses += 1;
            let sentence = format!("{} lost an acknowledged change: {now:?}, {found:?}", account.name);
            world.report.problem(sentence);
        }
    }
    let living = living.count();
    if held.len() != living {
        let sentence = format!("the source has {} accounts, of which {living} are known", held.len());
        world.report.problem(sentence);
    }
}

async fn list(world: &World) -> HashMap<String, Value> {
    let mut accounts = HashMap::new();
    let mut cursor = String::new();
    loop {
        let page = world.app.get(&format!("/stores/{}/accounts?limit=500{cursor}", world.work.store)).await;
        for account in page["items"].as_array().unwrap() {
            accounts.insert(account["id"].as_str().unwrap().to_owned(), account.clone());
        }
        let Some(next) = page["next"].as_str() else { return accounts };
        cursor = format!("&cursor={next}");
    }
}

#[derive(QueryableByName)]
struct Executed {
    #[diesel(sql_type = BigInt)]
    subject_id: i64,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = Bool)]
    deprovision: bool,
    #[diesel(sql_type = BigInt)]
    calling: i64,
    #[diesel(sql_type = BigInt)]
    limits: i64,
}

const EXECUTED: &str = "SELECT subject_id, subject_version AS version, reason = 'deprovision' AS deprovision, \
        count(*) FILTER (WHERE exchanges <> '[]') AS calling, \
        count(*) FILTER (WHERE message LIKE '%limit of%was reached%') AS limits \
     FROM runs WHERE target_id = $1 GROUP BY 1, 2, 3";

/// The runs of a target that called, by their work; and how often a run broke a
/// limit, which takes all runs of its host with it.
fn executed(world: &World, index: usize) -> (HashMap<Key, u64>, u64) {
    let target: i64 = world.places[index].target.id.parse().unwrap();
    let rows: Vec<Executed> =
        sql_query(EXECUTED).bind::<BigInt, _>(target).load(&mut world.database()).unwrap();
    let limits = rows.iter().map(|row| row.limits as u64).sum();
    let key = |row: &Executed| (row.subject_id.to_string(), row.version, row.deprovision);
    (rows.iter().map(|row| (key(row), row.calling as u64)).collect(), limits)
}
