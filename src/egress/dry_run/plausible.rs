//! Answers such as an external system would give, and the memory of them.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::effect::{content_type, grants, last_segment};
use crate::domain::host_call::{FetchRequest, FetchResponse};
use crate::domain::json::merge_patch;

/// Most things that one run can make up or have read, and be remembered.
const MOST: usize = 200;
/// Largest answer that is remembered, in bytes.
const LARGEST: usize = 64 * 1024;

/// What the run believes of the external system.
#[derive(Debug, Default)]
pub(super) struct Pretence {
    /// By URL, its query included: `/user?id=1` is another thing than `/user?id=2`.
    things: HashMap<String, Thing>,
    created: u32,
}

#[derive(Debug)]
enum Thing {
    /// It was read, and is as the external system has it.
    Real(Value),
    /// It was written, and would now be so.
    Changed(Value),
    /// It was deleted.
    Gone,
}

impl Pretence {
    /// The answer to a read of what was written in this run.
    pub(super) fn read(&self, request: &FetchRequest) -> Option<FetchResponse> {
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            return None;
        }
        match self.known(&request.url)? {
            Thing::Real(_) => None,
            Thing::Changed(value) => Some(with_json(request, 200, value)),
            Thing::Gone => Some(with_json(
                request,
                404,
                &json!({ "status": "404", "detail": "deleted in this dry run" }),
            )),
        }
    }

    /// Notes what a read has found.
    pub(super) fn note(&mut self, request: &FetchRequest, answer: &FetchResponse) {
        if request.method != "GET" || answer.status != 200 || answer.body.len() > LARGEST {
            return;
        }
        if let Ok(value @ Value::Object(_)) = serde_json::from_slice(&answer.body) {
            self.remember(path(&request.url), Thing::Real(value.clone()));
            self.remember(&request.url, Thing::Real(value));
        }
    }

    /// What is at a URL. A query then only says more of what was written without
    /// one: which fields to show, which version of the API.
    fn known(&self, url: &str) -> Option<&Thing> {
        let written = || self.things.get(path(url)).filter(|thing| !matches!(thing, Thing::Real(_)));
        self.things.get(key(url)).or_else(written)
    }

    /// A plausible answer to a write.
    pub(super) fn write(&mut self, request: &FetchRequest) -> FetchResponse {
        let body = serde_json::from_slice::<Value>(request.body.as_deref().unwrap_or_default()).ok();
        match (request.method.as_str(), body) {
            ("POST", _) if !grants(request).is_empty() => token(request),
            ("POST", Some(Value::Object(members))) => self.create(request, members),
            ("POST", _) => with_json(request, 200, &json!({ "id": self.new_id() })),
            ("DELETE", _) => {
                self.remember(&request.url, Thing::Gone);
                answer(request, 204)
            }
            ("PATCH", Some(patch)) => self.patch(request, &patch),
            ("PUT", Some(Value::Object(members))) => self.replace(request, members),
            _ => answer(request, 204),
        }
    }

    /// Clearly marked, so that nobody takes it for a real one.
    fn new_id(&mut self) -> String {
        self.created += 1;
        format!("dryrun-{}", self.created)
    }

    fn create(&mut self, request: &FetchRequest, mut made: Map<String, Value>) -> FetchResponse {
        // In SCIM the server gives the id (RFC 7643 §3.1).
        if is_scim(request) || !made.contains_key("id") {
            made.insert("id".into(), self.new_id().into());
        }
        let id = made["id"].as_str().map_or_else(|| made["id"].to_string(), str::to_owned);
        let location = format!("{}/{id}", path(&request.url));
        if is_scim(request) {
            made.insert("meta".into(), json!({ "location": location }));
        }
        let made = Value::Object(made);
        let mut answer = with_json(request, 201, &made);
        answer.headers.push(("location".into(), location.clone()));
        self.remember(&location, Thing::Changed(made));
        answer
    }

    fn replace(&mut self, request: &FetchRequest, mut members: Map<String, Value>) -> FetchResponse {
        members.entry("id").or_insert_with(|| last_segment(&request.url).into());
        let value = Value::Object(members);
        let answer = with_json(request, 200, &value);
        self.remember(&request.url, Thing::Changed(value));
        answer
    }

    /// A merge patch is applied to what is known. Operations (RFC 6902, RFC 7644
    /// §3.5.2) are not: their answer is the thing as it was.
    fn patch(&mut self, request: &FetchRequest, patch: &Value) -> FetchResponse {
        let known = match self.known(&request.url) {
            Some(Thing::Real(value) | Thing::Changed(value)) => value.clone(),
            _ => json!({ "id": last_segment(&request.url) }),
        };
        let mut value = known;
        if patch.is_object() && patch.get("Operations").is_none() {
            merge_patch(&mut value, patch);
        }
        let answer = with_json(request, 200, &value);
        self.remember(&request.url, Thing::Changed(value));
        answer
    }

    fn remember(&mut self, url: &str, thing: Thing) {
        let key = key(url);
        if self.things.len() < MOST || self.things.contains_key(key) {
            self.things.insert(key.to_owned(), thing);
        }
    }
}

/// The answer to a read that is not sent either: nothing is there, but a token
/// is given.
pub(super) fn unread(request: &FetchRequest) -> FetchResponse {
    let path_only = !request.url.contains('?');
    match request.method.as_str() {
        "OPTIONS" => answer(request, 204),
        "GET" | "HEAD" if path_only => {
            with_json(request, 404, &json!({ "status": "404", "detail": "not read in this dry run" }))
        }
        "POST" if !grants(request).is_empty() => token(request),
        _ => with_json(request, 200, &json!({ "totalResults": 0, "Resources": [] })),
    }
}

fn token(request: &FetchRequest) -> FetchResponse {
    let token = json!({ "access_token": "dryrun", "token_type": "Bearer", "expires_in": 3600 });
    with_json(request, 200, &token)
}

/// Without the fragment, which is not sent.
fn key(url: &str) -> &str {
    url.split('#').next().unwrap_or_default().trim_end_matches('/')
}

fn path(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/')
}

fn is_scim(request: &FetchRequest) -> bool {
    content_type(request).eq_ignore_ascii_case(SCIM)
}

const SCIM: &str = "application/scim+json";

fn answer(request: &FetchRequest, status: u16) -> FetchResponse {
    FetchResponse {
        status,
        status_text: String::new(),
        url: request.url.clone(),
        redirected: false,
        headers: Vec::new(),
        body: Bytes::new(),
    }
}

fn with_json(request: &FetchRequest, status: u16, value: &Value) -> FetchResponse {
    let accepts_scim = request.headers.iter().any(|(name, value)| name == "accept" && value.contains(SCIM));
    let media_type = if accepts_scim || is_scim(request) { SCIM } else { "application/json" };
    FetchResponse {
        headers: vec![("content-type".into(), media_type.into())],
        body: if request.method == "HEAD" { Bytes::new() } else { value.to_string().into() },
        ..answer(request, status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::host_call::Redirect;

    fn request(method: &str, url: &str, body: Value) -> FetchRequest {
        FetchRequest {
            method: method.into(),
            url: url.into(),
            headers: vec![("content-type".into(), SCIM.into())],
            body: (!body.is_null()).then(|| body.to_string().into()),
            redirect: Redirect::Follow,
            effect: None,
        }
    }

    fn parsed(answer: &FetchResponse) -> Value {
        serde_json::from_slice(&answer.body).unwrap()
    }

    #[test]
    fn what_was_created_is_there_until_it_is_deleted() {
        let mut pretence = Pretence::default();
        let users = "https://a.example/Users";
        let made = pretence.write(&request("POST", users, json!({ "userName": "ada", "id": "mine" })));
        assert_eq!((made.status, &parsed(&made)["id"]), (201, &json!("dryrun-1")));
        let location = "https://a.example/Users/dryrun-1";
        assert!(made.headers.contains(&("location".into(), location.into())));
        assert!(made.headers.contains(&("content-type".into(), SCIM.into())));
        let get = request("GET", &format!("{location}?attributes=userName"), Value::Null);
        assert_eq!(parsed(&pretence.read(&get).unwrap())["userName"], "ada");
        let put = pretence.write(&request("PUT", location, json!({ "userName": "ada2" })));
        assert_eq!((put.status, parsed(&put)), (200, json!({ "userName": "ada2", "id": "dryrun-1" })));
        assert_eq!(pretence.write(&request("DELETE", location, Value::Null)).status, 204);
        assert_eq!(pretence.read(&get).unwrap().status, 404);
    }

    #[test]
    fn a_patch_changes_what_was_read() {
        let mut pretence = Pretence::default();
        let url = "https://a.example/users/7";
        let read = request("GET", url, Value::Null);
        let found = with_json(&read, 200, &json!({ "id": 7, "name": "Ada", "title": "x" }));
        pretence.note(&read, &found);
        assert!(pretence.read(&read).is_none(), "what was only read is read again");
        let patched = pretence.write(&request("PATCH", url, json!({ "title": null, "name": "Eve" })));
        assert_eq!(parsed(&patched), json!({ "id": 7, "name": "Eve" }));
        assert_eq!(parsed(&pretence.read(&read).unwrap()), json!({ "id": 7, "name": "Eve" }));
        let operations = json!({ "Operations": [{ "op": "remove", "path": "title" }] });
        let other = pretence.write(&request("PATCH", "https://a.example/users/8", operations));
        assert_eq!(parsed(&other), json!({ "id": "8" }));
    }

    #[test]
    fn what_a_query_names_is_a_thing_of_its_own() {
        let mut pretence = Pretence::default();
        let at = |method, url: &str| request(method, &format!("https://a.example{url}"), Value::Null);
        let write = |pretence: &mut Pretence, method, url| pretence.write(&at(method, url)).status;
        assert_eq!(write(&mut pretence, "DELETE", "/user?id=1"), 204);
        let status = |pretence: &Pretence, url| pretence.read(&at("GET", url)).map(|answer| answer.status);
        assert_eq!(status(&pretence, "/user?id=1"), Some(404));
        assert_eq!(status(&pretence, "/user?id=2"), None);
        assert_eq!(status(&pretence, "/user"), None);
        write(&mut pretence, "DELETE", "/users/7");
        assert_eq!(status(&pretence, "/users/7?fields=name#x"), Some(404));

        // What was read with a query is what is changed without one, or by the same.
        let read = at("GET", "/users/8?fields=name");
        pretence.note(&read, &with_json(&read, 200, &json!({ "name": "Ada" })));
        let patch = |url: &str| request("PATCH", &format!("https://a.example{url}"), json!({ "n": 1 }));
        assert_eq!(parsed(&pretence.write(&patch("/users/8"))), json!({ "name": "Ada", "n": 1 }));
        pretence.note(&at("GET", "/user?id=3"), &with_json(&read, 200, &json!({ "name": "Eve" })));
        assert_eq!(parsed(&pretence.write(&patch("/user?id=3"))), json!({ "name": "Eve", "n": 1 }));
        assert!(parsed(&pretence.write(&patch("/user?id=4")))["name"].is_null());
    }

    #[test]
    fn reads_that_are_not_sent_find_nothing() {
        let status = |url| unread(&request("GET", url, Value::Null)).status;
        assert_eq!(
            (status("https://a.example/users/7"), status("https://a.example/users?filter=x")),
            (404, 200)
        );
        let grant = json!({ "grant_type": "client_credentials" });
        let token = parsed(&unread(&request("POST", "https://a.example/token", grant)));
        assert_eq!(token["access_token"], "dryrun");
        let refresh = request("POST", "https://a.example/token", json!({ "grant_type": "refresh_token" }));
        assert_eq!(parsed(&Pretence::default().write(&refresh)), token);
        let search = parsed(&unread(&request("POST", "https://a.example/search", json!({}))));
        assert_eq!(search["totalResults"], 0);
    }
}
