//! The REST API against a real database, over real connections.

mod accounts;
mod bad_input;
mod connections;
mod containers;
mod costs;
mod due_work;
mod half_done;
mod hostile;
mod import;
mod support;
mod tokens;
mod transport;
mod written_back;
