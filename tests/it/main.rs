//! Integration tests: one binary, a folder for each area.

mod egress;
