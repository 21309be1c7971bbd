//! Storage against a real database.

mod subjects;
