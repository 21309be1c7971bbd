//! stub
use std::path::PathBuf; use std::sync::Arc; use std::time::Duration;
use crate::domain::host_call::*; use crate::domain::status::ErrorClass; use crate::domain::target::Limits;
#[derive(Clone)] pub struct HostProgram { pub executable: PathBuf }
pub struct JsHost; pub struct RunRequest { pub context: String } pub struct RunEnd { pub outcome: RunOutcome, pub console: Vec<ConsoleLine> }
pub enum RunOutcome { Returned(serde_json::Value), Threw(Thrown), Limit(String), Interrupted(String) }
pub struct Thrown { pub message: String, pub stack: Option<String>, pub error_class: Option<ErrorClass>, pub retry_after: Option<Duration> }
#[derive(Debug, thiserror::Error)] #[error("x")] pub struct CompileError { pub message: String, pub line: Option<u32>, pub column: Option<u32> }
#[derive(Debug, thiserror::Error)] pub enum StartError { #[error("x")] Compile(CompileError), #[error("x")] Spawn(String), #[error("x")] Limit(String), #[error("x")] Crashed(String) }
impl JsHost { pub async fn start(_: &HostProgram, _: &str, _: &Limits) -> Result<Self, StartError> { Ok(JsHost) }
 pub async fn run(&self, _: RunRequest, _: Arc<dyn HostCalls>) -> RunEnd { loop {} } pub fn is_alive(&self) -> bool { true } pub fn in_flight(&self) -> usize { 0 } pub fn pid(&self) -> u32 { 0 } pub fn kill(&self) {} }
