//! Logic as a thing that people write: building, packages, versions.

mod build;
mod bundler;
mod canary;
mod cli;
mod hostile;
mod in_earnest;
mod kinds;
mod outage;
mod packages;
mod popular;
mod publish;
mod races;
pub mod registry;
mod turns;

use provisiond::config::{PackagesConfig, Registry};
use provisiond::domain::target::Limits;
use provisiond::js::HostProgram;
use provisiond::logic::packages::Packages;
use provisiond::logic::{Built, LogicError, Source, TestResult, Workshop};

/// What is configured when nobody configures anything, but for the registry.
pub fn config(registry: Registry) -> PackagesConfig {
    let defaults = provisiond::config::Config::load(None, &Default::default(), &Default::default()).unwrap();
    PackagesConfig { registry, ..defaults.packages }
}

pub fn workshop(config: &PackagesConfig) -> Workshop {
    let program = HostProgram::new(env!("CARGO_BIN_EXE_provisiond"));
    Workshop::new(program, Packages::new(config).unwrap())
}

pub fn offline() -> Workshop {
    workshop(&config(Registry::None))
}

pub fn source(code: &str) -> Source {
    Source { code: code.into(), language: None, dependencies: Default::default() }
}

pub async fn build(code: &str) -> Result<Built, LogicError> {
    offline().build(&source(code), None).await
}

/// Builds code and runs the tests in it.
pub async fn tested(code: &str) -> Vec<TestResult> {
    let workshop = offline();
    let built = workshop.build(&source(code), None).await.unwrap();
    workshop.try_out(&built, &Limits::default()).await.unwrap()
}
