//! Parameters of the path. What is no id leads nowhere: a 404, not a 400.

use std::future::{Ready, ready};
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;

use super::Problem;

/// The parameters of the path, percent-decoded, in their order.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Path<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let read = web::Path::<T>::from_request(request, payload);
        ready(read.into_inner().map(|path| Self(path.into_inner())).map_err(|_| Problem::no_such_path()))
    }
}

/// The only parameter of the path, an id.
#[derive(Debug)]
pub struct Id<T>(pub T);

impl<T: FromStr + 'static> FromRequest for Id<T>
where
    Problem: From<T::Err>,
{
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let text = Path::<String>::from_request(request, payload).into_inner();
        ready(text.and_then(|Path(text)| Ok(Self(text.parse()?))))
    }
}
