use serde_json::{Value, json};

use super::*;
use crate::egress::{AllowList, Egress, ScriptedAnswer, SecretHosts, TargetPolicy};
use crate::security::NamedSecret;

fn replay(exchanges: Value, rest: Value) -> (Replay, Arc<TargetPolicy>) {
    let secrets = vec![NamedSecret::new("token", "hunter22")];
    let policy = TargetPolicy::new(AllowList::default(), secrets);
    let policy = Arc::new(policy.with_secret_hosts(SecretHosts::of("token", &["a.example"])));
    let exchanges = serde_json::from_value(exchanges).unwrap();
    let rest = serde_json::from_value(rest).unwrap();
    let session = Egress::new().session(policy.clone());
    (Replay::new(session, exchanges, &rest, Script::default()), policy)
}

fn exchange(method: &str, url: &str, status: u16, body: &str) -> Value {
    let headers = [["location", "/next"], ["x-echo", "[secret:token]"]];
    json!({
        "atMs": 0, "durationMs": 1, "request": { "method": method, "url": url, "headers": [] },
        "response": { "status": status, "headers": headers, "body": body },
    })
}

fn fetch(replay: &Replay, method: &str, url: &str) -> Result<FetchResponse, HostCallError> {
    replay.inner.fetch(&FetchRequest {
        method: method.into(),
        url: url.into(),
        headers: Vec::new(),
        body: None,
        redirect: Redirect::Follow,
        effect: None,
    })
}

#[test]
fn redirects_go_where_they_went() {
    let first = exchange("POST", "https://a.example/users?k=[secret:token]", 303, "");
    let next = exchange("GET", "https://a.example/next", 200, "there");
    let (replay, policy) = replay(json!([first, next]), json!({}));
    let handle = policy.handles()["token"].clone();
    let answer = fetch(&replay, "POST", &format!("https://a.example/users?k={handle}")).unwrap();
    assert_eq!((answer.status, answer.redirected, &answer.body[..]), (200, true, &b"there"[..]));
    assert!(answer.headers.contains(&("x-echo".into(), handle)), "logic gets its handle back");
    assert_eq!(replay.differences(), []);
}

#[test]
fn a_write_is_not_sent_on_without_a_word_here_either() {
    let first = exchange("POST", "https://a.example/users", 302, "");
    let mut refused = exchange("POST", "https://a.example/next", 200, "");
    refused["response"] = Value::Null;
    refused["error"] = json!("a redirect was not followed");
    let followed = exchange("GET", "https://a.example/next", 200, "there");
    for next in [refused, followed] {
        let is_refused = next["response"].is_null();
        let (replay, _) = replay(json!([first, next]), json!({}));
        let asked = |redirect| FetchRequest {
            method: "POST".into(),
            url: "https://a.example/users".into(),
            headers: Vec::new(),
            body: None,
            redirect,
            effect: None,
        };
        let error = replay.inner.fetch(&asked(Redirect::Unsaid)).unwrap_err();
        assert!(error.message.starts_with("a redirect was not followed: the POST was answered with 302"));
        let kinds: Vec<_> = replay.differences().iter().map(|difference| difference.kind).collect();
        assert_eq!(kinds, if is_refused { vec![] } else { vec![DifferenceKind::NotMade] });
    }
}

#[test]
fn what_the_log_hides_of_an_address_is_no_difference() {
    let first = exchange("GET", "https://a.example/users?access_token=[hidden]", 302, "");
    let mut next = exchange("GET", "https://a.example/next?access_token=[hidden]", 200, "there");
    next["response"]["headers"] = json!([]);
    let mut first = first;
    first["response"]["headers"] = json!([["location", "/next?access_token=[hidden]"]]);
    let (replay, _) = replay(json!([first, next]), json!({}));
    let answer = fetch(&replay, "GET", "https://a.example/users?access_token=new").unwrap();
    assert_eq!(&answer.body[..], b"there");
    assert_eq!(replay.differences(), []);
}

#[test]
fn a_read_that_was_redirected_can_be_made_again() {
    let hops = |first: &str| {
        let at = |path: &str| format!("https://a.example{path}");
        [exchange("GET", &at(first), 302, ""), exchange("GET", &at("/next"), 200, first)]
    };
    let (replay, _) = replay(json!([hops("/one"), hops("/two")].concat()), json!({}));
    let body = |path| fetch(&replay, "GET", &format!("https://a.example{path}")).map(|answer| answer.body);
    for path in ["/one", "/two", "/two", "/one", "/one"] {
        assert_eq!(body(path), Ok(path.into()), "{path}");
    }
    let kinds: Vec<_> = replay.differences().iter().map(|difference| difference.kind).collect();
    assert_eq!(kinds, [DifferenceKind::Repeated; 3]);
    // What leads there again is no other answer.
    let (replay, _) = self::replay(json!([exchange("GET", "https://a.example/loop", 302, "")]), json!({}));
    assert!(fetch(&replay, "GET", "https://a.example/loop").is_err());
}

#[test]
fn answers_come_in_their_order_and_reads_again() {
    let (url, other) = ("https://a.example/users/1", "https://a.example/users/2");
    let put = |status| exchange("PUT", url, status, "");
    let (replay, _) = replay(json!([put(503), put(200), exchange("GET", url, 200, "one")]), json!({}));
    assert_eq!(fetch(&replay, "PUT", url).unwrap().status, 503);
    assert_eq!(fetch(&replay, "PUT", url).unwrap().status, 200);
    let missed = fetch(&replay, "PUT", url).unwrap_err();
    assert_eq!(missed.message, format!("no recorded answer for PUT {url}"));
    assert!(fetch(&replay, "GET", url).is_ok() && fetch(&replay, "GET", url).is_ok());
    assert!(fetch(&replay, "GET", other).is_err());
    let kinds: Vec<_> = replay.differences().iter().map(|difference| difference.kind).collect();
    use DifferenceKind::{NotRecorded, Repeated};
    assert_eq!(kinds, [NotRecorded, Repeated, NotRecorded]);
}

#[test]
fn a_request_that_a_script_answers_was_made() {
    let url = "https://a.example/users/1";
    let (replay, _) = replay(json!([exchange("PUT", url, 503, "")]), json!({}));
    let answer = ScriptedAnswer {
        method: None,
        url: None,
        status: 200,
        headers: vec![],
        body: Bytes::new(),
        times: 1,
    };
    replay.inner.state().script = vec![answer].into();
    assert_eq!(fetch(&replay, "PUT", url).unwrap().status, 200);
    assert_eq!(replay.differences(), []);
}

#[test]
fn what_was_not_kept_whole_is_no_answer() {
    let url = "https://a.example/";
    let binary = exchange("GET", url, 200, "<7 bytes>");
    let long = exchange("GET", "https://a.example/long", 200, "abc… <9999 bytes>");
    let lost = exchange("GET", "https://a.example/lost", 200, "abc… <99999 bytes>");
    let rest = json!({ "bodies": { "1": { "response": "abcdef" }, "2": { "response": "" } } });
    let (replay, _) = replay(json!([binary, long, lost]), rest);
    let message = |url| fetch(&replay, "GET", url).unwrap_err().message;
    assert_eq!(message(url), "the recorded answer of GET https://a.example/ was not kept whole");
    assert!(message("https://a.example/lost").ends_with("was not kept whole"));
    assert_eq!(&fetch(&replay, "GET", "https://a.example/long").unwrap().body[..], b"abcdef");
}
