//! The REST API against a real database.
