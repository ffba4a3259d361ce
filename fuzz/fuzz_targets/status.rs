//! Whatever a count prints: rows or none, no panic, and never more rows than bytes.

#![no_main]

use dmf_worker::doveadm::status;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let report = status::parse(bytes);
    assert!(report.mailboxes.len() <= bytes.len());
    let _ = (report.messages(), report.vsize());
});
