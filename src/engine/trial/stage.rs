//! A host of its own for one piece of logic.

use super::Logic;
use crate::domain::target::Limits;
use crate::js::{HostProgram, JsHost, StartError};

/// Where one piece of logic runs, one run at a time: so its CPU time is that of
/// the run, and a limit that breaks is the run's own.
pub(super) struct Stage {
    program: HostProgram,
    limits: Limits,
    pub logic: Logic,
    host: Option<JsHost>,
}

impl Stage {
    pub(super) fn new(program: &HostProgram, limits: Limits, logic: Logic) -> Self {
        Self { program: program.clone(), limits, logic, host: None }
    }

    /// The host, started when there is none that lives. One in which a run was
    /// given up is no good: that run may still be at work and use up what is the
    /// next one's.
    pub(super) async fn open(&mut self) -> Result<&JsHost, StartError> {
        let host = match self.host.take().filter(|host| host.is_alive() && !host.is_tainted()) {
            Some(host) => host,
            None => {
                let host = JsHost::start(&self.program, &self.logic.code, &self.limits).await?;
                host.put_behind();
                host
            }
        };
        Ok(self.host.insert(host))
    }
}
