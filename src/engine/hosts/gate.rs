//! Whether runs may begin.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Shut while a target must not run anything. What was let in before it was shut
/// stays out, also when it has been opened again meanwhile.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// How often it was shut or opened: odd while it is shut.
    turns: AtomicUsize,
}

/// That somebody was let in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass(usize);

impl Gate {
    /// `None` while it is shut.
    pub fn enter(&self) -> Option<Pass> {
        let turns = self.turns.load(Ordering::Acquire);
        turns.is_multiple_of(2).then_some(Pass(turns))
    }

    /// Whether it has been open ever since.
    pub fn holds(&self, pass: Pass) -> bool {
        self.turns.load(Ordering::Acquire) == pass.0
    }

    pub fn shut(&self) {
        self.turns.fetch_or(1, Ordering::AcqRel);
    }

    pub fn open(&self) {
        let next = |turns: usize| (!turns.is_multiple_of(2)).then_some(turns.wrapping_add(1));
        // Nothing changes when it is open.
        let _ = self.turns.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_in_before_it_was_shut_stays_out() {
        let gate = Gate::default();
        let early = gate.enter().unwrap();
        gate.open();
        assert!(gate.holds(early), "it was open");
        gate.shut();
        gate.shut();
        assert!(gate.enter().is_none() && !gate.holds(early));
        gate.open();
        let late = gate.enter().unwrap();
        assert!(gate.holds(late) && !gate.holds(early));
    }
}
