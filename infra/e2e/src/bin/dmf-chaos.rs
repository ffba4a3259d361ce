//! `dmf-chaos`: breaks a fleet under load and proves that nothing is lost. `dmf-chaos --help` says more.

use std::process::ExitCode;

fn main() -> ExitCode {
    dmf_e2e::chaos::main()
}
