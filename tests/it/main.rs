//! The integration tests, one binary.

mod js;
