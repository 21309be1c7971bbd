//! What an external system answers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provisiond::egress::hostile;

fuzz_target!(|bytes: &[u8]| hostile::answer(bytes));
