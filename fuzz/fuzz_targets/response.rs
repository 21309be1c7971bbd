//! What logic returns or throws and what it asks for: the payloads of frames.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provisiond::js::hostile;

fuzz_target!(|bytes: &[u8]| hostile::payload(bytes));
