use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why a lab could not be started or asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A server or tool is not installed.
    #[error("program `{program}` is missing: install the Debian package `{package}`")]
    MissingProgram {
        /// File name that was looked for.
        program: &'static str,
        /// Debian package that has it.
        package: &'static str,
    },
    /// The Dovecot that is installed speaks another configuration language than the lab writes.
    #[error("Dovecot {found} is installed; the lab writes configuration for 2.3")]
    DovecotVersion {
        /// First line of `dovecot --version`.
        found: String,
    },
    /// Root owns the lab, and the user that a server should run as does not exist.
    #[error("the system has no user `{0}` for a server to run as")]
    NoSuchAccount(String),
    /// The directory that was asked for holds something already.
    #[error("directory {} is not empty", .0.display())]
    DirectoryNotEmpty(PathBuf),
    /// A file, directory, socket or process could not be handled.
    #[error("{doing}")]
    Io {
        /// What was attempted, with the path or program.
        doing: String,
        /// What the system answered.
        source: io::Error,
    },
    /// A server ended while it was being started.
    #[error("{server} ended at its start ({status}); its last words: {log}")]
    Exited {
        /// Name of the server.
        server: String,
        /// How it ended.
        status: ExitStatus,
        /// Last part of its error output.
        log: String,
    },
    /// Something did not come about within its deadline.
    #[error("{what} within {secs} s; last seen: {seen}")]
    Deadline {
        /// What was waited for, as "X did not Y".
        what: String,
        /// The deadline.
        secs: u64,
        /// Last part of a log, or the last answer.
        seen: String,
    },
    /// A tool ended with another code than 0.
    #[error("`{command}` ended with {status}: {stderr}")]
    Command {
        /// Program and its main arguments.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// Last part of its error output.
        stderr: String,
    },
    /// A tool's output is not what its version is known to print.
    #[error("`{command}` printed what the lab does not understand: {output}")]
    Output {
        /// Program and its main arguments.
        command: String,
        /// Beginning of the output.
        output: String,
    },
    /// A user or mailbox name that the lab's file formats can't hold.
    #[error("{0:?} cannot be a user or mailbox name in the lab")]
    Name(String),
}

/// Result with the lab's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what was attempted when an I/O call fails.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Error::Io { doing: what(), source: e.into() })
    }
}
