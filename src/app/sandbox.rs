//! Whether JavaScript hosts are confined here: asked of a host, not guessed.

use super::AppError;
use crate::config::Sandbox;
use crate::domain::target::Limits;
use crate::js::sandbox::InForce;
use crate::js::{HostProgram, JsHost, StartError};

/// What is in force in a host that was started for the question.
pub(super) async fn in_force(program: &HostProgram) -> Result<InForce, StartError> {
    let code = "export default () => ({ status: 'provisioned' })";
    Ok(JsHost::start(program, code, &Limits::default()).await?.in_force())
}

/// Refuses the start when the sandbox is required and an essential part of it is
/// missing; otherwise says in the log what is.
pub(super) async fn check(program: &HostProgram, sandbox: Sandbox) -> Result<(), AppError> {
    match sandbox {
        Sandbox::Off => {
            log::warn!(
                "JavaScript hosts are not confined, as `security.sandbox = \"off\"` says: a fault in the \
                 engine is a way to the daemon's files and network"
            );
            Ok(())
        }
        Sandbox::Required => require(in_force(program).await),
        Sandbox::Preferred => {
            let program = program.clone();
            // Nothing waits for it.
            tokio::spawn(async move { warn(in_force(&program).await) });
            Ok(())
        }
    }
}

fn require(answer: Result<InForce, StartError>) -> Result<(), AppError> {
    let in_force = answer.map_err(|error| AppError::Sandbox(error.to_string()))?;
    let missing = in_force.missing();
    if let Some(first) = missing.iter().find(|mechanism| mechanism.is_essential()) {
        return Err(AppError::Sandbox(format!("{first} missing: {}", first.advice())));
    }
    warn(Ok(in_force));
    Ok(())
}

fn warn(answer: Result<InForce, StartError>) {
    match answer {
        Ok(in_force) => {
            for missing in in_force.missing() {
                log::warn!("JavaScript hosts lack a part of their sandbox, {missing}: {}", missing.advice());
            }
        }
        Err(error) => log::warn!("no JavaScript host could be asked what confines it: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_required_sandbox_needs_its_essential_parts() {
        let of = |text: &str| Ok(serde_json::from_str(text).unwrap());
        require(of(r#"{"calls":true,"files":true}"#)).unwrap();
        let error = require(of(r#"{"calls":true}"#)).unwrap_err().to_string();
        assert!(error.contains("file rules (Landlock) missing: "), "{error}");
        assert!(error.contains("hint: "), "{error}");
        require(Err(StartError::Spawn("x".into()))).unwrap_err();
    }
}
