//! The JavaScript host, as a process.

mod answers;
mod fetch;
mod globals;
mod hostile;
mod limits;
mod load;
mod old_kernel;
mod overrides;
mod platform;
mod run;
mod sandbox;
mod signing;
mod streams;
pub mod support;
mod types;
