//! Integration tests: one binary, a folder for each area.

mod embedded;
mod egress;
mod engine;
mod filter;
mod storage;
mod support;
mod support_works;
