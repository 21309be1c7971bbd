//! Where a request may go.

use std::sync::Arc;

use provisiond::domain::status::ErrorClass;
use provisiond::egress::{Ceiling, Egress, TargetPolicy};

use super::server::{Server, answer};
use super::{allow, egress, error_of, fetch, get, session};

#[tokio::test]
async fn every_spelling_of_an_inner_address_is_refused() {
    let session = session(&[]);
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "017700000001",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "10.0.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "127。0。0。1",
        "①②⑦.0.0.1",
    ] {
        let error = error_of(&session, get(format!("http://{host}:1/"))).await;
        assert_eq!(error.class, ErrorClass::Permanent, "{host}: {error}");
        assert!(error.message.contains("is not a public address; add"), "{host}: {error}");
    }
    assert_eq!(session.failure(), Some((ErrorClass::Permanent, None)));
}

/// Whatever the target allows: that is for the operator to say.
#[tokio::test]
async fn metadata_addresses_are_refused_unless_the_operator_lists_them() {
    let hosts = [
        "169.254.169.254",
        "0xa9fea9fe",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[fd00:ec2::254]",
        "[fd00:ec2::23]",
        "[fd20:ce::254]",
        "[fe80::1]",
        "100.100.100.200",
        "0",
        "[::]",
    ];
    let everything = ["0.0.0.0/0", "::/0", "169.254.0.0/16", "fd00:ec2::/32"].map(str::to_owned);
    for list in [allow(&[]), allow(&everything)] {
        let session = Egress::new().session(Arc::new(TargetPolicy::new(list, Vec::new())));
        for host in hosts {
            let error = error_of(&session, get(format!("http://{host}:1/"))).await;
            assert_eq!(error.class, ErrorClass::Permanent, "{host}: {error}");
            assert!(error.message.contains("which only `egress.allow` in the configuration"), "{error}");
        }
    }
    let names = egress(&[("metadata.example", &["169.254.169.254"])]);
    let policy = TargetPolicy::new(allow(&["metadata.example".to_owned()]), Vec::new());
    let error = error_of(&names.session(Arc::new(policy)), get("http://metadata.example/")).await;
    assert!(error.message.contains("which only `egress.allow` in the configuration"), "{error}");
}

#[tokio::test]
async fn the_ceiling_holds_whatever_the_target_allows() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    let inside = ["127.0.0.0/8".to_owned()];
    for (operator, denied, refusal) in [
        (
            vec![],
            vec!["127.0.0.0/8".to_owned()],
            "`egress.deny` in the configuration of the instance names it",
        ),
        (vec!["10.0.0.0/8".to_owned()], vec![], "it is outside of `egress.allow` in the configuration"),
    ] {
        let names = egress(&[("app.example", &["127.0.0.1"])]);
        let names = names.below(Ceiling::parse(&operator, &denied).unwrap());
        let list = allow(&inside).below(names.ceiling());
        let session = names.session(Arc::new(TargetPolicy::new(list, Vec::new())));
        for url in [server.url("/"), format!("http://app.example:{}/", server.address.port())] {
            let error = error_of(&session, get(url)).await;
            assert_eq!(error.class, ErrorClass::Permanent);
            assert!(error.message.contains(refusal), "{error}");
        }
    }
    assert_eq!(server.connections(), 0);
    let names = Egress::new().below(Ceiling::parse(&inside, &[]).unwrap());
    let list = allow(&inside).below(names.ceiling());
    let session = names.session(Arc::new(TargetPolicy::new(list, Vec::new())));
    assert_eq!(fetch(&session, get(server.url("/"))).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_name_that_resolves_inside_is_refused() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    let system = session(&[]);
    let error = error_of(&system, get(format!("http://localhost:{}/", server.address.port()))).await;
    assert_eq!(error.class, ErrorClass::Permanent, "{error}");
    assert!(error.message.contains("is not a public address; add \"localhost\" to `egressAllow`"), "{error}");

    let names = egress(&[("evil.example", &["127.0.0.1"])]);
    let session = names.session(Arc::new(TargetPolicy::new(allow(&[]), Vec::new())));
    let error = error_of(&session, get(format!("http://evil.example:{}/", server.address.port()))).await;
    assert!(error.message.contains("127.0.0.1 is not a public address"), "{error}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_listed_name_may_be_inside() {
    let server = Server::start(|_| answer("200 OK", "", "hello")).await;
    let port = server.address.port();
    let names = egress(&[("app.example", &["127.0.0.1"])]);
    let policy = TargetPolicy::new(allow(&[format!("app.example:{port}")]), Vec::new());
    let session = names.session(Arc::new(policy));
    let response = fetch(&session, get(format!("http://APP.example:{port}/"))).await.unwrap();
    assert_eq!(&response.body[..], b"hello");
    let error = error_of(&session, get("http://app.example:1/")).await;
    assert!(error.message.contains("`egressAllow` of the target does not name it"), "{error}");
}

/// An editor, whose names open public addresses only.
#[tokio::test]
async fn a_listed_name_that_nobody_vouches_for_may_not_be_inside() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    let names = egress(&[("app.example", &["127.0.0.1"])]);
    let entries = ["app.example".to_owned()];
    let policy = TargetPolicy::new(allow(&entries).inside_only_by(&entries, &[]), Vec::new());
    let url = format!("http://app.example:{}/", server.address.port());
    let error = error_of(&names.session(Arc::new(policy)), get(url)).await;
    assert_eq!(error.class, ErrorClass::Permanent);
    let reason = "was added by an editor, whose entries open public addresses only";
    assert!(error.message.contains(reason), "{error}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_network_allows_names_that_resolve_into_it_and_only_its_addresses() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    let port = server.address.port();
    let names = egress(&[("both.example", &["127.0.0.2", "127.0.0.1"]), ("other.example", &["127.0.0.2"])]);
    let inner = tokio::net::TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let policy = TargetPolicy::new(allow(&[format!("127.0.0.1/32:{port}")]), Vec::new());
    let session = names.session(Arc::new(policy));
    assert_eq!(fetch(&session, get(format!("http://both.example:{port}/"))).await.unwrap().status, 200);
    let error = error_of(&session, get(format!("http://other.example:{port}/"))).await;
    assert_eq!(error.class, ErrorClass::Permanent, "{error}");
    let nobody = tokio::time::timeout(std::time::Duration::from_millis(50), inner.accept()).await;
    assert!(nobody.is_err(), "an unchecked address was connected to");
}

#[tokio::test]
async fn only_http_without_credentials_is_spoken() {
    let session = session(&["127.0.0.1".to_owned()]);
    for (url, message) in [
        ("ftp://127.0.0.1/", "`ftp:` URLs are refused: only http and https are allowed"),
        ("file:///etc/passwd", "`file:` URLs are refused: only http and https are allowed"),
        (
            "http://u:p@127.0.0.1/",
            "a URL must not hold a user name or password; set the `authorization` header",
        ),
        (
            "http://127.0.0.1@evil.example/",
            "a URL must not hold a user name or password; set the `authorization` header",
        ),
        ("/relative", "the URL is invalid: relative URL without a base"),
        ("http://", "the URL is invalid: empty host"),
        ("http://[fe80::1%25eth0]/", "the URL is invalid: invalid IPv6 address"),
    ] {
        let error = error_of(&session, get(url)).await;
        assert_eq!((error.class, error.message.as_str()), (ErrorClass::Permanent, message), "{url}");
    }
    let trace =
        provisiond::domain::host_call::FetchRequest { method: "TRACE".into(), ..get("http://127.0.0.1/") };
    assert_eq!(error_of(&session, trace).await.message, "method `TRACE` is forbidden");
}

#[tokio::test]
async fn a_name_without_an_address_is_transient() {
    let session = egress(&[]).session(Arc::new(TargetPolicy::new(allow(&[]), Vec::new())));
    let error = error_of(&session, get("https://gone.example/")).await;
    assert_eq!(error.class, ErrorClass::Transient);
    assert_eq!(error.message, "cannot connect to `gone.example:443`: no such name");
}

#[test]
fn proxies_of_the_environment_are_ignored() {
    let own = std::env::current_exe().unwrap();
    let output = std::process::Command::new(own)
        .args(["--exact", "egress::pooling::runs_of_one_policy_share_connections"])
        .envs(["http_proxy", "HTTP_PROXY", "ALL_PROXY"].map(|name| (name, "http://127.0.0.1:1")))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
