//! Filling a template for one user.

use std::{fmt, ops::Range};

use secrecy::{ExposeSecret, SecretString};

use super::{
    name::{ListProperty, PropertyName},
    properties::{Properties, PropertyValue},
    template::{CommandTemplate, Level, Part, Text, unknown_conf},
};
use crate::domain::command::{Command, CommandOption, Fault, HIDDEN};

/// One argv item. What came from a password is shown as `<hidden>`.
#[derive(Clone)]
pub struct Item {
    text: SecretString,
    injected: Vec<Injected>,
    list: Option<ListProperty>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Injected {
    range: Range<usize>,
    secret: bool,
}

impl Item {
    /// A text that came from no property.
    pub fn literal(text: impl Into<String>) -> Self {
        Self { text: text.into().into(), injected: Vec::new(), list: None }
    }

    /// The text itself, passwords included.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// The text with all that came from passwords replaced.
    pub fn shown(&self) -> String {
        let text = self.expose();
        let mut shown = String::with_capacity(text.len());
        let mut end = 0;
        for secret in self.injected.iter().filter(|injected| injected.secret) {
            shown.push_str(&text[end..secret.range.start]);
            shown.push_str(HIDDEN);
            end = secret.range.end;
        }
        shown.push_str(&text[end..]);
        shown
    }

    /// True when a part of it came from a password.
    pub fn is_secret(&self) -> bool {
        self.injected.iter().any(|injected| injected.secret)
    }

    /// The list that this item came from.
    pub const fn list(&self) -> Option<ListProperty> {
        self.list
    }

    fn from_list(text: String, list: ListProperty) -> Self {
        let range = 0..text.len();
        Self { text: text.into(), injected: vec![Injected { range, secret: false }], list: Some(list) }
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown().fmt(f)
    }
}

/// An option with its holes filled.
#[derive(Debug, Clone)]
pub struct RenderedOption {
    /// Its name.
    pub name: Item,
    /// Its value.
    pub value: Item,
}

/// One level with its holes filled.
#[derive(Debug, Clone)]
pub struct RenderedLevel {
    /// The program or word.
    pub name: Item,
    /// Options without a value; items of a list included.
    pub flags: Vec<Item>,
    /// Options with a value.
    pub options: Vec<RenderedOption>,
    /// Arguments; items of a list included.
    pub arguments: Vec<Item>,
}

impl RenderedLevel {
    /// The items in argv order.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        let options = self.options.iter().flat_map(|option| [&option.name, &option.value]);
        std::iter::once(&self.name).chain(&self.flags).chain(options).chain(&self.arguments)
    }
}

/// A command for one user.
#[derive(Debug, Clone)]
pub struct RenderedCommand {
    /// Outermost first; never empty.
    pub levels: Vec<RenderedLevel>,
    /// The exit code that means success.
    pub success_code: i32,
}

impl RenderedCommand {
    /// All items in argv order, program first.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.levels.iter().flat_map(RenderedLevel::items)
    }

    /// The same as a [`Command`] of plain texts, passwords from properties replaced: what rules look at.
    pub fn to_command(&self) -> Command {
        let mut command = None;
        for level in self.levels.iter().rev() {
            let options = level.options.iter();
            command = Some(Box::new(Command {
                name: level.name.shown(),
                success_code: None,
                flags: level.flags.iter().map(Item::shown).collect(),
                options: options
                    .map(|option| CommandOption { name: option.name.shown(), value: option.value.shown() })
                    .collect(),
                arguments: level.arguments.iter().map(Item::shown).collect(),
                sub_command: command,
            }));
        }
        command.map_or_else(|| Command::named(""), |command| *command)
    }
}

impl CommandTemplate {
    /// Fills all holes. All properties without a value are named at once.
    pub fn render(&self, properties: &Properties) -> Result<RenderedCommand, Vec<Fault>> {
        let mut renderer = Renderer { properties, faults: Vec::new() };
        let levels = self.levels.iter().map(|level| renderer.level(level)).collect();
        if renderer.faults.is_empty() {
            Ok(RenderedCommand { levels, success_code: self.success_code })
        } else {
            Err(renderer.faults)
        }
    }
}

struct Renderer<'a> {
    properties: &'a Properties,
    faults: Vec<Fault>,
}

impl Renderer<'_> {
    fn level(&mut self, level: &Level) -> RenderedLevel {
        let mut options = Vec::new();
        for (name, value) in &level.options {
            let rendered = self.item(name);
            // A list as the value of its own option repeats the option.
            for value in self.values(value) {
                options.push(RenderedOption { name: rendered.clone(), value });
            }
        }
        RenderedLevel {
            name: self.item(&level.name),
            flags: self.items(&level.flags),
            options,
            arguments: self.items(&level.arguments),
        }
    }

    fn items(&mut self, texts: &[Text]) -> Vec<Item> {
        let mut items = Vec::new();
        for text in texts {
            let list = text.lone_list();
            for value in self.values(text) {
                if let Some(list) = list.filter(|_| value.list.is_some()) {
                    items.push(Item {
                        text: list.option().to_owned().into(),
                        injected: Vec::new(),
                        list: Some(list),
                    });
                }
                items.push(value);
            }
        }
        items
    }

    /// The item of a text, or the items of a list that is the whole text.
    fn values(&mut self, text: &Text) -> Vec<Item> {
        if let (Some(list), [Part::Property(name)]) = (text.lone_list(), text.parts.as_slice())
            && let Some(PropertyValue::List(values)) = self.properties.lookup(name)
        {
            if values.iter().any(|value| value.contains('\0')) {
                self.fault(text, format!("{name} holds a NUL character"));
            }
            return values.into_iter().map(|value| Item::from_list(value, list)).collect();
        }
        vec![self.item(text)]
    }

    fn item(&mut self, text: &Text) -> Item {
        let mut whole = String::new();
        let mut injected = Vec::new();
        for part in &text.parts {
            let start = whole.len();
            let secret = match part {
                Part::Literal(literal) => {
                    whole.push_str(literal);
                    continue;
                }
                Part::Property(name) => self.push_value(&mut whole, name, text),
            };
            injected.push(Injected { range: start..whole.len(), secret });
        }
        Item { text: whole.into(), injected, list: None }
    }

    /// Appends the value; true when it is a password.
    fn push_value(&mut self, whole: &mut String, name: &PropertyName, text: &Text) -> bool {
        let start = whole.len();
        let secret = match self.properties.lookup(name) {
            Some(PropertyValue::Text(value)) => {
                whole.push_str(&value);
                false
            }
            Some(PropertyValue::Secret(value)) => {
                whole.push_str(value.expose_secret());
                true
            }
            Some(PropertyValue::List(_)) | None => {
                self.fault(text, self.without_value(name));
                false
            }
        };
        if whole[start..].contains('\0') {
            self.fault(text, format!("{name} holds a NUL character"));
        }
        secret
    }

    fn without_value(&self, name: &PropertyName) -> String {
        match name {
            PropertyName::Mdb(_) => format!("{name} has no value for this user"),
            PropertyName::Conf(key) if self.properties.has_conf_key(key) => {
                format!("{name} has no value in the worker's configuration of this source")
            }
            PropertyName::Conf(key) => unknown_conf(key, self.properties),
        }
    }

    fn fault(&mut self, text: &Text, message: String) {
        self.faults.push(Fault::new(&text.path, message));
    }
}
