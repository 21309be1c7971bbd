//! Tests of what the tests lean on.

use diesel::prelude::*;

use crate::support::db::TestDb;

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let (one, two) = (TestDb::new().await, TestDb::new().await);
    let insert = "INSERT INTO stores (name) VALUES ('people')";
    diesel::sql_query(insert).execute(&mut one.connection()).unwrap();
    diesel::sql_query(insert).execute(&mut two.connection()).unwrap();
    assert_ne!(one.url, two.url);
}
