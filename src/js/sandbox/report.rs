//! What of the sandbox is in force.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A mechanism of the kernel that holds a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mechanism {
    /// seccomp: only the system calls that the process needs are answered.
    Calls,
    /// Landlock, from Linux 5.13: no file can be opened.
    Files,
    /// Landlock, from Linux 6.7: no TCP.
    Network,
    /// Landlock, from Linux 6.12: no signals and no abstract sockets to others.
    Scope,
}

impl Mechanism {
    /// Every mechanism, the most important first.
    pub const ALL: [Self; 4] = [Self::Calls, Self::Files, Self::Network, Self::Scope];

    /// Whether a host without it is held too loosely for `required`. The others
    /// are second locks on doors that these have locked.
    pub const fn is_essential(self) -> bool {
        matches!(self, Self::Calls | Self::Files)
    }

    /// What the process can do without it, and how to get it.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Calls => {
                "a fault in the JavaScript engine could reach files, network and processes of the daemon's \
                 user; use a kernel with CONFIG_SECCOMP_FILTER, and allow seccomp(2) and prctl(2) in the \
                 container's profile"
            }
            Self::Files => {
                "files are kept from logic by the system call filter alone; use Linux 5.13 or later with \
                 `landlock` among `lsm=`, and allow landlock_create_ruleset(2) in the container's profile"
            }
            Self::Network => {
                "TCP is kept from logic by the system call filter alone; Linux 6.7 brings the second lock"
            }
            Self::Scope => {
                "signals to other processes are kept from logic by the system call filter alone; Linux 6.12 \
                 brings the second lock"
            }
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Calls => "system call filter (seccomp)",
            Self::Files => "file rules (Landlock)",
            Self::Network => "network rules (Landlock)",
            Self::Scope => "signal rules (Landlock)",
        })
    }
}

/// What of the sandbox is in force in a process, as it says itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InForce {
    calls: bool,
    files: bool,
    network: bool,
    scope: bool,
}

/// What of the rules a kernel took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rules {
    pub files: bool,
    pub network: bool,
    pub scope: bool,
}

impl InForce {
    pub(super) fn of(rules: Rules, calls: bool) -> Self {
        let Rules { files, network, scope } = rules;
        Self { calls, files, network, scope }
    }

    /// Whether a mechanism is in force.
    pub fn has(&self, mechanism: Mechanism) -> bool {
        match mechanism {
            Mechanism::Calls => self.calls,
            Mechanism::Files => self.files,
            Mechanism::Network => self.network,
            Mechanism::Scope => self.scope,
        }
    }

    /// The mechanisms that are not.
    pub fn missing(&self) -> Vec<Mechanism> {
        Mechanism::ALL.into_iter().filter(|mechanism| !self.has(*mechanism)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let all = InForce::of(Rules { files: true, network: true, scope: true }, true);
        assert_eq!(all.missing(), []);
        let old = InForce::of(Rules { files: true, ..Rules::default() }, true);
        assert_eq!(old.missing(), [Mechanism::Network, Mechanism::Scope]);
        assert_eq!(InForce::default().missing(), Mechanism::ALL);
    }

    #[test]
    fn a_report_that_says_less_claims_nothing() {
        let report: InForce = serde_json::from_str(r#"{"calls":true}"#).unwrap();
        assert!(report.has(Mechanism::Calls) && !report.has(Mechanism::Files));
    }
}
