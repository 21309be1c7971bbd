//! Storage against a real database.

mod claims;
mod contention;
mod ordinary_role;
mod subjects;
