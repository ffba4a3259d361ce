//! From YAML files and the environment to typed settings; every fault is reported at once.
//!
//! Machinery only: which keys exist is said by the scheduler's and the worker's own settings.
//! The way: [`load::Sources::load`] merges files into [`Properties`], and a [`Reader`] over these
//! gives typed values, remembers what was asked for and collects what is wrong.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

pub mod age;
pub mod duration;
pub mod environment;
pub mod error;
pub mod jdbc;
pub mod key;
pub mod lease;
pub mod load;
mod parse;
pub mod placeholder;
pub mod pool;
pub mod program;
pub mod properties;
pub mod reader;
pub mod report;
mod size;
mod unknown;
pub mod yaml;

pub use environment::Environment;
pub use error::{Errors, Fault, Origin, Warning};
pub use jdbc::{DataSource, DatabaseUrl, TlsMode};
pub use lease::LeaseTimes;
pub use load::Sources;
pub use parse::Resource;
pub use pool::PoolSettings;
pub use program::ProgramSettings;
pub use properties::Properties;
pub use reader::Reader;
pub use report::{Report, Setting, Shown};

/// What `--check-config` does: the settings go to standard output, warnings and faults to standard error.
pub fn answer(checked: Result<Report, Errors>) -> ExitCode {
    let told = match &checked {
        Ok(report) => {
            for warning in &report.warnings {
                // Nobody reads them, then: it is the exit code that says whether the settings are in order.
                let _ = writeln!(io::stderr(), "warning: {warning}");
            }
            write!(io::stdout(), "{report}")
        }
        Err(errors) => writeln!(io::stderr(), "{errors}"),
    };
    match (checked, told) {
        (Err(_), _) => ExitCode::from(EXIT_CODE),
        (Ok(_), Ok(())) => ExitCode::SUCCESS,
        (Ok(_), Err(_)) => ExitCode::FAILURE,
    }
}

/// Exit code of a process whose configuration is wrong (`EX_CONFIG` of `sysexits.h`).
pub const EXIT_CODE: u8 = 78;
