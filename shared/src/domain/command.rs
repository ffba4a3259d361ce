//! The Command language: a program call as a tree that flattens into an argv, never into a shell line.
//!
//! `{name, successCode?, flags?[], options?[{name, value}], arguments?[], subCommand?}`. At each level the
//! argv order is name, flags, options (name, value), arguments, then the sub command. Field names are read in
//! camelCase and kebab-case; a single value may stand where a list is expected; numbers are taken as their text.
//! Every fault of a command is found in one pass and carries the path of the place it stands at.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};
use serde_json::{Map, Value};

/// How deep sub commands may nest, the outermost level included.
pub const MAX_DEPTH: usize = 8;
/// How many flags, options or arguments one level may have.
pub const MAX_ITEMS: usize = 256;
/// Longest single text of a command, in bytes.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;

const FIELDS: [&str; 6] = ["name", "successCode", "flags", "options", "arguments", "subCommand"];
const OPTION_FIELDS: [&str; 2] = ["name", "value"];

/// What doveadm settings carry passwords: their values are hidden in all that is stored or logged.
pub const PASSWORD_SETTINGS: [&str; 5] = [
    "imapc_password",
    "imapc_master_password",
    "pop3c_password",
    "pop3c_master_password",
    "doveadm_password",
];

/// What stands in the place of a password.
pub const HIDDEN: &str = "<hidden>";

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
        let mut reader = Reader { faults: Vec::new() };
        let command = reader.command(value, "", 1);
        match command {
            Some(command) if reader.faults.is_empty() => Ok(command),
            _ => Err(reader.faults),
        }
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

    /// The command with the values of passwords replaced by [`HIDDEN`], unless they are a property: for logs
    /// and answers.
    #[must_use]
    pub fn without_passwords(&self) -> Self {
        let options = self.options.iter().map(|option| CommandOption {
            name: option.name.clone(),
            value: hide_value(&option.name, &option.value),
        });
        Self {
            name: self.name.clone(),
            success_code: self.success_code,
            flags: self.flags.iter().map(|text| hide_assignment(text)).collect(),
            options: options.collect(),
            arguments: self.arguments.iter().map(|text| hide_assignment(text)).collect(),
            sub_command: self.sub_command.as_ref().map(|sub| Box::new(sub.without_passwords())),
        }
    }
}

/// The places of texts that were hidden by [`Command::without_passwords`] and never filled in again.
pub(crate) fn hidden_faults(command: &Command) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut level_path = String::new();
    for level in command.levels() {
        let options = level.options.iter().map(|option| &option.value).enumerate();
        let options = options.map(|(index, text)| (format!("options[{index}].value"), text));
        let flags = level.flags.iter().enumerate();
        let flags = flags.map(|(index, text)| (format!("flags[{index}]"), text));
        let arguments = level.arguments.iter().enumerate();
        let arguments = arguments.map(|(index, text)| (format!("arguments[{index}]"), text));
        for (path, text) in flags.chain(options).chain(arguments) {
            if text == HIDDEN || text.ends_with(&format!("={HIDDEN}")) {
                let message =
                    format!("{HIDDEN} stands for a password that is not shown; give the password itself");
                faults.push(Fault::new(join(&level_path, &path), message));
            }
        }
        level_path = join(&level_path, "subCommand");
    }
    faults
}

/// True for a setting whose value is a password, with or without a `plugin/` or filter path before it.
pub fn is_password_setting(setting: &str) -> bool {
    let last = setting.rsplit('/').next().unwrap_or(setting);
    PASSWORD_SETTINGS.iter().any(|known| known.eq_ignore_ascii_case(last))
}

/// True for whatever is called a password: of other programs than doveadm the options are not known.
fn names_password(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "passwd"].iter().any(|word| name.contains(word))
}

/// True for a text that is one property and nothing else, and so no secret itself.
fn is_lone_property(text: &str) -> bool {
    let inner = ["%{mdb:", "%{conf:", "{%mdb:", "{%conf:"].iter().find_map(|start| text.strip_prefix(start));
    let name = inner.and_then(|inner| inner.strip_suffix('}'));
    name.is_some_and(|name| !name.contains(['{', '}']))
}

fn hide_value(name: &str, value: &str) -> String {
    if !names_password(name) {
        hide_assignment(value)
    } else if is_lone_property(value) {
        value.to_owned()
    } else {
        HIDDEN.to_owned()
    }
}

fn hide_assignment(text: &str) -> String {
    match text.split_once('=') {
        Some((key, value)) if names_password(key) && !is_lone_property(value) => format!("{key}={HIDDEN}"),
        _ => text.to_owned(),
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

/// Reads values and collects what is wrong with them.
struct Reader {
    faults: Vec<Fault>,
}

impl Reader {
    fn fault(&mut self, path: &str, message: impl Into<String>) {
        self.faults.push(Fault::new(path, message));
    }

    fn command(&mut self, value: &Value, path: &str, depth: usize) -> Option<Command> {
        let Value::Object(fields) = value else {
            self.fault(path, "must be an object with a name");
            return None;
        };
        if depth > MAX_DEPTH {
            self.fault(path, format!("commands nest at most {MAX_DEPTH} levels deep"));
            return None;
        }
        let found = self.fields(fields, &FIELDS, path);
        let name = self.required_text(found[0], &join(path, "name"));
        let success_code = found[1].and_then(|code| self.code(code, &join(path, "successCode")));
        let flags = self.texts(found[2], &join(path, "flags"));
        let options = self.options(found[3], &join(path, "options"));
        let arguments = self.texts(found[4], &join(path, "arguments"));
        let sub = found[5].and_then(|sub| self.command(sub, &join(path, "subCommand"), depth + 1));
        Some(Command { name: name?, success_code, flags, options, arguments, sub_command: sub.map(Box::new) })
    }

    /// The values of the `known` fields in their order; null counts as absent. Other fields are faults.
    fn fields<'v>(
        &mut self,
        fields: &'v Map<String, Value>,
        known: &[&str],
        path: &str,
    ) -> Vec<Option<&'v Value>> {
        let mut found = vec![None; known.len()];
        for (key, value) in fields {
            let Some(index) = known.iter().position(|name| camel(key) == **name) else {
                self.fault(&join(path, key), unknown_field(key, known));
                continue;
            };
            if found[index].is_some() {
                self.fault(&join(path, known[index]), "is given twice");
            } else if !value.is_null() {
                found[index] = Some(value);
            }
        }
        found
    }

    fn required_text(&mut self, value: Option<&Value>, path: &str) -> Option<String> {
        let Some(value) = value else {
            self.fault(path, "is required");
            return None;
        };
        let text = self.text(value, path)?;
        if text.is_empty() {
            self.fault(path, "must not be empty");
            return None;
        }
        Some(text)
    }

    fn text(&mut self, value: &Value, path: &str) -> Option<String> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => {
                self.fault(path, "must be a text");
                return None;
            }
        };
        if text.contains('\0') {
            self.fault(path, "must not hold a NUL character");
            return None;
        }
        if text.len() > MAX_TEXT_BYTES {
            self.fault(path, format!("is longer than {MAX_TEXT_BYTES} bytes"));
            return None;
        }
        Some(text)
    }

    fn code(&mut self, value: &Value, path: &str) -> Option<i32> {
        let code = match value {
            Value::Number(number) => number.as_i64().and_then(|code| i32::try_from(code).ok()),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        if code.is_none() {
            self.fault(path, "must be a signed integer of 32 bits");
        }
        code
    }

    /// A list, or a single value that stands for a list of one.
    fn list<'v>(&mut self, value: Option<&'v Value>, path: &str) -> &'v [Value] {
        let items = match value {
            None => &[],
            Some(Value::Array(items)) => items.as_slice(),
            Some(single) => std::slice::from_ref(single),
        };
        if items.len() > MAX_ITEMS {
            self.fault(path, format!("has more than {MAX_ITEMS} items"));
            return &[];
        }
        items
    }

    fn texts(&mut self, value: Option<&Value>, path: &str) -> Vec<String> {
        let items = self.list(value, path);
        let texts =
            items.iter().enumerate().map(|(index, item)| self.text(item, &format!("{path}[{index}]")));
        texts.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    fn options(&mut self, value: Option<&Value>, path: &str) -> Vec<CommandOption> {
        let items = self.list(value, path);
        let options =
            items.iter().enumerate().map(|(index, item)| self.option(item, &format!("{path}[{index}]")));
        options.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    fn option(&mut self, value: &Value, path: &str) -> Option<CommandOption> {
        let Value::Object(fields) = value else {
            self.fault(path, "must be an object with name and value");
            return None;
        };
        let found = self.fields(fields, &OPTION_FIELDS, path);
        let name = self.required_text(found[0], &join(path, "name"));
        let Some(value) = found[1] else {
            self.fault(&join(path, "value"), "is required");
            return None;
        };
        let value = self.text(value, &join(path, "value"));
        Some(CommandOption { name: name?, value: value? })
    }
}

/// `sub-command` and `sub_command` as `subCommand`.
fn camel(key: &str) -> String {
    let mut camel = String::with_capacity(key.len());
    let mut raise = false;
    for letter in key.chars() {
        match letter {
            '-' | '_' => raise = true,
            _ if raise => {
                camel.extend(letter.to_uppercase());
                raise = false;
            }
            _ => camel.push(letter),
        }
    }
    camel
}

fn unknown_field(key: &str, known: &[&str]) -> String {
    let shown: String = key.chars().take(40).collect();
    match nearest(&camel(key), known) {
        Some(near) => format!("unknown field {shown}; did you mean {near}?"),
        None => format!("unknown field {shown}; there are: {}", known.join(", ")),
    }
}

/// The known name that differs least from `word`, if the difference is small.
pub(crate) fn nearest<'n>(word: &str, known: &[&'n str]) -> Option<&'n str> {
    let word: Vec<char> = word.chars().take(64).flat_map(char::to_lowercase).collect();
    let scored = known.iter().map(|name| (distance(&word, &name.to_lowercase()), *name));
    scored.min().filter(|(distance, name)| *distance <= 2.max(name.len() / 3)).map(|(_, name)| name)
}

/// The number of letters to insert, remove or change.
fn distance(from: &[char], to: &str) -> usize {
    let mut row: Vec<usize> = (0..=from.len()).collect();
    for (line, wanted) in to.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, letter) in from.iter().enumerate() {
            let change = diagonal + usize::from(*letter != wanted);
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[from.len()]
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
