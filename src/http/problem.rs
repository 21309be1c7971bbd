//! Problem details (RFC 9457): the one place where errors become answers.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Map, Value, json};

use crate::domain::ids::BadId;
use crate::domain::subject::FieldError;
use crate::storage::DbError;
use crate::storage::dependencies::DependencyError;
use crate::storage::stores::StoreError;
use crate::storage::subjects::SubjectError;
use crate::storage::sweeps::control::SweepError;
use crate::storage::targets::TargetError;
use crate::storage::tokens::TokenStoreError;

/// Seconds after which a client may try again when the database is away.
const RETRY_AFTER: &str = "5";

/// Declares the kinds of problem: variant, word of the type URI, status, title.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident $word:literal $status:ident $title:literal;)+) => {
        /// What kind of problem it is; the `type` member is
        /// `urn:provisiond:problem:` and the kind's word.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind { $($(#[$doc])* $variant),+ }

        impl Kind {
            const fn facts(self) -> (&'static str, StatusCode, &'static str) {
                match self { $(Self::$variant => ($word, StatusCode::$status, $title)),+ }
            }
        }
    };
}

kinds! {
    /// The body is not JSON, or not what its header says.
    Malformed "malformed" BAD_REQUEST "The body cannot be read";
    /// A parameter of the query or a header has a value that it cannot have.
    BadParameter "bad-parameter" BAD_REQUEST "A parameter is wrong";
    /// No token, or one that is not in force.
    Unauthorized "unauthorized" UNAUTHORIZED "A valid token is needed";
    /// The token's role does not allow it.
    Forbidden "forbidden" FORBIDDEN "The token's role does not allow this";
    /// There is no such thing.
    NotFound "not-found" NOT_FOUND "There is no such thing";
    /// The thing exists and does not do this.
    MethodNotAllowed "method-not-allowed" METHOD_NOT_ALLOWED "The method is not allowed here";
    /// Another thing has the name.
    Conflict "conflict" CONFLICT "The name is taken";
    /// Too much of it goes on already; try again.
    Busy "busy" TOO_MANY_REQUESTS "Too much goes on at once";
    /// More would be deleted than the guard allows.
    DeletionGuard "deletion-guard" CONFLICT "Nothing was deleted";
    /// The thing is in a state that does not permit it.
    State "state" CONFLICT "The present state does not permit this";
    /// The version is another one by now.
    VersionMismatch "version-mismatch" PRECONDITION_FAILED "It has changed meanwhile";
    /// The body did not come in time.
    Timeout "timeout" REQUEST_TIMEOUT "The body came too slowly";
    /// The body is over its cap.
    TooLarge "too-large" PAYLOAD_TOO_LARGE "The body is too large";
    /// The body's media type is not one of those understood.
    UnsupportedMediaType "unsupported-media-type" UNSUPPORTED_MEDIA_TYPE "The media type is not supported";
    /// It takes the database too long.
    TooDear "too-dear" UNPROCESSABLE_ENTITY "It takes too long";
    /// Fields break rules.
    Validation "validation" UNPROCESSABLE_ENTITY "Fields break rules";
    /// A defect of the daemon.
    Internal "internal" INTERNAL_SERVER_ERROR "The daemon failed";
    /// The database is away; try again.
    Unavailable "unavailable" SERVICE_UNAVAILABLE "Something that this needs is not available";
    /// The database has no room left.
    DiskFull "disk-full" INSUFFICIENT_STORAGE "The database has no disk space left";
}

/// An answer that says what went wrong. One pointer wide, for it is the error
/// of nearly everything here.
#[derive(Debug, Clone)]
pub struct Problem(Box<Contents>);

#[derive(Debug, Clone)]
struct Contents {
    kind: Kind,
    detail: String,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
    members: Map<String, Value>,
}

impl Problem {
    /// A problem with one sentence about this occurrence.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (detail, errors, headers, members) = (detail.into(), Vec::new(), Vec::new(), Map::new());
        Self(Box::new(Contents { kind, detail, errors, headers, members }))
    }

    /// Rules that fields of the body break.
    pub fn validation(errors: Vec<FieldError>) -> Self {
        let detail = errors.iter().map(sentence).collect::<Vec<_>>().join("; ");
        Self::new(Kind::Validation, detail).with_errors(errors)
    }

    /// A parameter of the query or a header that breaks a rule.
    pub fn parameter(name: &str, rule: impl Into<String>) -> Self {
        let error = FieldError::new(name, rule);
        Self::new(Kind::BadParameter, sentence(&error)).with_errors(vec![error])
    }

    fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// A path that leads nowhere.
    pub fn no_such_path() -> Self {
        Self::new(Kind::NotFound, "nothing is at this path")
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        self.0.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    /// Adds an extension member (RFC 9457 §3.2).
    #[must_use]
    pub fn with_member(mut self, name: &str, value: Value) -> Self {
        self.0.members.insert(name.to_owned(), value);
        self
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// A defect of the daemon: logged, and told without details.
    pub fn internal(error: impl fmt::Display) -> Self {
        log::error!("a request failed: {error}");
        Self::new(Kind::Internal, "the log of the daemon says more")
    }

    fn body(&self) -> Value {
        let (word, status, title) = self.0.kind.facts();
        let mut body = self.0.members.clone();
        body.insert("type".into(), format!("urn:provisiond:problem:{word}").into());
        body.insert("title".into(), title.into());
        body.insert("status".into(), status.as_u16().into());
        body.insert("detail".into(), self.0.detail.as_str().into());
        let error = |error: &FieldError| json!({"field": error.field, "rule": error.rule});
        if !self.0.errors.is_empty() {
            body.insert("errors".into(), self.0.errors.iter().map(error).collect());
        }
        Value::Object(body)
    }
}

fn sentence(error: &FieldError) -> String {
    if error.field.is_empty() { error.rule.clone() } else { format!("`{}` {}", error.field, error.rule) }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind.facts().2, self.0.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.kind.facts().1
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        for header in super::guard::PRIVATE {
            response.insert_header(header);
        }
        for header in &self.0.headers {
            response.insert_header(header.clone());
        }
        response.body(self.body().to_string())
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unavailable(_) | DbError::Stopping => {
                log::warn!("{error}");
                let detail = "the database is not available; try again later";
                Self::new(Kind::Unavailable, detail).with_header(header::RETRY_AFTER, RETRY_AFTER)
            }
            DbError::TooSlow(_) => {
                log::warn!("{error}");
                let detail = "the database took longer over this than it may: ask for less, by a simpler filter or a \
                    shorter page, or try again later";
                Self::new(Kind::TooDear, detail).with_header(header::RETRY_AFTER, RETRY_AFTER)
            }
            DbError::DiskFull(_) => {
                log::error!("{error}");
                Self::new(Kind::DiskFull, "nothing was written; make room where the database lives")
            }
            DbError::Query(_) | DbError::Corrupt(_) => Self::internal(error),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(_) => Self::new(Kind::NotFound, error.to_string()),
            StoreError::Conflict(_) => taken("name", error.to_string()),
            StoreError::Invalid(error) => Self::validation(vec![error]),
            StoreError::Db(error) => error.into(),
        }
    }
}

impl From<SubjectError> for Problem {
    fn from(error: SubjectError) -> Self {
        match error {
            SubjectError::NotFound(_) | SubjectError::Unknown | SubjectError::Deleted { .. } => {
                Self::new(Kind::NotFound, error.to_string())
            }
            SubjectError::Invalid(errors) => Self::validation(errors),
            SubjectError::Conflict { field, .. } => taken(field, error.to_string()),
            SubjectError::VersionMismatch { .. } => Self::new(Kind::VersionMismatch, error.to_string()),
            SubjectError::Db(error) => error.into(),
        }
    }
}

impl From<TokenStoreError> for Problem {
    fn from(error: TokenStoreError) -> Self {
        match error {
            TokenStoreError::NotFound => Self::new(Kind::NotFound, error.to_string()),
            TokenStoreError::Invalid(error) => Self::validation(vec![error]),
            TokenStoreError::NameTaken(_) => taken("name", error.to_string()),
            TokenStoreError::Db(error) => error.into(),
        }
    }
}

impl From<TargetError> for Problem {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::NotFound => Self::new(Kind::NotFound, error.to_string()),
            TargetError::NameTaken(_) => taken("name", error.to_string()),
            TargetError::Sealing(error) => Self::internal(error),
            TargetError::VersionMismatch(_) => Self::new(Kind::VersionMismatch, error.to_string()),
            TargetError::Dependency(DependencyError::Db(error)) => error.into(),
            TargetError::Dependency(error) => {
                Self::validation(vec![FieldError::new("dependsOn", error.to_string())])
            }
            TargetError::TooMany(_) | TargetError::NoLogic | TargetError::Needed(_) => {
                Self::new(Kind::State, error.to_string())
            }
            TargetError::Db(error) => error.into(),
        }
    }
}

impl From<SweepError> for Problem {
    fn from(error: SweepError) -> Self {
        match error {
            SweepError::NotFound => Self::new(Kind::NotFound, error.to_string()),
            SweepError::State(..) => Self::new(Kind::State, error.to_string()),
            SweepError::Db(error) => error.into(),
        }
    }
}

impl From<BadId> for Problem {
    fn from(error: BadId) -> Self {
        Self::new(Kind::NotFound, error.to_string())
    }
}

fn taken(field: &str, detail: String) -> Problem {
    Problem::new(Kind::Conflict, detail).with_errors(vec![FieldError::new(field, "is taken")])
}
