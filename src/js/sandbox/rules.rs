//! Files, network and signals, by Landlock. What the kernel does not know is
//! left out; how much it took is what the caller is told.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::report::Rules;

/// The newest version whose rules were tried with a host.
const NEWEST: ABI = ABI::V7;

/// Refuses every file but those below `readable`, TCP, signals to others and
/// their abstract sockets. For this thread and those that it starts.
pub(super) fn restrict(readable: &[&Path]) -> Rules {
    match apply(readable) {
        Ok(rules) => rules,
        Err(error) => {
            log::debug!("no file rules: {error}");
            Rules::default()
        }
    }
}

fn apply(readable: &[&Path]) -> Result<Rules, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for path in readable {
        // A folder that is not there cannot be read either way.
        if let Ok(folder) = PathFd::new(path) {
            rules = rules.add_rule(PathBeneath::new(folder, AccessFs::from_read(NEWEST)))?;
        }
    }
    let status = rules.restrict_self()?;
    let LandlockStatus::Available { effective_abi, .. } = status.landlock else {
        return Ok(Rules::default());
    };
    if status.ruleset == RulesetStatus::NotEnforced {
        return Ok(Rules::default());
    }
    Ok(Rules { files: true, network: effective_abi >= ABI::V4, scope: effective_abi >= ABI::V6 })
}
