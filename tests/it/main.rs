//! Integration tests: one binary, a folder for each area.

mod embedded;
mod support;
mod support_works;
