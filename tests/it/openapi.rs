//! The OpenAPI document says what the route table does.

use std::collections::{BTreeMap, BTreeSet};

use provisiond::api;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::TestApp;

fn document() -> Value {
    serde_json::from_str(api::openapi::DOCUMENT).unwrap()
}

/// Every operation by its method and path.
fn operations(document: &Value) -> BTreeMap<String, &Value> {
    let mut operations = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.insert(format!("{} {path}", method.to_uppercase()), operation);
        }
    }
    operations
}

#[test]
fn every_endpoint_stands_in_it_with_its_role_and_the_reverse() {
    let document = document();
    let written: BTreeMap<String, String> = operations(&document)
        .into_iter()
        .map(|(name, operation)| (name, operation["x-needs-role"].as_str().unwrap_or("none").to_owned()))
        .collect();
    let served: BTreeMap<String, String> = api::endpoints()
        .iter()
        .map(|endpoint| (format!("{} {}", endpoint.method, endpoint.path), endpoint.needs.to_string()))
        .collect();
    assert_eq!(written, served);
}

#[test]
fn every_operation_asks_for_a_token_and_names_its_parameters() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        assert_eq!(operation["security"], serde_json::json!([{ "bearer": [] }]), "{name}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{name}");
        assert!(operation["responses"]["401"].is_object(), "{name}");
        let (_, path) = name.split_once(' ').unwrap();
        let in_path: BTreeSet<&str> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let empty = Vec::new();
        let described: BTreeSet<&str> = operation["parameters"]
            .as_array()
            .unwrap_or(&empty)
            .iter()
            .map(|parameter| resolve(&document, parameter))
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        assert_eq!(described, in_path, "{name}");
    }
}

/// What a reference points to; anything else stays.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.strip_prefix('#').unwrap()).expect(reference),
        None => value,
    }
}

/// Every `$ref` below a value.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn references_lead_somewhere_and_no_component_is_left_over() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    let mut components = BTreeSet::new();
    for kind in ["schemas", "parameters", "responses", "headers"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            components.insert(format!("#/components/{kind}/{name}"));
        }
    }
    let found: BTreeSet<String> = found.into_iter().map(str::to_owned).collect();
    assert_eq!(found, components);
}

#[tokio::test]
async fn it_is_served_to_whoever_has_a_token() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/openapi.json").await, document());
    let bare = reqwest::Client::builder().no_proxy().build().unwrap();
    let refused = bare.get(format!("{}/api/v1/openapi.json", app.url)).send().await.unwrap();
    assert_eq!(refused.status(), 401);
}

/// Words of Rust, and of its libraries, that mean nothing to a caller.
fn internal_word(text: &str) -> Option<String> {
    let types =
        ["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f32", "f64", "usize", "str", "bool", "enum"];
    let phrases = [
        "struct ",
        "variant",
        "newtype",
        "tuple",
        "Body",
        "invalid type",
        "invalid value",
        "invalid length",
        "invalid number",
        "Option",
        "digit",
        "target type",
        "parse ",
    ];
    let mut words = text.split(|c: char| !c.is_alphanumeric());
    let word = words.find(|word| types.contains(word)).map(str::to_owned);
    word.or_else(|| phrases.iter().find(|phrase| text.contains(**phrase)).map(|phrase| (*phrase).to_owned()))
}

/// Bodies in which one member has a value of the wrong kind, at any depth.
fn wrong_bodies(document: &Value, schema: &Value, depth: u32) -> Vec<Value> {
    let kinds = || {
        [
            json!(true),
            json!(5),
            json!(-1),
            json!(1.5),
            json!(1e12),
            json!("wr\u{f6}ng"),
            json!([]),
            json!([7]),
            json!({}),
            json!({ "wrong": 1 }),
        ]
    };
    let mut bodies = Vec::new();
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let member = resolve(document, member);
        bodies.extend(kinds().map(|value| json!({ name: value })));
        if depth > 0 {
            bodies.extend(
                wrong_bodies(document, member, depth - 1).into_iter().map(|inner| json!({ name: inner })),
            );
            let items = resolve(document, &member["items"]);
            bodies.extend(
                wrong_bodies(document, items, depth - 1).into_iter().map(|inner| json!({ name: [inner] })),
            );
        }
    }
    bodies
}

#[tokio::test]
async fn no_answer_to_a_wrong_body_has_a_word_of_the_inside() {
    let app = TestApp::start().await;
    let document = document();
    let (mut tried, mut told) = (0, BTreeSet::new());
    for (name, operation) in operations(&document) {
        let schema = resolve(&document, &operation["requestBody"]["content"]["application/json"]["schema"]);
        let (method, path) = name.split_once(' ').unwrap();
        let path: Vec<&str> =
            path.split('/').map(|part| if part.starts_with('{') { "1" } else { part }).collect();
        for body in wrong_bodies(&document, schema, 2) {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = app.call(method, &path.join("/"), Some(body.clone())).await;
            let text = answer.body.to_string();
            assert!(answer.status.as_u16() < 500, "{name} {body}: {} {text}", answer.status);
            tried += 1;
            if !answer.status.is_success()
                && let Some(word) = internal_word(&text)
            {
                told.insert(format!("{name} {body}: `{word}` in {text}"));
            }
        }
    }
    assert!(tried > 500, "{tried}");
    assert!(told.is_empty(), "{told:#?}");
}

#[tokio::test]
async fn nor_has_one_to_a_wrong_parameter() {
    let app = TestApp::start().await;
    let document = document();
    let mut told = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let Some(path) = name.strip_prefix("GET ") else { continue };
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        for parameter in parameters.map(|parameter| resolve(&document, parameter)) {
            let named = parameter["name"].as_str().unwrap();
            for wrong in ["wrong", "-1", "1.5", "99999999999999999999", "", "a&b=1"] {
                let path = match parameter["in"].as_str().unwrap() {
                    "path" => path.replace(&format!("{{{named}}}"), &wrong.replace('&', "%26")),
                    _ => format!("{path}?{named}={wrong}"),
                };
                let path = path.replace(['{', '}'], "");
                let answer = app.call(Method::GET, &path, None).await;
                let text = answer.body.to_string();
                assert!(answer.status.as_u16() < 500, "{path}: {} {text}", answer.status);
                if !answer.status.is_success()
                    && let Some(word) = internal_word(&text)
                {
                    told.insert(format!("{path}: `{word}` in {text}"));
                }
            }
        }
    }
    assert!(told.is_empty(), "{told:#?}");
}
