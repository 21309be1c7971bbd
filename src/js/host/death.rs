//! How a host came to its end, and what that means for the runs in it.

use std::time::Duration;

use super::super::limits::figure;
use super::super::outcome::RunOutcome;
use crate::domain::target::Limits;

/// Why a host ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Death {
    /// Somebody asked for it.
    Asked,
    /// It did not yield and used up the CPU limit.
    Cpu,
    /// It did not yield for so much CPU time, and more than one run may be why.
    Hogged(Duration),
    /// It did not yield for as long as the wall limit, without using CPU.
    Stuck,
    /// Its heap was used up.
    Heap,
    /// It ended by itself; the sentence says how.
    Exited(String),
    /// The CPU time that it uses cannot be measured, so that no limit holds for it.
    Unmeasured,
    /// Somebody else killed it: a person, or the system when it ran out of memory.
    Outside,
}

impl Death {
    /// The sentence for the run that is to blame.
    pub fn blame(&self, limits: &Limits) -> String {
        match self {
            Self::Asked => "the host was stopped".into(),
            Self::Cpu => format!("the CPU limit of {} was reached", figure(limits.cpu())),
            Self::Hogged(cpu) => format!("the others waited for {} of CPU time", figure(*cpu)),
            Self::Stuck => wall(limits),
            Self::Heap => format!("the heap limit of {} MiB was reached", limits.heap_mib),
            Self::Exited(how) => format!("the run brought its host down: {how}"),
            Self::Unmeasured => "the CPU time of the host cannot be measured, which counts as too much; \
                 is the system short of something?"
                .into(),
            Self::Outside => {
                "the host was killed from outside the daemon; is the system short of memory?".into()
            }
        }
    }

    /// What a run in flight came to. `blamed` is true when it must have been
    /// this one.
    pub fn outcome(&self, limits: &Limits, blamed: bool, in_flight: usize) -> RunOutcome {
        match self {
            Self::Asked | Self::Outside | Self::Unmeasured => RunOutcome::Interrupted(self.blame(limits)),
            _ if blamed && !matches!(self, Self::Hogged(_)) => RunOutcome::Killed(self.blame(limits)),
            _ => RunOutcome::Interrupted(format!(
                "the host was stopped with {in_flight} {} in it: {}",
                if in_flight == 1 { "run" } else { "runs" },
                self.blame(limits),
            )),
        }
    }
}

/// The sentence for a run that took too long.
pub(super) fn wall(limits: &Limits) -> String {
    format!("the wall limit of {} was reached", figure(limits.wall()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lone_run_is_blamed() {
        let limits = Limits::default();
        assert_eq!(
            Death::Cpu.outcome(&limits, true, 1),
            RunOutcome::Killed("the CPU limit of 2 s was reached".into())
        );
        assert_eq!(
            Death::Heap.outcome(&limits, false, 3),
            RunOutcome::Interrupted(
                "the host was stopped with 3 runs in it: the heap limit of 128 MiB was reached".into()
            )
        );
        assert_eq!(
            Death::Asked.outcome(&limits, true, 1),
            RunOutcome::Interrupted("the host was stopped".into())
        );
    }
}
