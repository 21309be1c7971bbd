//! Storage against a real database.

mod contention;
mod subjects;
