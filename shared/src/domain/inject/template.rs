//! Parsing a command into a template, once.

use super::{
    name::{ListProperty, MdbName, PropertyName},
    properties::{Properties, is_secret_key},
};
use crate::domain::{
    command::{Command, Fault, join},
    command_rules::is_doveadm,
};

/// A piece of a text.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    Property(PropertyName),
}

/// A text with holes.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) parts: Vec<Part>,
    pub(super) path: String,
}

impl Text {
    /// The list property that is the whole text.
    pub(super) fn lone_list(&self) -> Option<ListProperty> {
        match self.parts.as_slice() {
            [Part::Property(name)] => name.as_list(),
            _ => None,
        }
    }

    fn properties(&self) -> impl Iterator<Item = &PropertyName> {
        self.parts.iter().filter_map(|part| match part {
            Part::Property(name) => Some(name),
            Part::Literal(_) => None,
        })
    }
}

/// One level of a command with holes.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) name: Text,
    pub(super) flags: Vec<Text>,
    pub(super) options: Vec<(Text, Text)>,
    pub(super) arguments: Vec<Text>,
}

/// A command parsed for rendering.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandTemplate {
    pub(super) levels: Vec<Level>,
    pub(super) success_code: i32,
}

/// A template, and what is doubtful about the command it came from.
#[derive(Debug)]
pub struct Compiled {
    /// To be rendered for each user.
    pub template: CommandTemplate,
    /// Accepted, but to be told to whoever wrote the command.
    pub warnings: Vec<Fault>,
}

impl CommandTemplate {
    /// Parses all texts of `command`. All faults come at once: an unknown `%{mdb:…}`, a hole that does not
    /// close, a list inside a longer text, a password where argv would show it.
    pub fn compile(command: &Command) -> Result<Compiled, Vec<Fault>> {
        let mut compiler = Compiler { faults: Vec::new(), warnings: Vec::new() };
        let doveadm = is_doveadm(&command.name);
        let mut levels = Vec::new();
        let mut path = String::new();
        for (depth, level) in command.levels().enumerate() {
            levels.push(compiler.level(level, &path, doveadm && depth == 0));
            path = join(&path, "subCommand");
        }
        if compiler.faults.is_empty() {
            let template = Self { levels, success_code: command.effective_success_code() };
            Ok(Compiled { template, warnings: compiler.warnings })
        } else {
            Err(compiler.faults)
        }
    }

    /// The `%{conf:…}` that do not exist in this worker's configuration for the source.
    pub fn unknown_conf(&self, properties: &Properties) -> Vec<Fault> {
        let mut faults = Vec::new();
        for text in self.texts() {
            for name in text.properties() {
                if let PropertyName::Conf(key) = name
                    && !properties.has_conf_key(key)
                {
                    faults.push(Fault::new(&text.path, unknown_conf(key, properties)));
                }
            }
        }
        faults
    }

    /// True when some text of the command needs the property.
    pub fn uses(&self, wanted: &PropertyName) -> bool {
        self.texts().any(|text| text.properties().any(|name| name == wanted))
    }

    fn texts(&self) -> impl Iterator<Item = &Text> {
        self.levels.iter().flat_map(|level| {
            let options = level.options.iter().flat_map(|(name, value)| [name, value]);
            std::iter::once(&level.name).chain(&level.flags).chain(options).chain(&level.arguments)
        })
    }
}

impl std::fmt::Debug for CommandTemplate {
    // The literals of a command may hold passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommandTemplate").field("levels", &self.levels.len()).finish_non_exhaustive()
    }
}

/// What is wrong with a key that the configuration doesn't have. Never repeats a text that is some key's value.
pub(super) fn unknown_conf(key: &str, properties: &Properties) -> String {
    match properties.conf_key_of_value(key) {
        Some(meant) => {
            format!(
                "%{{conf:…}} takes a key, not its value: what stands here is the value of the key {meant}, write %{{conf:{meant}}}"
            )
        }
        None => {
            format!("unknown property %{{conf:{key}}}; there are: {}", properties.conf_keys().join(" "))
        }
    }
}

struct Compiler {
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

/// Where a text stands, which decides what may be injected there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place<'a> {
    /// The name of a command or of an option.
    Name,
    /// A flag or an argument: a list may stand here alone.
    Items,
    /// The value of an option with this name; `setting` where it ends up in a doveadm setting.
    Value { option: &'a str, setting: bool },
}

impl Compiler {
    fn level(&mut self, level: &Command, path: &str, doveadm_base: bool) -> Level {
        let name = self.text(&level.name, &join(path, "name"), Place::Name);
        let flags = self.items(&level.flags, &join(path, "flags"));
        let options = level.options.iter().enumerate().map(|(index, option)| {
            let path = join(path, &format!("options[{index}]"));
            let value = Place::Value { option: &option.name, setting: doveadm_base };
            (
                self.text(&option.name, &join(&path, "name"), Place::Name),
                self.text(&option.value, &join(&path, "value"), value),
            )
        });
        let options = options.collect();
        let arguments = self.items(&level.arguments, &join(path, "arguments"));
        Level { name, flags, options, arguments }
    }

    fn items(&mut self, texts: &[String], path: &str) -> Vec<Text> {
        let items = texts.iter().enumerate();
        items.map(|(index, text)| self.text(text, &format!("{path}[{index}]"), Place::Items)).collect()
    }

    fn text(&mut self, raw: &str, path: &str, place: Place<'_>) -> Text {
        let text = Text { parts: self.parts(raw, path), path: path.to_owned() };
        self.check_lists(&text, place);
        self.check_passwords(&text, place);
        text
    }

    fn check_lists(&mut self, text: &Text, place: Place<'_>) {
        let Some((name, list)) = text.properties().find_map(|name| Some((name, name.as_list()?))) else {
            return;
        };
        let alone = text.lone_list().is_some();
        let fits = match place {
            Place::Name => false,
            Place::Items => alone,
            Place::Value { option, .. } => alone && option == list.option(),
        };
        if !fits {
            let message = format!(
                "{name} is a list: it stands alone as a flag, as an argument or as the value of the option {}",
                list.option()
            );
            self.faults.push(Fault::new(&text.path, message));
        }
    }

    fn check_passwords(&mut self, text: &Text, place: Place<'_>) {
        if matches!(place, Place::Value { setting: true, .. }) {
            return;
        }
        for name in text.properties() {
            let message = match name {
                PropertyName::Mdb(MdbName::SourcePasswd) => format!(
                    "{name} may stand only in a setting (an option) of the doveadm command itself; a hook gets the password by its environment"
                ),
                PropertyName::Conf(key) if is_secret_key(key) => format!(
                    "{name} counts as a password by its name, and may stand only in a setting (an option) of the doveadm command itself: every process of the machine can read what stands elsewhere"
                ),
                _ => continue,
            };
            self.faults.push(Fault::new(&text.path, message));
        }
    }

    fn parts(&mut self, raw: &str, path: &str) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = raw;
        while let Some((before, hole)) = next_hole(rest) {
            literal.push_str(before);
            rest = hole.after;
            if hole.misspelt {
                let written = format!("%{{{}:{}}}", hole.namespace, hole.key);
                self.warnings.push(Fault::new(path, format!("{{% is read as %{{: write {written}")));
            }
            match self.property(&hole, path) {
                Some(name) => {
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Property(name));
                }
                None => return parts,
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() || parts.is_empty() {
            parts.push(Part::Literal(literal));
        }
        parts
    }

    fn property(&mut self, hole: &Hole<'_>, path: &str) -> Option<PropertyName> {
        let Hole { namespace, key, .. } = hole;
        let message = if !hole.closed {
            format!("%{{{namespace}:… has no closing brace")
        } else if !matches!(*namespace, "mdb" | "conf") {
            format!(
                "unknown property %{{{namespace}:{key}}}; write %{{mdb:…}} or %{{conf:…}} in small letters"
            )
        } else if key.is_empty() {
            format!("%{{{namespace}:}} names no property")
        } else if *namespace == "conf" {
            return Some(PropertyName::Conf((*key).to_owned()));
        } else if let Some(name) = MdbName::parse(key) {
            return Some(PropertyName::Mdb(name));
        } else {
            let known = MdbName::ALL.map(MdbName::as_str).join(" ");
            format!("unknown property %{{mdb:{key}}}; there are: {known}")
        };
        self.faults.push(Fault::new(path, message));
        None
    }
}

/// A hole as it is written.
struct Hole<'a> {
    namespace: &'a str,
    key: &'a str,
    after: &'a str,
    /// Written as `{%mdb:…}`.
    misspelt: bool,
    closed: bool,
}

/// The text before the next hole, and the hole. `%{…}` of other namespaces belongs to Dovecot and stays.
fn next_hole(text: &str) -> Option<(&str, Hole<'_>)> {
    let mut from = 0;
    while let Some(found) = text[from..].find(['%', '{']) {
        let at = from + found;
        let start = &text[at..];
        let misspelt = start.starts_with("{%");
        if (misspelt || start.starts_with("%{"))
            && let Some(hole) = read_hole(&start[2..], misspelt)
        {
            return Some((&text[..at], hole));
        }
        from = at + 1;
    }
    None
}

fn read_hole(inner: &str, misspelt: bool) -> Option<Hole<'_>> {
    let (namespace, rest) = inner.split_once(':')?;
    if !is_ours(namespace) {
        return None;
    }
    let (key, after, closed) = match rest.split_once('}') {
        Some((key, after)) => (key, after, true),
        None => (rest, "", false),
    };
    Some(Hole { namespace, key, after, misspelt, closed })
}

/// Our namespaces, and what is easily written instead of them.
fn is_ours(namespace: &str) -> bool {
    let namespace = namespace.trim().to_ascii_lowercase();
    matches!(namespace.as_str(), "mdb" | "conf" | "mbd" | "dmb" | "bdm" | "db" | "cnf" | "config" | "cofn")
}
