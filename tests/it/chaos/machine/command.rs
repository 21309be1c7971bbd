//! What can happen.

use proptest::prelude::*;

/// Accounts in play.
pub const WHO: usize = 5;
/// Names that they bear: each goes from one to another.
pub const NAMES: usize = 5;

#[derive(Debug, Clone, Copy)]
pub enum Command {
    /// An account is made, under the first name that is free, or changed, and
    /// belongs to the scope or not.
    Write(usize, bool),
    /// An account gets a name, if nobody living bears it.
    Rename(usize, usize),
    Delete(usize),
    /// A person asks for everybody.
    Force,
    /// A person asks for one.
    Sync(usize),
    /// The node takes all that is due.
    Claim,
    /// One of the runs in hand ends.
    Finish(usize, End),
    /// The node dies; what it ran had called, or not.
    Die(bool),
    /// The node is frozen until its leases have run out; its runs are ended.
    Lapse(bool),
    /// A claim whose answer is lost; the node finds out.
    Lost,
    /// What is in hand is given back before it runs.
    GiveBack,
    /// All that waits for its time is due.
    Tick,
}

/// How a run ends.
#[derive(Debug, Clone, Copy)]
pub enum End {
    Done,
    /// Done, and to be run again at a time.
    Again,
    Ongoing,
    /// It failed for now, before its call arrived or after.
    Transient(bool),
    /// It is refused.
    Permanent,
    /// Ended from outside.
    Interrupted(bool),
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        6 => Just(End::Done),
        1 => Just(End::Again),
        1 => Just(End::Ongoing),
        2 => any::<bool>().prop_map(End::Transient),
        1 => Just(End::Permanent),
        1 => any::<bool>().prop_map(End::Interrupted),
    ]
}

pub fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        8 => (0..WHO, any::<bool>()).prop_map(|(who, member)| Command::Write(who, member)),
        2 => (0..WHO, 0..NAMES).prop_map(|(who, name)| Command::Rename(who, name)),
        2 => (0..WHO).prop_map(Command::Delete),
        1 => Just(Command::Force),
        1 => (0..WHO).prop_map(Command::Sync),
        6 => Just(Command::Claim),
        8 => (0..WHO, end()).prop_map(|(which, end)| Command::Finish(which, end)),
        1 => any::<bool>().prop_map(Command::Die),
        1 => any::<bool>().prop_map(Command::Lapse),
        1 => Just(Command::Lost),
        1 => Just(Command::GiveBack),
        2 => Just(Command::Tick),
    ]
}
