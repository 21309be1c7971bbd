//! Secrets go out as values and come back as handles.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use provisiond::domain::host_call::FetchRequest;
use provisiond::domain::status::ErrorClass;
use provisiond::egress::{Egress, EgressLimits, SecretHosts, Session, TargetPolicy};
use provisiond::security::NamedSecret;

use super::server::{Server, answer};
use super::{SECRET, allow, error_of, fetch, get, header, plain_hosts, post, session_with, with_header};

/// Sends the request to a server that echoes; gives back what the server got,
/// what logic got and what the log has.
async fn echoed(make: impl Fn(&str, &str) -> FetchRequest) -> (super::server::Received, Vec<u8>, String) {
    let echo = |request: &super::server::Received| {
        let fields = format!("x-echo: {}\r\n", request.header("authorization").unwrap_or("none"));
        answer("200 OK", &fields, &format!("{}{}", request.head, request.body))
    };
    let server = Server::start(echo).await;
    let (session, policy) = session_with(&[server.entry()], EgressLimits::default());
    let handle = policy.handles()["token"].clone();
    let response = fetch(&session, make(&server.url(""), &handle)).await.unwrap();
    let seen = format!("{:?} {} {}", response.headers, response.url, String::from_utf8_lossy(&response.body));
    assert!(!seen.contains("hunter2"), "logic saw it: {seen}");
    let log = serde_json::to_string(&session.take_exchanges()).unwrap();
    assert!(!log.contains("hunter2") && !log.contains("__secret_"), "the log has it: {log}");
    let body = response.body.to_vec();
    assert!(!header(&response, "x-echo").contains("hunter2"));
    (server.received()[0].clone(), body, log)
}

#[tokio::test]
async fn a_header_carries_the_value() {
    let (got, body, log) = echoed(|url, handle| {
        with_header(get(format!("{url}/")), "authorization", &format!("Bearer {handle}"))
    })
    .await;
    assert_eq!(got.header("authorization"), Some(format!("Bearer {SECRET}").as_str()));
    assert!(String::from_utf8(body).unwrap().contains("authorization: Bearer __secret_token_"));
    assert!(log.contains(r#"["authorization","Bearer [secret:token]"]"#), "{log}");
}

#[tokio::test]
async fn basic_authorization_carries_the_value_and_its_echo_is_hidden() {
    let (got, body, log) = echoed(|url, handle| {
        let credentials = STANDARD.encode(format!("admin:{handle}"));
        with_header(get(format!("{url}/")), "authorization", &format!("Basic {credentials}"))
    })
    .await;
    let expected = format!("Basic {}", STANDARD.encode(format!("admin:{SECRET}")));
    assert_eq!(got.header("authorization"), Some(expected.as_str()));
    assert!(!String::from_utf8(body).unwrap().contains(&STANDARD.encode(SECRET)[3..12]));
    assert!(log.contains(r#"["authorization","Basic [secret:token]"]"#), "{log}");
}

#[tokio::test]
async fn a_url_carries_the_value_encoded() {
    let (got, _, log) =
        echoed(|url, handle| get(format!("{url}/a/{handle}?key={handle}&b=1#{handle}"))).await;
    assert_eq!(got.path(), "/a/hunter2%20%26%22x%22?key=hunter2%20%26%22x%22&b=1");
    assert!(log.contains("/a/[secret:token]?key=[secret:token]&b=1"), "{log}");
}

#[tokio::test]
async fn bodies_carry_the_value_as_their_type_wants_it() {
    for (content_type, expected) in [
        ("application/json", r#"{"password":"hunter2 &\"x\""}"#),
        ("application/x-www-form-urlencoded", r#"{"password":"hunter2+%26%22x%22"}"#),
        ("application/soap+xml; charset=utf-8", r#"{"password":"hunter2 &amp;&quot;x&quot;"}"#),
        ("text/plain", r#"{"password":"hunter2 &"x""}"#),
    ] {
        let (got, body, _) = echoed(|url, handle| {
            post(format!("{url}/"), content_type, format!(r#"{{"password":"{handle}"}}"#))
        })
        .await;
        assert_eq!(got.body, expected);
        assert_eq!(got.header("content-length"), Some(expected.len().to_string().as_str()));
        assert!(String::from_utf8(body).unwrap().contains("__secret_token_"));
    }
}

#[tokio::test]
async fn a_base64_echo_is_hidden() {
    let server =
        Server::start(|_| answer("200 OK", "", &format!("debug {} end", STANDARD.encode(SECRET)))).await;
    let (session, _) = session_with(&[server.entry()], EgressLimits::default());
    let response = fetch(&session, get(server.url("/"))).await.unwrap();
    let text = String::from_utf8(response.body.to_vec()).unwrap();
    assert!(text.starts_with("debug __secret_token_") && text.ends_with(" end"), "{text}");
    let exchanges = session.take_exchanges();
    assert!(
        exchanges[0].response.as_ref().unwrap().body.as_deref().unwrap().starts_with("debug [secret:token]")
    );
}

#[tokio::test]
async fn secrets_do_not_cross_origins() {
    let other = Server::start(|_| answer("200 OK", "", "")).await;
    let to = other.url("/end");
    let server =
        Server::start(move |_| answer("307 Temporary Redirect", &format!("location: {to}\r\n"), "")).await;
    let (session, policy) = session_with(&[server.entry(), other.entry()], EgressLimits::default());
    let handle = policy.handles()["token"].clone();
    fetch(&session, with_header(get(server.url("/")), "x-api", &handle)).await.unwrap();
    assert_eq!(server.received()[0].header("x-api"), Some(SECRET));
    assert_eq!(other.received()[0].header("x-api"), None);
    let error = error_of(&session, post(server.url("/"), "text/plain", handle)).await;
    assert!(error.message.contains("it would carry a body with secrets"), "{error}");
    assert_eq!(other.received().len(), 1);
}

/// A run whose secret may go to `hosts` alone, and the handle.
fn ruled(allowed: &[String], hosts: &[String]) -> (Session, String) {
    let policy = TargetPolicy::new(allow(allowed), vec![NamedSecret::new("token", SECRET)])
        .with_secret_hosts(plain_hosts("token", hosts));
    let policy = Arc::new(policy);
    (Egress::new().session(policy.clone()), policy.handles()["token"].clone())
}

#[tokio::test]
async fn a_secret_goes_to_its_own_hosts_only() {
    let own = Server::start(|_| answer("200 OK", "", "")).await;
    let other = Server::start(|_| answer("200 OK", "", "")).await;
    let (session, handle) = ruled(&[own.entry(), other.entry()], &[own.entry()]);
    let basic = format!("Basic {}", STANDARD.encode(format!("admin:{handle}")));
    let to_other = |path: &str| get(other.url(path));
    for request in [
        with_header(to_other("/"), "x-api", &handle),
        with_header(to_other("/"), "authorization", &basic),
        to_other(&format!("/?key={handle}")),
        post(other.url("/"), "text/plain", handle.clone()),
    ] {
        let error = error_of(&session, request).await;
        assert_eq!(error.class, ErrorClass::Permanent);
        let expected = format!(
            "secret `token` is not sent to `{0}`: `connection.secretHosts.token` of the target does not name it; add \"http://{0}\" to allow it",
            other.entry()
        );
        assert_eq!(error.message, expected);
    }
    assert_eq!(other.received().len(), 0);
    fetch(&session, with_header(get(own.url("/")), "x-api", &handle)).await.unwrap();
    assert_eq!(own.received()[0].header("x-api"), Some(SECRET));
    fetch(&session, get(other.url("/"))).await.unwrap();
    let log = serde_json::to_string(&session.take_exchanges()).unwrap();
    assert!(!log.contains("hunter2") && !log.contains("__secret_"), "{log}");
}

#[tokio::test]
async fn a_redirect_does_not_carry_a_secret_past_its_hosts() {
    let other = Server::start(|_| answer("200 OK", "", "")).await;
    let to = other.url("");
    let own = Server::start(move |request| match request.path() {
        // An open redirect that echoes what it was sent.
        "/echo" => answer("302 Found", &format!("location: {to}/?k=hunter2%20%26%22x%22\r\n"), ""),
        _ => answer("307 Temporary Redirect", &format!("location: {to}/end\r\n"), ""),
    })
    .await;
    let (session, handle) = ruled(&[own.entry(), other.entry()], &[own.entry()]);
    fetch(&session, with_header(get(own.url("/")), "x-api", &handle)).await.unwrap();
    assert_eq!(other.received()[0].header("x-api"), None);
    let error = error_of(&session, get(own.url("/echo"))).await;
    let expected = format!("a redirect was not followed: secret `token` is not sent to `{}`", other.entry());
    assert!(error.message.starts_with(&expected), "{error}");
    assert_eq!(other.received().len(), 1);
    let log = serde_json::to_string(&session.take_exchanges()).unwrap();
    assert!(!log.contains("hunter2"), "{log}");
}

/// Whatever a service makes of a secret: neither logic nor log sees it.
#[tokio::test]
async fn echoes_are_hidden_in_every_form() {
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    let echoes = [
        SECRET.to_owned(),
        STANDARD.encode(SECRET),
        STANDARD.encode(format!("admin:{SECRET}")),
        STANDARD.encode(format!("user:{SECRET}:more")),
        hex.to_uppercase(),
        hex,
        "hunter2%20%26%22x%22".to_owned(),
        "hunter2+%26%22x%22".to_owned(),
        r#"hunter2 &\"x\""#.to_owned(),
        r#"hunter2 \u0026\u0022x\u0022"#.to_owned(),
        "hunter2 &amp;&quot;x&quot;".to_owned(),
        "hunter2 &#38;&#34;x&#34;".to_owned(),
    ];
    for echo in echoes {
        let said = echo.clone();
        let server = Server::start(move |_| {
            answer("400 Bad Request", &format!("x-echo: {said}\r\n"), &format!("<{said}>"))
        })
        .await;
        let (session, _) = session_with(&[server.entry()], EgressLimits::default());
        let response = fetch(&session, get(server.url("/"))).await.unwrap();
        let body = String::from_utf8(response.body.to_vec()).unwrap();
        assert!(body.contains("__secret_token_"), "logic sees {echo}: {body}");
        assert!(header(&response, "x-echo").contains("__secret_token_"), "{echo}");
        let shown = session.take_exchanges().remove(0).response.unwrap();
        assert!(shown.body.unwrap().contains("[secret:token]"), "the log has {echo}");
    }
}

/// A debugging page that answers with the header fields that its query names.
#[tokio::test]
async fn echoes_in_names_of_header_fields_are_hidden() {
    let value = "Sesame_Open-42";
    let hex: String = value.bytes().map(|byte| format!("{byte:02X}")).collect();
    for echo in [value.to_owned(), value.to_lowercase(), hex] {
        let said = echo.clone();
        let server = Server::start(move |_| answer("200 OK", &format!("X-{said}: 1\r\n"), "")).await;
        let policy = TargetPolicy::new(allow(&[server.entry()]), vec![NamedSecret::new("Token", value)]);
        let policy = Arc::new(policy.with_secret_hosts(plain_hosts("Token", &[server.entry()])));
        let session = Egress::new().session(policy.clone());
        let handle = &policy.handles()["Token"];
        let response = fetch(&session, get(server.url(&format!("/?{handle}=1")))).await.unwrap();
        assert_eq!(header(&response, &format!("x-{handle}")), "1", "{echo}: {:?}", response.headers);
        let log = serde_json::to_string(&session.take_exchanges()).unwrap();
        assert!(log.contains(r#"["x-[secret:Token]","[hidden]"]"#), "{echo}: {log}");
        assert!(!log.to_lowercase().contains(&echo.to_lowercase()) && !log.contains(handle), "{log}");
    }
}

#[tokio::test]
async fn an_echo_in_a_redirect_is_hidden() {
    let server = Server::start(|request| match request.path() {
        "/end?key=hunter2%20%26%22x%22" => answer("200 OK", "", ""),
        _ => answer("302 Found", "location: /end?key=hunter2%20%26%22x%22\r\n", ""),
    })
    .await;
    let (session, _) = session_with(&[server.entry()], EgressLimits::default());
    let response = fetch(&session, get(server.url("/"))).await.unwrap();
    assert_eq!(response.status, 200);
    assert!(response.url.contains("/end?key=__secret_token_"), "{}", response.url);
    let log = serde_json::to_string(&session.take_exchanges()).unwrap();
    assert!(!log.contains("hunter2") && log.contains("/end?key=[secret:token]"), "{log}");
}

/// Also where the target may go anywhere.
#[tokio::test]
async fn a_secret_goes_nowhere_until_it_has_hosts_and_then_over_tls() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    for (hosts, message) in [
        (None, "it may go nowhere yet; somebody with the role `secretsAdmin` has to say"),
        (Some(vec![]), "`connection.secretHosts.token` of the target does not name it; add \"http://"),
        (Some(vec![server.entry()]), "over plain http: use https, or write \"http://"),
    ] {
        let policy = TargetPolicy::new(allow(&[server.entry()]), vec![NamedSecret::new("token", SECRET)]);
        let rules = hosts.map(|hosts| ("token".to_owned(), hosts)).into_iter().collect();
        let policy = Arc::new(policy.with_secret_hosts(SecretHosts::parse(&rules).unwrap()));
        let handle = policy.handles()["token"].clone();
        let session = Egress::new().session(policy);
        let error = error_of(&session, with_header(get(server.url("/")), "x-api", &handle)).await;
        assert_eq!(error.class, ErrorClass::Permanent);
        let start = format!("secret `token` is not sent to `{}`", server.entry());
        assert!(error.message.starts_with(&start) && error.message.contains(message), "{error}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn messages_have_no_secrets() {
    let (session, policy) = session_with(&["127.0.0.1".to_owned()], EgressLimits::default());
    let handle = &policy.handles()["token"];
    let error = error_of(&session, get(format!("http://{handle}.example/"))).await;
    assert!(!error.message.contains("hunter2"), "{error}");
    let refused = with_header(get("http://127.0.0.1/"), "x\n", handle);
    assert!(!error_of(&session, refused).await.message.contains("hunter2"));
}
