//! Reading the fields of a body one by one, so that everything that is wrong is said at once.

use dmf_shared::domain::{
    command::{Command, Fault},
    command_rules::{self, Rules, Stage},
    inject::CommandTemplate,
};
use serde_json::{Map, Value};

use super::error::{ApiError, Result};

/// The fields of a JSON object. Each is taken once; what is left at the end is unknown.
#[derive(Debug)]
pub struct Fields {
    object: Map<String, Value>,
    known: Vec<&'static str>,
    errors: Vec<String>,
}

/// What a client said of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given<T> {
    /// Nothing.
    Absent,
    /// `null`: clear it.
    Null,
    /// This value.
    Value(T),
}

impl<T> Given<T> {
    /// `None` when it was not said, `Some(None)` for null.
    pub fn nested(self) -> Option<Option<T>> {
        match self {
            Self::Absent => None,
            Self::Null => Some(None),
            Self::Value(value) => Some(Some(value)),
        }
    }

    /// The value, where one was said.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }
}

/// Longest text that a field may hold unless it says otherwise, in bytes.
const TEXT_LIMIT: usize = 255;

impl Fields {
    /// The fields of this object.
    pub const fn new(object: Map<String, Value>) -> Self {
        Self { object, known: Vec::new(), errors: Vec::new() }
    }

    /// Notes that a field is wrong.
    pub fn refuse(&mut self, field: &str, wrong: impl AsRef<str>) {
        self.errors.push(format!("{field}: {}", wrong.as_ref()));
    }

    fn take(&mut self, field: &'static str) -> Given<Value> {
        self.known.push(field);
        match self.object.remove(field) {
            None => Given::Absent,
            Some(Value::Null) => Given::Null,
            Some(value) => Given::Value(value),
        }
    }

    fn read<T>(
        &mut self,
        field: &'static str,
        allowed: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Given<T> {
        match self.take(field) {
            Given::Absent => Given::Absent,
            Given::Null => Given::Null,
            Given::Value(value) => match read(&value) {
                Some(value) => Given::Value(value),
                None => {
                    self.refuse(field, format!("must be {allowed}"));
                    Given::Absent
                }
            },
        }
    }

    /// A text of 1 to 255 bytes without NUL.
    pub fn text(&mut self, field: &'static str) -> Given<String> {
        self.read(field, "a text of 1 to 255 bytes", |value| {
            let text = value.as_str()?;
            let fits = (1..=TEXT_LIMIT).contains(&text.len()) && !text.contains('\0');
            fits.then(|| text.to_owned())
        })
    }

    /// A secret text of 1 to 1024 bytes.
    pub fn secret(&mut self, field: &'static str) -> Given<String> {
        self.read(field, "a text of 1 to 1024 bytes", |value| {
            let text = value.as_str()?;
            ((1..=1024).contains(&text.len()) && !text.contains('\0')).then(|| text.to_owned())
        })
    }

    /// A whole number from `min` to `max`.
    pub fn number(&mut self, field: &'static str, min: u32, max: u32) -> Given<u32> {
        self.read(field, &format!("a whole number from {min} to {max}"), |value| {
            let number = u32::try_from(value.as_u64()?).ok()?;
            (min..=max).contains(&number).then_some(number)
        })
    }

    /// A TCP port.
    pub fn port(&mut self, field: &'static str) -> Given<u16> {
        self.read(field, "a port from 1 to 65535", |value| {
            u16::try_from(value.as_u64()?).ok().filter(|port| *port > 0)
        })
    }

    /// `true` or `false`.
    pub fn flag(&mut self, field: &'static str) -> Given<bool> {
        self.read(field, "true or false", Value::as_bool)
    }

    /// One of some words; `parse` knows them, `allowed` lists them.
    pub fn word<T>(
        &mut self,
        field: &'static str,
        allowed: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Given<T> {
        self.read(field, &format!("one of {allowed}"), |value| parse(value.as_str()?))
    }

    /// A list of texts, or one text.
    pub fn texts(&mut self, field: &'static str) -> Given<Vec<String>> {
        self.read(field, "a list of at most 1000 texts of 1 to 255 bytes", |value| {
            let items = match value {
                Value::Array(items) => &items[..],
                single => std::slice::from_ref(single),
            };
            let text = |item: &Value| {
                let text = item.as_str()?;
                ((1..=TEXT_LIMIT).contains(&text.len()) && !text.contains('\0')).then(|| text.to_owned())
            };
            if items.len() > 1000 { None } else { items.iter().map(text).collect() }
        })
    }

    /// A time in any ISO-8601 form.
    pub fn time(&mut self, field: &'static str) -> Given<time::OffsetDateTime> {
        self.read(field, "a time such as 2024-05-01T22:00:00Z", |value| {
            let time = time::OffsetDateTime::parse(
                value.as_str()?,
                &time::format_description::well_known::Iso8601::PARSING,
            );
            Some(time.ok()?.to_offset(time::UtcOffset::UTC)).filter(|time| (1971..9999).contains(&time.year()))
        })
    }

    /// A command, checked as far as it can be without the worker's configuration.
    pub fn command(&mut self, field: &'static str) -> Given<Command> {
        match self.take(field) {
            Given::Absent => Given::Absent,
            Given::Null => Given::Null,
            Given::Value(value) => match read_command(&value) {
                Ok(command) => Given::Value(command),
                Err(faults) => {
                    let faults = faults.into_iter().map(|fault| fault.within(field).to_string());
                    self.errors.extend(faults);
                    Given::Absent
                }
            },
        }
    }

    /// The value of a field that must be there; notes it when it is not.
    pub fn require<T>(&mut self, field: &'static str, given: Given<T>) -> Option<T> {
        let refused = self.errors.iter().any(|error| error.starts_with(field));
        match given {
            Given::Value(value) => Some(value),
            Given::Absent | Given::Null => {
                if !refused {
                    self.refuse(field, "is required");
                }
                None
            }
        }
    }

    /// Whether nothing was wrong so far, unknown fields aside.
    pub fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }

    /// 400 with everything that was wrong, unknown fields included.
    pub fn finish(mut self) -> Result<()> {
        let unknown: Vec<String> = self.object.keys().cloned().collect();
        for field in unknown {
            let nearest = self
                .known
                .iter()
                .map(|known| (strsim::normalized_damerau_levenshtein(known, &field), known))
                .filter(|(similarity, _)| *similarity > 0.5)
                .max_by(|a, b| a.0.total_cmp(&b.0));
            let shown: String = field.chars().take(64).collect();
            match nearest {
                Some((_, known)) => self.refuse(&shown, format!("unknown field, did you mean {known}?")),
                None => self.refuse(&shown, format!("unknown field, there are: {}", self.known.join(", "))),
            }
        }
        if self.errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(self.errors)) }
    }
}

/// Form, properties and rules of a command of the API, every fault with its place.
fn read_command(value: &Value) -> Result<Command, Vec<Fault>> {
    let command = Command::from_value(value)?;
    let mut faults = CommandTemplate::compile(&command).err().unwrap_or_default();
    faults.extend(command_rules::check(&command, &Rules::api(), Stage::Template));
    if faults.is_empty() { Ok(command) } else { Err(faults) }
}
