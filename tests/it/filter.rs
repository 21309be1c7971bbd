//! Filters in memory and in SQL, held equal over generated subjects.

mod generate;
mod world;

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use provisiond::domain::filter::Filter;
use provisiond::domain::ids::StoreId;
use provisiond::domain::subject::Subject;
use provisiond::storage::filter_sql;

use crate::support::db::TestDb;

const BATCHES: usize = 10;
const SUBJECTS: usize = 160;
const FILTERS: usize = 80;

#[derive(QueryableByName)]
struct Verdict {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Nullable<Bool>)]
    verdict: Option<bool>,
}

fn by_sql(connection: &mut PgConnection, store: StoreId, filter: &Filter) -> BTreeMap<i64, Option<bool>> {
    let compiled = filter_sql::compile(filter, 2, generate::now());
    let query = format!("SELECT s.id, {} AS verdict FROM subjects s WHERE s.store_id = $1", compiled.sql);
    let verdicts: Vec<Verdict> = sql_query(query)
        .bind::<BigInt, _>(store.0)
        .bind::<Array<Text>, _>(&compiled.values)
        .load(connection)
        .unwrap_or_else(|error| panic!("{}: {error}\n{compiled:#?}", filter.source()));
    verdicts.into_iter().map(|row| (row.id, row.verdict)).collect()
}

fn sample<T>(runner: &mut TestRunner, strategy: &impl Strategy<Value = T>) -> T {
    strategy.new_tree(runner).unwrap().current()
}

/// A filter, and that its canonical text reads as the same one.
fn readable(runner: &mut TestRunner) -> Option<Filter> {
    let filter = Filter::parse(&sample(runner, &generate::filter())).ok()?;
    let printed = filter.to_string();
    let again = Filter::parse(&printed).unwrap_or_else(|error| panic!("{printed}: {error}"));
    assert_eq!(again.expression(), filter.expression(), "{} printed as {printed}", filter.source());
    Some(filter)
}

#[derive(Default)]
struct Tally {
    filters: usize,
    refused: usize,
    selective: usize,
}

fn compare(
    connection: &mut PgConnection,
    store: StoreId,
    subjects: &[(Subject, Subject)],
    filter: &Filter,
) -> usize {
    let verdicts = by_sql(connection, store, filter);
    let mut matched = 0;
    for (written, read) in subjects {
        let in_memory = filter.matches(read, generate::now());
        let context = || format!("{}\n{filter}\n{read:#?}", filter.source());
        assert_eq!(filter.matches(written, generate::now()), in_memory, "changed by storage: {}", context());
        assert_eq!(
            verdicts[&read.id.0],
            Some(in_memory),
            "SQL (left) and memory (right) disagree: {}",
            context()
        );
        matched += usize::from(in_memory);
    }
    matched
}

fn batch(connection: &mut PgConnection, runner: &mut TestRunner, tally: &mut Tally) {
    let draft = generate::draft(world::CONTAINER_COUNT);
    let drafts = (0..SUBJECTS).map(|_| sample(runner, &draft)).collect();
    let (store, written) = world::insert(connection, drafts);
    let subjects: Vec<_> = written
        .into_iter()
        .map(|subject| {
            let read = world::read_back(connection, &subject);
            (subject, read)
        })
        .collect();
    for _ in 0..FILTERS {
        let Some(filter) = readable(runner) else {
            tally.refused += 1;
            continue;
        };
        let matched = compare(connection, store, &subjects, &filter);
        tally.filters += 1;
        tally.selective += usize::from(0 < matched && matched < subjects.len());
    }
}

#[tokio::test]
async fn memory_and_sql_agree_on_every_subject() {
    let database = TestDb::new().await;
    tokio::task::spawn_blocking(move || {
        let (mut connection, mut runner, mut tally) =
            (database.connection(), TestRunner::default(), Tally::default());
        for _ in 0..BATCHES {
            batch(&mut connection, &mut runner, &mut tally);
        }
        println!(
            "{} filters, {} of them selective, {} refused",
            tally.filters, tally.selective, tally.refused
        );
        assert!(tally.filters >= 500, "only {} filters could be read", tally.filters);
        assert!(
            tally.selective * 5 >= tally.filters * 2,
            "only {} filters told subjects apart",
            tally.selective
        );
    })
    .await
    .unwrap();
}

#[derive(QueryableByName)]
struct Instant {
    #[diesel(sql_type = Nullable<BigInt>)]
    instant: Option<i64>,
}

/// Whether memory reads `text` as this instant: relative times compare with
/// times only, so they tell a time from any other text.
fn reads_as(text: &str, instant: Option<i64>) -> bool {
    let attributes = serde_json::json!({ "t": text });
    let holds = |filter: &str| {
        Filter::parse(filter).unwrap().matches(&world::bare(attributes.as_object().unwrap()), generate::now())
    };
    let is_time = holds(r#"t gt "now" or t le "now""#);
    match instant.and_then(chrono::DateTime::from_timestamp_micros) {
        None => !is_time,
        Some(instant) => is_time && holds(&format!("t eq \"{}\"", instant.format("%Y-%m-%dT%H:%M:%S%.6fZ"))),
    }
}

#[tokio::test]
async fn memory_and_sql_read_the_same_times() {
    let database = TestDb::new().await;
    let mut runner = TestRunner::default();
    let texts: Vec<String> = (0..5_000).map(|_| sample(&mut runner, &generate::nearly_time())).collect();
    let query =
        "SELECT filter_instant(text) AS instant FROM unnest($1) WITH ORDINALITY AS t(text, n) ORDER BY n";
    let instants: Vec<Instant> =
        sql_query(query).bind::<Array<Text>, _>(&texts).load(&mut database.connection()).unwrap();
    for (text, row) in texts.iter().zip(&instants) {
        assert!(reads_as(text, row.instant), "SQL reads {text:?} as {:?}", row.instant);
    }
    let times = instants.iter().filter(|row| row.instant.is_some()).count();
    assert!((250..4_500).contains(&times), "{times} of {} are times", texts.len());
}

#[tokio::test]
async fn the_largest_filters_run() {
    let database = TestDb::new().await;
    let mut connection = database.connection();
    let (store, subjects) = world::insert(&mut connection, Vec::new());
    assert!(subjects.is_empty());
    let nested = format!("{}a eq 1{}", "a[not (".repeat(16), ")]".repeat(16));
    let wide = vec![r#"a[b.c gt "2024-01-01"].d ne "x""#; 128].join(" or ");
    for source in [nested, wide] {
        let filter = Filter::parse(&source).unwrap();
        assert_eq!(by_sql(&mut connection, store, &filter).len(), world::CONTAINER_COUNT, "{source}");
    }
}

/// A log-in name is found by its index, whose expression the SQL must spell.
#[tokio::test]
async fn equality_of_user_names_uses_the_index() {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
        line: String,
    }
    let database = TestDb::new().await;
    let mut connection = database.connection();
    let compiled = filter_sql::compile(&Filter::parse(r#"userName eq "Ada""#).unwrap(), 1, generate::now());
    sql_query("SET enable_seqscan = off").execute(&mut connection).unwrap();
    let plan: Vec<Line> = sql_query(format!(
        "EXPLAIN SELECT FROM subjects s WHERE store_id = 1 AND kind = 'account' AND deleted_at IS NULL AND {}",
        compiled.sql
    ))
    .bind::<Array<Text>, _>(&compiled.values)
    .load(&mut connection)
    .unwrap();
    let plan: String = plan.into_iter().map(|line| line.line + "\n").collect();
    assert!(plan.contains("Index Cond: ((store_id = 1) AND (lower("), "{plan}");
}

#[test]
fn nothing_that_a_person_wrote_is_part_of_the_sql() {
    let source = r#"marker eq "marker" and attributes.marker[marker co "marker'"].marker gt 4711
        or urn:marker:x:marker pr or groups[displayName eq "marker"] or userName sw "marker""#;
    let compiled = filter_sql::compile(&Filter::parse(source).unwrap(), 7, generate::now());
    assert!(!compiled.sql.contains("marker") && !compiled.sql.contains("4711"), "{}", compiled.sql);
    assert!(compiled.sql.contains("($7::text[])[1]"));
}

#[test]
fn an_empty_filter_is_true_and_binds_nothing() {
    let compiled = filter_sql::compile(&Filter::parse(" ").unwrap(), 1, generate::now());
    assert_eq!((compiled.sql.as_str(), compiled.values.len()), ("true", 0));
}
