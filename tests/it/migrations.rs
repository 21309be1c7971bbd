//! The schema: up, down, up again, and equal to what the code believes.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_migrations::MigrationHarness;
use provisiond::storage::migrate::{MIGRATIONS, up};

use crate::support::db::TestDb;

#[derive(QueryableByName, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Every column, index and sequence with its definition.
fn shape(connection: &mut PgConnection) -> BTreeSet<Column> {
    let rows: Vec<Column> = diesel::sql_query(
        "SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' \
            || coalesce(column_default, '') AS name \
         FROM information_schema.columns WHERE table_schema = 'public' \
         UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' \
         UNION ALL SELECT sequencename::text FROM pg_sequences \
         UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    )
    .load(connection)
    .unwrap();
    rows.into_iter().collect()
}

#[tokio::test]
async fn up_down_up_gives_the_same_schema() {
    let db = TestDb::new().await;
    let mut connection = db.connection();
    let before = shape(&mut connection);
    connection.revert_all_migrations(MIGRATIONS).unwrap();
    let left: Vec<_> = shape(&mut connection).into_iter().filter(|c| !c.name.contains("diesel")).collect();
    assert_eq!(left, [], "something outlives the down migrations");
    assert!(!up(&mut connection).unwrap().is_empty());
    assert_eq!(shape(&mut connection), before);
    assert_eq!(up(&mut connection).unwrap(), Vec::<String>::new());
}

/// `src/storage/schema.rs` is printed by Diesel; this finds a forgotten print.
#[tokio::test]
async fn the_printed_schema_names_every_column() {
    let db = TestDb::new().await;
    let printed =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/storage/schema.rs")).unwrap();
    let columns: Vec<Column> = diesel::sql_query(
        "SELECT table_name || ' ' || column_name AS name FROM information_schema.columns \
         WHERE table_schema = 'public' AND table_name NOT LIKE 'runs\\_%' AND table_name NOT LIKE '\\_\\_%'",
    )
    .load(&mut db.connection())
    .unwrap();
    for column in columns {
        let (table, name) = column.name.split_once(' ').unwrap();
        let part = printed.split(&format!("    {table} (")).nth(1).unwrap_or_default();
        let part = part.split("diesel::table!").next().unwrap();
        assert!(
            part.contains(&format!("        {name} ->")),
            "{table}.{name} is not in schema.rs: print it again"
        );
    }
}
