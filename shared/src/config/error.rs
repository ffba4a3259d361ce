//! What is wrong with a configuration, and where it stands.

use std::{fmt, io, path::PathBuf, sync::Arc};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of a configuration file, counted from 1.
    File {
        /// The file as it was named.
        path: Arc<PathBuf>,
        /// The line.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A file that an environment variable `X_FILE` names.
    SecretFile {
        /// The variable.
        variable: String,
        /// The file.
        path: PathBuf,
    },
    /// The program itself.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::SecretFile { variable, path } => {
                write!(f, "{}, named by environment variable {variable}", path.display())
            }
            Self::Default => f.write_str("built-in default"),
        }
    }
}

/// One thing that is wrong. None shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A file can't be read.
    #[error("{}: can't be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is no YAML that this program takes.
    #[error("{origin}: {message}")]
    Syntax {
        /// The place.
        origin: Origin,
        /// What is wrong there.
        message: String,
    },
    /// A `${…}` has no value or is malformed.
    #[error("{key}: {message} ({origin})")]
    Placeholder {
        /// The key whose value holds it.
        key: String,
        /// What is wrong.
        message: String,
        /// Where the value stands.
        origin: Origin,
    },
    /// A key that must have a value has none.
    #[error("{key}: required, but not set")]
    Missing {
        /// The key.
        key: String,
    },
    /// A value is not among those allowed.
    #[error("{key} = {}: allowed is {expected} ({origin})", shown(value.as_deref()))]
    Invalid {
        /// The key.
        key: String,
        /// The value; none for a secret.
        value: Option<String>,
        /// What is allowed.
        expected: String,
        /// Where the value came from.
        origin: Origin,
    },
    /// Values that are each allowed, but not together, or not here.
    #[error("{key}: {message}{}", place(origin.as_ref()))]
    Rejected {
        /// The key.
        key: String,
        /// Why.
        message: String,
        /// Where its value came from, if it has one.
        origin: Option<Origin>,
    },
}

/// Longest part of a value that an error repeats, in characters.
const SHOWN_CHARS: usize = 80;

fn shown(value: Option<&str>) -> String {
    let Some(value) = value else { return "<hidden>".to_owned() };
    let mut chars = value.chars();
    let start: String = chars.by_ref().take(SHOWN_CHARS).collect();
    format!("{start:?}{}", if chars.next().is_some() { "…" } else { "" })
}

fn place(origin: Option<&Origin>) -> String {
    origin.map(|origin| format!(" ({origin})")).unwrap_or_default()
}

/// Everything that is wrong; its text has one line for each fault.
#[derive(Debug)]
pub struct Errors(pub Vec<Fault>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

impl From<Fault> for Errors {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

/// Something an operator should look at, although the process starts. None shows a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A key or variable that nothing reads.
    Unknown {
        /// The key, or the variable's name.
        name: String,
        /// Where it stands.
        origin: Origin,
        /// The known one that looks most like it.
        nearest: Option<String>,
    },
    /// A remark on a known key.
    Note {
        /// The key.
        key: String,
        /// The remark.
        message: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, origin, nearest: None } => {
                write!(f, "{name}: unknown, has no effect ({origin})")
            }
            Self::Unknown { name, origin, nearest: Some(nearest) } => {
                write!(f, "{name}: unknown, has no effect; did you mean {nearest}? ({origin})")
            }
            Self::Note { key, message } => write!(f, "{key}: {message}"),
        }
    }
}
