//! `dmf-demo`: twenty users moved in front of your eyes. `dmf-demo --help` says more.

use std::process::ExitCode;

fn main() -> ExitCode {
    dmf_e2e::demo::main()
}
