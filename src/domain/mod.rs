//! The words of the project as types: subjects, targets, filters, statuses,
//! responses. No I/O, no clock, no wire or table types; everything here can be
//! tested without a database or a network.

pub mod canary;
pub mod encoding;
pub mod filter;
pub mod host_call;
pub mod ids;
pub mod json;
pub mod response;
pub mod retry_after;
pub mod status;
pub mod subject;
pub mod target;
pub mod timestamp;
pub mod visible;
pub mod who;
