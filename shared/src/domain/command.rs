//! The Command language: a program call as a tree that flattens into an argv, never into a shell line.
//!
//! `{name, successCode?, flags?[], options?[{name, value}], arguments?[], subCommand?}`. At each level the
//! argv order is name, flags, options (name, value), arguments, then the sub command. Field names are read in
//! camelCase and kebab-case; a single value may stand where a list is expected; numbers are taken as their text.
//! Every fault of a command is found in one pass and carries the path of the place it stands at.

mod hide;
mod read;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};
use serde_json::Value;

pub(crate) use hide::hidden_faults;
use hide::hide_value;
pub use hide::{HIDDEN, PASSWORD_SETTINGS, is_password_setting};
pub use read::{MAX_DEPTH, MAX_ITEMS, MAX_TEXT_BYTES};

/// One thing that is wrong (or, as a warning, doubtful) in a command, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The place, such as `subCommand.options[1].value`; empty for the whole command.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl Fault {
    /// A fault at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    /// The same fault seen from the field `outer` that holds the command.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        Self { path: join(outer, &self.path), message: self.message }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

/// `outer` and `inner` as one path; either may be empty.
pub(crate) fn join(outer: &str, inner: &str) -> String {
    match (outer, inner) {
        ("", path) | (path, "") => path.to_owned(),
        _ => format!("{outer}.{inner}"),
    }
}

/// An option: two argv items, name and value.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandOption {
    /// Usually with its hyphen, such as `-u`; for doveadm's base command also the name of a setting.
    pub name: String,
    /// The value, whatever it holds.
    pub value: String,
}

/// A program call. See the module for its form.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    /// The program, or, in a sub command, its word.
    pub name: String,
    /// What exit code means success; `None` leaves it to the sub command.
    pub success_code: Option<i32>,
    /// Options without a value.
    pub flags: Vec<String>,
    /// Options with a value.
    pub options: Vec<CommandOption>,
    /// What stands after the options.
    pub arguments: Vec<String>,
    /// What follows the arguments.
    pub sub_command: Option<Box<Command>>,
}

impl Command {
    /// A command that is only a name.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            success_code: None,
            flags: Vec::new(),
            options: Vec::new(),
            arguments: Vec::new(),
            sub_command: None,
        }
    }

    /// Reads a command from JSON (or from YAML turned into it), reporting every fault of form at once.
    pub fn from_value(value: &Value) -> Result<Self, Vec<Fault>> {
        read::command(value)
    }

    /// True for a bare name without any other part: the command of the worker's configuration runs instead.
    pub fn is_placeholder(&self) -> bool {
        self.success_code.is_none()
            && self.flags.is_empty()
            && self.options.is_empty()
            && self.arguments.is_empty()
            && self.sub_command.is_none()
    }

    /// The exit code that means success: that of the outermost level that sets one, else 0.
    pub fn effective_success_code(&self) -> i32 {
        self.levels().find_map(|level| level.success_code).unwrap_or(0)
    }

    /// This level and all below it, outermost first.
    pub fn levels(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |level| level.sub_command.as_deref())
    }

    /// The argv, program first, with properties not yet injected.
    pub fn argv(&self) -> Vec<String> {
        let mut argv = Vec::new();
        for level in self.levels() {
            argv.push(level.name.clone());
            argv.extend(level.flags.iter().cloned());
            for option in &level.options {
                argv.extend([option.name.clone(), option.value.clone()]);
            }
            argv.extend(level.arguments.iter().cloned());
        }
        argv
    }
}

impl fmt::Debug for CommandOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandOption")
            .field("name", &self.name)
            .field("value", &hide_value(&self.name, &self.value))
            .finish()
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Command").field(&self.without_passwords().argv()).finish()
    }
}

impl Serialize for CommandOption {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("value", &self.value)?;
        map.end()
    }
}

impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        if let Some(code) = self.success_code {
            map.serialize_entry("successCode", &code)?;
        }
        if !self.flags.is_empty() {
            map.serialize_entry("flags", &self.flags)?;
        }
        if !self.options.is_empty() {
            map.serialize_entry("options", &self.options)?;
        }
        if !self.arguments.is_empty() {
            map.serialize_entry("arguments", &self.arguments)?;
        }
        if let Some(sub) = &self.sub_command {
            map.serialize_entry("subCommand", sub)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_value(&value).map_err(|faults| {
            let all: Vec<String> = faults.iter().map(Fault::to_string).collect();
            de::Error::custom(all.join("; "))
        })
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
