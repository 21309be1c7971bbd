//! An import costs the same for each line, however many there were before.

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};
use provisiond::domain::subject::{SubjectDraft, SubjectStatus};
use provisiond::storage::import::{self, Line};
use provisiond::storage::stores;
use serde_json::json;

use crate::support::db::TestDb;

const LINES: u64 = 6_000;
const BATCH: usize = 500;

#[derive(QueryableByName)]
struct Read {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// Rows and index entries of the tables that an import reads, so far.
fn read(connection: &mut PgConnection) -> i64 {
    connection.batch_execute("SELECT pg_stat_force_next_flush(); SELECT pg_stat_clear_snapshot()").unwrap();
    let query = "SELECT sum(seq_tup_read + idx_tup_fetch)::bigint + (SELECT sum(idx_tup_read)::bigint \
            FROM pg_stat_user_indexes WHERE relname IN ('subjects', 'import_seen', 'memberships')) AS rows \
        FROM pg_stat_user_tables WHERE relname IN ('subjects', 'import_seen', 'memberships')";
    sql_query(query).get_result::<Read>(connection).unwrap().rows
}

fn line(number: u64) -> Line {
    let serde_json::Value::Object(attributes) = json!({ "number": number }) else { unreachable!() };
    let draft = SubjectDraft {
        external_id: Some(format!("e-{number}")),
        user_name: Some(format!("user{number}")),
        display_name: None,
        status: SubjectStatus::Active,
        attributes,
        groups: [format!("Group {}", number % 20)].into(),
        organization: None,
    };
    Line { number, draft }
}

/// Counted, not timed; new accounts, and then the same again.
#[test]
fn each_line_costs_the_same() {
    let db = TestDb::new_blocking();
    let mut connection = db.connection();
    let store = stores::create(&mut connection, "people").unwrap().id;
    let lines: Vec<Line> = (0..LINES).map(line).collect();
    for round in ["new", "unchanged"] {
        let session = import::begin(&mut connection, store).unwrap();
        let costs: Vec<i64> = lines
            .chunks(BATCH)
            .map(|batch| {
                let before = read(&mut connection);
                assert_eq!(import::batch(&mut connection, session, batch).unwrap().bad, []);
                if batch[0].number == 0 {
                    import::take_stock(&mut connection).unwrap();
                }
                (read(&mut connection) - before) / BATCH as i64
            })
            .collect();
        println!("rows and entries read for each line, {round}: {costs:?}");
        assert!(costs[costs.len() - 1] <= 2 * costs[1] + 10, "{round}: {costs:?}");
    }
}
