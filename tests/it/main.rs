//! The integration tests: one binary, a module for each area.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod api;
mod architecture;
mod chaos;
mod cli;
mod egress;
mod embedded;
mod engine;
mod filter;
mod js;
mod logic;
mod migrations;
mod openapi;
mod poison;
mod storage;
mod support;
mod support_works;
mod wpt;
