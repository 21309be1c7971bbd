//! stub
use std::sync::Arc; use std::collections::BTreeMap; use std::time::Duration;
use crate::domain::host_call::*; use crate::domain::status::ErrorClass; pub use crate::security::NamedSecret;
pub struct Egress; pub struct Session; pub struct AllowList; pub struct TargetPolicy;
#[derive(Debug, thiserror::Error)] #[error("x")] pub struct AllowListError;
impl AllowList { pub fn parse(_: &[String]) -> Result<Self, AllowListError> { Ok(AllowList) } }
impl TargetPolicy { pub fn new(_: AllowList, _: Vec<NamedSecret>) -> Self { TargetPolicy } pub fn handles(&self) -> BTreeMap<String,String> { BTreeMap::new() } }
impl Egress { pub fn session(&self, _: Arc<TargetPolicy>) -> Arc<Session> { Arc::new(Session) } }
impl Session { pub fn take_exchanges(&self) -> Vec<Exchange> { vec![] } pub fn last_failure(&self) -> Option<(ErrorClass, Option<Duration>)> { None } }
impl HostCalls for Session { fn fetch(&self, _: FetchRequest) -> HostCallFuture<FetchResponse> { loop {} } }
