//! Storage against a real database.

mod contention;
mod ordinary_role;
mod subjects;
