//! A database that an ordinary role owns is enough: nothing needs a superuser.

use diesel::connection::SimpleConnection;
use provisiond::storage::{connect, migrate};

use crate::support::db::TestDb;

#[tokio::test]
async fn an_ordinary_role_can_run_the_daemons_database() {
    let db = TestDb::new().await;
    let role = format!("role_{:016x}", rand::random::<u64>());
    let mut owner = db.connection();
    let made = format!(
        "CREATE ROLE {role} LOGIN; CREATE SCHEMA {role} AUTHORIZATION {role}; \
         ALTER ROLE {role} SET search_path TO {role}"
    );
    owner.batch_execute(&made).unwrap();
    owner.batch_execute(&format!("SET ROLE {role}; SET search_path TO {role}")).unwrap();
    assert!(!migrate::up(&mut owner).unwrap().is_empty());
    let mut url = url::Url::parse(&db.url).unwrap();
    let session = connect(db.url.as_str());
    assert!(session.is_ok());
    // The settings of a session, as the ordinary role.
    url.query_pairs_mut().append_pair("options", &format!("-crole={role}"));
    connect(url.as_str()).unwrap();
    owner.batch_execute(&format!("RESET ROLE; DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).unwrap();
}
