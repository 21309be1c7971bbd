//! What the tests lean on: databases, counterparts, recorders.
#![allow(dead_code)]

pub mod db;
