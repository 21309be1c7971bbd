//! The REST API against a real database, over real connections.

mod accounts;
mod bad_input;
mod containers;
mod due_work;
mod import;
mod support;
mod tokens;
mod transport;
mod written_back;
