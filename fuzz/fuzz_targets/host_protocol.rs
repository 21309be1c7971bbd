//! What a host says, in the pieces that it comes in: first how many bytes of
//! `reads` there are, then these, then frames.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provisiond::js::hostile;

fuzz_target!(|bytes: &[u8]| {
    let Some((reads, said)) = bytes.split_first() else { return };
    let (reads, said) = said.split_at(usize::from(reads % 8).min(said.len()));
    hostile::frames(reads, said);
});
