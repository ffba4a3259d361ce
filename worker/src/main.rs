//! The worker's binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: guards are started for every child, and cost only what runs up to here.
    if let Some(code) = dmf_worker::process::guard::dispatch(std::env::args_os()) {
        return code;
    }
    ExitCode::SUCCESS
}
