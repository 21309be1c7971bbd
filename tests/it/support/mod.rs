//! What the tests lean on: databases, counterparts, recorders.
#![allow(dead_code)]

pub mod app;
pub mod clock;
pub mod db;
pub mod scim;
pub mod sink;
