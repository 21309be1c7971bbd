//! The archive of a package: as it is, and as what it decompresses to.
#![no_main]

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use provisiond::logic::packages::survive_archive;

fuzz_target!(|bytes: &[u8]| {
    survive_archive(bytes);
    let mut packed = GzEncoder::new(Vec::new(), Compression::none());
    let written = packed.write_all(bytes).and_then(|()| packed.finish());
    survive_archive(&written.unwrap_or_default());
});
