//! What every HTTP interface of the daemon shares: problem+json (RFC 9457),
//! bodies, permissions as types, pages, preconditions.
//!
//! A client's mistake is a 4xx that names it, whatever is sent; a 5xx is ours
//! or the database's.

pub mod auth;
pub mod body;
pub mod etag;
pub mod guard;
pub mod json;
pub mod media;
pub mod page;
pub mod path;
pub mod problem;
pub mod query;
pub mod queue;
pub mod server;
mod shape;
pub mod slow;
mod strict;

pub use auth::{Authorized, Caller};
pub use body::{BodyLimit, JsonBody, OptionalJsonBody};
pub use etag::IfMatch;
pub use page::{List, Page};
pub use problem::{Kind, Problem};
pub use server::Client;
