//! Parameters of the query part.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use super::{Problem, shape};

/// The query part as `T`; an unknown or unreadable parameter is a 400 that
/// names it.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request.query_string()).map(Self))
    }
}

/// Takes the parameters of these names, which may be given more than once, out of a
/// query part. Returns them, and the others to [`read()`].
///
/// # Errors
/// A 400 when there is a NUL in one.
pub fn take(query: &str, names: &[&str]) -> Result<(Vec<(String, String)>, String), Problem> {
    refuse_nul(query)?;
    let mut rest = form_urlencoded::Serializer::new(String::new());
    let mut taken = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if names.contains(&&*name) {
            taken.push((name.into_owned(), value.into_owned()));
        } else {
            rest.append_pair(&name, &value);
        }
    }
    Ok((taken, rest.finish()))
}

fn refuse_nul(query: &str) -> Result<(), Problem> {
    // PostgreSQL keeps no NUL, so nothing that is asked for can contain one.
    if query.contains("%00") || query.contains('\0') {
        return Err(Problem::parameter("", "parameters must not contain the NUL character"));
    }
    Ok(())
}

/// Reads a query part.
///
/// # Errors
/// A 400 that names the parameter.
pub fn read<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    refuse_nul(query)?;
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        let path = error.path().to_string();
        let error = shape::field_error(&path, &error.into_inner().to_string());
        Problem::parameter(&error.field, error.rule)
    })
}
