//! The API on a port of its own, without the engine.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web;
use chrono::Utc;
use diesel::RunQueryDsl;
use provisiond::api::{self, ApiLimits, ApiState};
use provisiond::domain::ids::TargetId;
use provisiond::http::server::{self, ServerLimits};
use provisiond::security::{Role, Token};
use provisiond::storage::Db;
use provisiond::storage::tokens::{self, Name, NewToken};
use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::support::db::TestDb;

/// The API with a database of its own and a token for every role.
pub struct TestApi {
    pub url: String,
    pub db: TestDb,
    pub nudged: Arc<Mutex<Vec<TargetId>>>,
    client: reqwest::Client,
    tokens: Vec<(Role, String)>,
    server: ServerHandle,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The body, if the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }

    /// The field and kind of a problem.
    #[track_caller]
    pub fn problem(&self) -> (u16, String, String) {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], self.status.as_u16());
        let kind = self.body["type"].as_str().unwrap().trim_start_matches("urn:provisiond:problem:");
        let field = self.body["errors"][0]["field"].as_str().unwrap_or_default();
        (self.status.as_u16(), kind.into(), field.into())
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl TestApi {
    pub async fn start() -> Self {
        let db = TestDb::new().await;
        Self::over(db, |url| url.to_owned()).await
    }

    /// The API whose connections may take so much.
    pub async fn with_limits(limits: ServerLimits) -> Self {
        Self::serve(TestDb::new().await, |url| url.to_owned(), limits, ApiLimits::default()).await
    }

    /// The API with caps of its own.
    pub async fn with_caps(caps: ApiLimits) -> Self {
        Self::serve(TestDb::new().await, |url| url.to_owned(), LIMITS, caps).await
    }

    /// The same, with imports that write so many lines at once.
    pub async fn with_batches_of(lines: usize) -> Self {
        Self::with_caps(ApiLimits { import_batch: lines, ..ApiLimits::default() }).await
    }

    /// The API over a database that `address` finds elsewhere than it is.
    pub async fn over(db: TestDb, address: impl Fn(&str) -> String) -> Self {
        Self::serve(db, address, LIMITS, ApiLimits::default()).await
    }

    async fn serve(
        db: TestDb,
        address: impl Fn(&str) -> String,
        limits: ServerLimits,
        caps: ApiLimits,
    ) -> Self {
        let mut connection = db.connection();
        let tokens = Role::ALL.iter().map(|role| (*role, token(&mut connection, *role))).collect();
        let nudged = Arc::new(Mutex::new(Vec::new()));
        let noted = nudged.clone();
        let state = ApiState {
            db: Db::connect(&address(&db.url), 4, 1),
            nudge: Arc::new(move |targets| noted.lock().unwrap().extend(targets)),
            limits: caps,
            reads: api::reads(4),
        };
        let (server, url) = serve(state, limits);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { url, db, nudged, client, tokens, server }
    }

    pub fn token(&self, role: Role) -> &str {
        &self.tokens.iter().find(|(known, _)| *known == role).unwrap().1
    }

    /// A request below the prefix with the owner's token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, &format!("/api/v1{path}")).bearer_auth(self.token(Role::Owner))
    }

    /// A request to any path without a token.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    pub async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        self.send(self.request(method, path).json(&body)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, body).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Makes the store `people`.
    pub async fn with_store(self) -> Self {
        self.post("/stores", json!({"name": "people"})).await.expect(201);
        self
    }

    /// Makes an account in `people`; returns its id.
    pub async fn account(&self, body: Value) -> String {
        let account = self.post("/stores/people/accounts", body).await.expect(201);
        account["id"].as_str().unwrap().to_owned()
    }

    /// Rows of the tables that requests write, with the sum of the versions.
    pub fn written(&self) -> Vec<i64> {
        #[derive(diesel::QueryableByName)]
        struct Counts {
            #[diesel(sql_type = diesel::sql_types::Array<diesel::sql_types::BigInt>)]
            counts: Vec<i64>,
        }
        let counts: Counts = diesel::sql_query(
            "SELECT ARRAY[(SELECT count(*) FROM stores), (SELECT count(*) FROM subjects), \
             (SELECT coalesce(sum(version), 0)::bigint FROM subjects), \
             (SELECT count(*) FROM subjects WHERE deleted_at IS NULL), \
             (SELECT count(*) FROM memberships), (SELECT count(*) FROM pending), \
             (SELECT count(*) FROM tokens WHERE revoked_at IS NULL)] AS counts",
        )
        .get_result(&mut self.db.connection())
        .unwrap();
        counts.counts
    }
}

impl Drop for TestApi {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

fn token(connection: &mut diesel::PgConnection, role: Role) -> String {
    let token = Token::generate();
    let name = Name::Given(role.as_str().to_owned());
    let new = NewToken { name, role, hash: token.hash(), expires_at: None };
    tokens::create(connection, &new, Utc::now()).unwrap();
    token.expose().to_owned()
}

/// What a connection of a test may take.
pub const LIMITS: ServerLimits = ServerLimits {
    connections: 512,
    head: Duration::from_secs(60),
    body: Duration::from_secs(60),
    write: Duration::from_secs(60),
    idle: Duration::from_secs(90),
};

fn serve(state: ApiState, limits: ServerLimits) -> (ServerHandle, String) {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let state = web::Data::new(state);
            let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let configure = move |service: &mut web::ServiceConfig| {
                service.app_data(state.clone());
                api::configure(service);
            };
            let server = server::start(listener, limits, configure).unwrap();
            sender.send((server.handle(), url)).unwrap();
            server.await.unwrap();
        });
    });
    receiver.recv().unwrap()
}
