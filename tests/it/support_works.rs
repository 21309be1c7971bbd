//! Tests of what the tests lean on.

use std::time::Duration;

use diesel::prelude::*;

use crate::support::db::TestDb;
use crate::support::scim::ScimServer;
use crate::support::sink::{Answer, Sink};

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let (one, two) = (TestDb::new().await, TestDb::new().await);
    let insert = "INSERT INTO stores (name) VALUES ('people')";
    diesel::sql_query(insert).execute(&mut one.connection()).unwrap();
    diesel::sql_query(insert).execute(&mut two.connection()).unwrap();
    assert_ne!(one.url, two.url);
}

#[tokio::test]
async fn the_sink_records_and_answers_as_told() {
    let sink = Sink::start().await;
    sink.answer(Answer::new(429).header("retry-after", 7).containing("ada").times(1));
    sink.answer(Answer::new(201).after(Duration::from_millis(50)).method("PUT").to("/slow"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = |body: &'static str| client.post(format!("{}/users?x=1", sink.url)).body(body).send();
    let refused = post(r#"{"name":"ada"}"#).await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    assert_eq!(post(r#"{"name":"ada"}"#).await.unwrap().status(), 200);
    let slow = || client.put(format!("{}/slow", sink.url)).send();
    let (one, two) = tokio::join!(slow(), slow());
    assert_eq!((one.unwrap().status().as_u16(), two.unwrap().status().as_u16()), (201, 201));
    let calls = sink.wait_for(4).await;
    assert_eq!((calls[0].path.as_str(), calls[0].status), ("/users?x=1", Some(429)));
    assert_eq!(calls[0].json()["name"], "ada");
    assert!(calls[2].overlaps(&calls[3]) && !calls[0].overlaps(&calls[1]));
    assert_eq!(sink.calls_about("ada").len(), 2);
}

#[tokio::test]
async fn a_caller_that_hangs_up_ends_its_call() {
    let sink = Sink::start().await;
    sink.answer(Answer::new(200).after(Duration::from_secs(60)));
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_millis(100)).build().unwrap();
    client.get(&sink.url).send().await.unwrap_err();
    let calls = sink.wait_for(1).await;
    assert_eq!(calls[0].status, None);
}

#[tokio::test]
async fn the_scim_server_serves() {
    let server = ScimServer::start().await;
    assert_eq!(server.users().await.len(), 0);
    assert_eq!(server.user("ada").await, None);
}
