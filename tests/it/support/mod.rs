//! What the tests lean on: databases, counterparts, recorders.
#![allow(dead_code)]

pub mod app;
pub mod cpu;
pub mod db;
pub mod postgres;
pub mod proxy;
pub mod queue;
pub mod scim;
pub mod sink;
pub mod tls;
