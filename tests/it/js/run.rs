//! What a run returns, throws and writes.

use serde_json::json;

use super::support::{run, start, value};

#[tokio::test]
async fn a_function_is_given_the_context_and_returns() {
    let host = start("export default async (ctx) => ({ hello: ctx.name, list: [1, null] })").await;
    let end = run(&host, json!({"name": "Ada"})).await;
    assert_eq!(value(end), json!({"hello": "Ada", "list": [1, null]}));
}
