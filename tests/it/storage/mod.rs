//! Storage against a real database.

mod canaries;
mod claims;
mod contention;
mod holders;
mod large_import;
mod old_snapshot;
mod ordinary_role;
mod subjects;
mod ties;
