//! The route table: one row per method and path, which knows the role that
//! its handler asks for.

use std::collections::BTreeMap;

use actix_web::guard::{Any, Get, Head};
use actix_web::http::Method;
use actix_web::{FromRequest, Handler, Resource, Responder, Route, Scope, web};

use crate::http::auth::Permission;
use crate::http::{Authorized, guard};
use crate::security::Role;

/// A row of the route table.
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path below the prefix, with parameters in braces.
    pub path: &'static str,
    /// The least role that may use it.
    pub needs: Role,
    route: Route,
}

/// Arguments of a handler that begin with an [`Authorized`].
pub trait Guarded: FromRequest + 'static {
    /// The role that it asks for.
    const NEEDS: Role;
}

macro_rules! guarded {
    ($(($($argument:ident),*))+) => {$(
        impl<P: Permission, $($argument: FromRequest + 'static),*> Guarded for (Authorized<P>, $($argument,)*) {
            const NEEDS: Role = P::NEEDED;
        }
    )+};
}

guarded! { () (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) }

impl Endpoint {
    fn new<F, Args>(method: Method, path: &'static str, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: Guarded,
        F::Output: Responder + 'static,
    {
        let route = match method {
            // A HEAD is a GET without the body (RFC 9110 §9.3.2).
            Method::GET => web::route().guard(Any(Get()).or(Head())),
            ref other => web::method(other.clone()),
        };
        Self { method, path, needs: Args::NEEDS, route: route.to(handler) }
    }
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident $method:ident)+) => {
        impl Endpoint {$(
            $(#[$doc])*
            pub fn $name<F, Args>(path: &'static str, handler: F) -> Self
            where
                F: Handler<Args>,
                Args: Guarded,
                F::Output: Responder + 'static,
            {
                Self::new(Method::$method, path, handler)
            }
        )+}
    };
}

methods! {
    /// A GET, and with it a HEAD.
    get GET
    /// A POST.
    post POST
    /// A PUT.
    put PUT
    /// A PATCH.
    patch PATCH
    /// A DELETE.
    delete DELETE
}

/// Adds endpoints to a scope: a resource per path, which answers other methods
/// with a 405 that lists those it has.
pub(super) fn register(endpoints: Vec<Endpoint>, scope: Scope) -> Scope {
    let mut paths: BTreeMap<&str, Vec<Endpoint>> = BTreeMap::new();
    for endpoint in endpoints {
        paths.entry(endpoint.path).or_default().push(endpoint);
    }
    paths.into_iter().fold(scope, |scope, (path, endpoints)| scope.service(resource(path, endpoints)))
}

fn resource(path: &str, endpoints: Vec<Endpoint>) -> Resource {
    let mut allowed: Vec<String> = endpoints.iter().map(|endpoint| endpoint.method.to_string()).collect();
    if allowed.iter().any(|method| method == "GET") {
        allowed.push("HEAD".into());
    }
    let allowed = allowed.join(", ");
    let refuse = move || {
        let problem = guard::method_not_allowed(&allowed);
        async move { Err::<&'static str, _>(problem) }
    };
    endpoints
        .into_iter()
        .fold(web::resource(path), |resource, endpoint| resource.route(endpoint.route))
        .default_service(web::to(refuse))
}
