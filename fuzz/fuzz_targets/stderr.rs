//! Whatever doveadm writes to standard error, in whatever pieces it comes: one reading, one verdict, no panic.

#![no_main]

use dmf_worker::doveadm::{
    classify::{RunEnd, RunKind},
    judge::{JudgeInput, judge},
    mail_log::StderrReader,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (i32, usize, &[u8])| {
    let (code, piece, bytes) = input;
    let (mut whole, mut pieces) = (StderrReader::new(), StderrReader::new());
    whole.feed(bytes);
    bytes.chunks(piece % 64 + 1).for_each(|piece| pieces.feed(piece));
    let (whole, pieces) = (whole.finish(), pieces.finish());
    assert_eq!(whole.counts(), pieces.counts());
    let verdict = |stderr| {
        judge(JudgeInput {
            end: RunEnd::of_code(code),
            stderr,
            stdout: bytes,
            kind: RunKind::RemoteCount,
            success_code: 0,
            phase: None,
            master_user: false,
        })
    };
    assert_eq!(verdict(&whole), verdict(&pieces));
});
