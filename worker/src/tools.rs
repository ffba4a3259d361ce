//! Tools for operators: the very code that migrations use, without running anything.

mod judge;
mod render;
mod user;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Subcommand;
use dmf_shared::config::yaml;
use serde_json::Value;

pub use judge::{JudgeArguments, judge_files};
pub use render::{RenderArguments, Rendered, render};

/// What can be asked besides running the worker.
#[derive(Debug, Subcommand)]
pub enum Tool {
    /// Look at commands without running them.
    #[command(subcommand)]
    Command(CommandTool),
    /// Say what the worker would make of the end of a doveadm run, as one JSON object.
    Judge(JudgeArguments),
}

/// Tools about commands.
#[derive(Debug, Subcommand)]
pub enum CommandTool {
    /// Print the argv that would run for a user, one item a line, secrets hidden; or every fault.
    Render(RenderArguments),
}

/// Why a tool gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read.
    #[error("{}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {message}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// Everything that is against a command, one line each.
    #[error("{}", .0.join("\n"))]
    Refused(Vec<String>),
}

/// Most bytes of a file that is read whole.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() > MAX_FILE_BYTES {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    fs::read(path).map_err(failed)
}

/// A JSON file, or a YAML one with the texts as they stand.
fn read_value(path: &Path) -> Result<Value, Error> {
    let content = |message: String| Error::Content { path: path.to_owned(), message };
    let text = String::from_utf8(read(path)?).map_err(|error| content(error.to_string()))?;
    if let Ok(value) = serde_json::from_str(&text) {
        return Ok(value);
    }
    yaml::document(&text, &Arc::new(path.to_owned()))
        .map_err(|fault| content(format!("is neither JSON nor YAML: {fault}")))
}
