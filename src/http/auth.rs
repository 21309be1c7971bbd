//! Bearer tokens (RFC 6750) and permissions as types: a handler that takes
//! [`Authorized<Editor>`] cannot be reached by less than an editor.

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use chrono::Utc;

use super::{Kind, Problem};
use crate::domain::ids::TokenId;
use crate::domain::who::Who;
use crate::security::{Role, Token};
use crate::storage::{Db, Pool, tokens};

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token that was presented.
    pub token: TokenId,
    /// What the token is for.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// Where the request came from.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// As it is kept beside what was done.
    pub fn who(&self) -> Who {
        Who { name: self.name.clone(), token: Some(self.token), address: self.address }
    }
}

/// Finds out who sent a request.
///
/// # Errors
/// A 401 when no token in force is presented, a 503 without the database.
pub async fn authenticate(db: &Db, headers: &HeaderMap, address: Option<IpAddr>) -> Result<Caller, Problem> {
    let token = bearer(headers).ok_or_else(|| challenge("", "send `Authorization: Bearer <token>`"))?;
    let hash = token.hash();
    let record = db.run(Pool::Auth, move |connection| tokens::verify(connection, &hash, Utc::now())).await?;
    match record {
        Some(record) => Ok(Caller { token: record.id, name: record.name, role: record.role, address }),
        None => Err(challenge(", error=\"invalid_token\"", "the token is unknown, expired or revoked")),
    }
}

fn bearer(headers: &HeaderMap) -> Option<Token> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") { Token::parse(token.trim()).ok() } else { None }
}

fn challenge(error: &str, detail: &str) -> Problem {
    Problem::new(Kind::Unauthorized, detail)
        .with_header(WWW_AUTHENTICATE, &format!("Bearer realm=\"provisiond\"{error}"))
}

/// A permission, as a type.
pub trait Permission: 'static {
    /// The least role that has it.
    const NEEDED: Role;
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl Permission for $name {
            const NEEDED: Role = Role::$name;
        }
    )+};
}

permissions! {
    /// To read everything that is not secret.
    Viewer
    /// To retry, force, pause and approve.
    Operator
    /// To change subjects, targets and logic.
    Editor
    /// To set secrets.
    SecretsAdmin
    /// To make tokens and stores.
    Owner
}

/// A caller who has the permission `P`. As a handler's first argument it is
/// checked before the body is read.
#[derive(Debug)]
pub struct Authorized<P> {
    /// Who it is.
    pub caller: Caller,
    permission: PhantomData<P>,
}

impl<P: Permission> FromRequest for Authorized<P> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match request.extensions().get::<Caller>() {
            None => Err(challenge("", "send `Authorization: Bearer <token>`")),
            Some(caller) if caller.role.allows(P::NEEDED) => {
                Ok(Self { caller: caller.clone(), permission: PhantomData })
            }
            Some(caller) => Err(Problem::new(
                Kind::Forbidden,
                format!("the role `{}` is needed, the token has `{}`", P::NEEDED, caller.role),
            )),
        })
    }
}
