//! `dmf-guard`: what a worker starts beside each of its children. The worker's own binary can do the same, but is
//! large, and the system takes several times as long to start it.

use std::process::ExitCode;

use dmf_worker::process::guard;

fn main() -> ExitCode {
    guard::main(std::env::args_os())
}
