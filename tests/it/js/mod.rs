//! The JavaScript host, as a process.

mod fetch;
mod globals;
mod limits;
mod load;
mod run;
mod sandbox;
mod support;
