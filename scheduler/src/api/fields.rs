//! Reading the fields of a body one by one, so that everything that is wrong is said at once.

use dmf_shared::domain::{
    command::{Command, Fault},
    command_rules,
};
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{
    error::{ApiError, Result},
    iso_time,
    kind::{Kind, Property, SECRET_LIMIT, TEXT_LIMIT, TEXTS_LIMIT},
};

/// The fields of a JSON object. Each is taken once; what is left at the end is unknown. Without `Debug`,
/// since one may hold a password.
pub struct Fields {
    object: Map<String, Value>,
    known: Vec<Property>,
    /// Fields that may not be null, though nobody asked for them yet.
    kept: Vec<&'static str>,
    errors: Vec<String>,
    warnings: Vec<String>,
    lenient: bool,
}

/// What a client said of one field.
#[derive(Debug, Clone)]
pub enum Given<T> {
    /// Nothing.
    Absent,
    /// Something that the field can't hold; it is noted.
    Refused,
    /// `null`: clear it.
    Null,
    /// This value.
    Value(T),
}

impl<T> Given<T> {
    /// `None` when it was not said, `Some(None)` for null.
    pub fn nested(self) -> Option<Option<T>> {
        match self {
            Self::Absent | Self::Refused => None,
            Self::Null => Some(None),
            Self::Value(value) => Some(Some(value)),
        }
    }

    /// The value, where one was said.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Refused | Self::Null => None,
        }
    }
}

/// Most errors that one answer holds: a body of 1 MiB can hold very many wrong fields.
const ERROR_LIMIT: usize = 100;
/// How much of the name of an unknown field is looked at, in characters.
const NAME_LIMIT: usize = 64;

impl Fields {
    /// The fields of this object.
    pub const fn new(object: Map<String, Value>) -> Self {
        Self {
            object,
            known: Vec::new(),
            kept: Vec::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
            lenient: false,
        }
    }

    /// The same; with `lenient`, unknown fields are no fault.
    #[must_use]
    pub const fn lenient(mut self, lenient: bool) -> Self {
        self.lenient = lenient;
        self
    }

    /// A short text that was not taken yet, for an answer to repeat.
    pub fn peek(&self, field: &str) -> Option<&str> {
        self.object.get(field)?.as_str().filter(|text| text.len() <= TEXT_LIMIT)
    }

    /// Notes that a field is wrong.
    pub fn refuse(&mut self, field: &str, wrong: impl AsRef<str>) {
        self.errors.push(format!("{field}: {}", wrong.as_ref()));
    }

    /// The fields that were asked for so far, in that order: what a body or a query may hold.
    pub fn into_properties(self) -> Vec<Property> {
        self.known
    }

    /// Takes a field and reads what stands there, unless it is null; `Err` is all that is wrong with it.
    fn take<T>(
        &mut self,
        field: &'static str,
        kind: Kind,
        read: impl FnOnce(&Value) -> Result<T, Vec<String>>,
    ) -> Given<T> {
        self.known.push(Property {
            name: field,
            kind,
            required: false,
            nullable: !self.kept.contains(&field),
            read_only: false,
        });
        // Not `remove`, which would bring the others into another order.
        match self.object.shift_remove(field) {
            None => Given::Absent,
            Some(Value::Null) => Given::Null,
            Some(value) => match read(&value) {
                Ok(value) => Given::Value(value),
                Err(errors) => {
                    self.errors.extend(errors);
                    Given::Refused
                }
            },
        }
    }

    fn read<T>(
        &mut self,
        field: &'static str,
        kind: Kind,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Given<T> {
        self.take(field, kind, |value| read(value).ok_or_else(|| vec![format!("{field}: must be {kind}")]))
    }

    /// A text of 1 to 255 bytes without control characters.
    pub fn text(&mut self, field: &'static str) -> Given<String> {
        self.read(field, Kind::Text, short_text)
    }

    /// The same of up to `limit` bytes.
    pub fn text_of(&mut self, field: &'static str, limit: usize) -> Given<String> {
        self.parsed(field, Kind::TextOf { limit }, |text| {
            let fits = (1..=limit).contains(&text.len()) && !text.contains(char::is_control);
            fits.then(|| text.to_owned())
        })
    }

    /// A name of 1 to `limit` bytes that can stand in a path and a command line.
    pub fn name(&mut self, field: &'static str, limit: usize) -> Given<String> {
        self.parsed(field, Kind::Name { limit }, |text| {
            let fits = (1..=limit).contains(&text.len())
                && !text.contains(|c: char| c == '/' || c.is_control())
                && text.trim() == text
                && !is_dots(text)
                && !text.starts_with('-');
            fits.then(|| text.to_owned())
        })
    }

    /// The mail identifier of a user on its Source.
    pub fn source_uid(&mut self) -> Option<String> {
        let given = self.read("sourceUid", Kind::Segment, short_text);
        let uid = self.require("sourceUid", given);
        if uid.as_deref().is_some_and(is_dots) {
            self.refuse("sourceUid", "must not be . or .., which stand for something else in a path");
        }
        uid
    }

    /// A secret text of 1 to 1024 bytes.
    pub fn secret(&mut self, field: &'static str) -> Given<SecretString> {
        self.read(field, Kind::Secret, |value| {
            let text = value.as_str()?;
            let fits = (1..=SECRET_LIMIT).contains(&text.len()) && !text.contains('\0');
            fits.then(|| SecretString::from(text))
        })
    }

    /// A whole number from `min` to `max`.
    pub fn number(&mut self, field: &'static str, min: u32, max: u32) -> Given<u32> {
        self.read(field, Kind::Number { min, max }, |value| {
            let number = u32::try_from(whole(value)?).ok()?;
            (min..=max).contains(&number).then_some(number)
        })
    }

    /// A TCP port.
    pub fn port(&mut self, field: &'static str) -> Given<u16> {
        self.read(field, Kind::Port, |value| u16::try_from(whole(value)?).ok().filter(|port| *port > 0))
    }

    /// `true` or `false`.
    pub fn flag(&mut self, field: &'static str) -> Given<bool> {
        self.read(field, Kind::Flag, Value::as_bool)
    }

    /// A text that `parse` knows; `kind` says which those are.
    pub fn parsed<T>(
        &mut self,
        field: &'static str,
        kind: Kind,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Given<T> {
        self.read(field, kind, |value| parse(value.as_str()?))
    }

    /// A list of texts, or one text.
    pub fn texts(&mut self, field: &'static str) -> Given<Vec<String>> {
        self.texts_of(field, Kind::Texts)
    }

    /// The same, where `kind` says more of the texts and the caller looks at that.
    pub fn texts_of(&mut self, field: &'static str, kind: Kind) -> Given<Vec<String>> {
        self.read(field, kind, |value| {
            let items = match value {
                Value::Array(items) => &items[..],
                single => std::slice::from_ref(single),
            };
            if items.len() > TEXTS_LIMIT { None } else { items.iter().map(short_text).collect() }
        })
    }

    /// A time in any ISO-8601 form.
    pub fn time(&mut self, field: &'static str) -> Given<time::OffsetDateTime> {
        self.parsed(field, Kind::Time, iso_time::parse)
    }

    /// Refuses `null` for a field that can be changed but not cleared, before it is taken.
    pub fn refuse_null(&mut self, field: &'static str) {
        self.kept.push(field);
        if self.object.get(field) == Some(&Value::Null) {
            self.refuse(field, "can't be null");
        }
    }

    /// Says of a field that was read that it can't be changed.
    pub fn read_only(&mut self, field: &'static str) {
        self.describe(field, |property| property.read_only = true);
    }

    /// Takes a field that can't be changed: as it is, so that what was read can be written back.
    pub fn unchanged<T>(&mut self, field: &str, given: Given<T>, is_same: impl FnOnce(&T) -> bool) {
        match given {
            Given::Absent | Given::Refused => {}
            Given::Value(value) if is_same(&value) => {}
            Given::Value(_) | Given::Null => self.refuse(field, "can't be changed"),
        }
    }

    /// A command, checked as far as it can be without the worker's configuration; what is doubtful about it
    /// becomes a warning.
    pub fn command(&mut self, field: &'static str) -> Given<Command> {
        self.command_of(field, Kind::Command)
    }

    fn command_of(&mut self, field: &'static str, kind: Kind) -> Given<Command> {
        let text = |fault: Fault| fault.within(field).to_string();
        let read = self.take(field, kind, |value| {
            command_rules::read_from_api(value).map_err(|faults| faults.into_iter().map(text).collect())
        });
        match read {
            Given::Absent => Given::Absent,
            Given::Refused => Given::Refused,
            Given::Null => Given::Null,
            Given::Value((command, doubts)) => {
                self.warnings.extend(doubts.into_iter().map(text));
                Given::Value(command)
            }
        }
    }

    /// A command that may be left empty: `""` and `{}` are no command, as null is.
    pub fn optional_command(&mut self, field: &'static str) -> Given<Command> {
        if let Some(value) = self.object.get_mut(field)
            && (*value == Value::String(String::new()) || *value == Value::Object(Map::new()))
        {
            *value = Value::Null;
        }
        self.command_of(field, Kind::OptionalCommand)
    }

    /// What is doubtful about the commands that were read.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// The value of a field that must be there; notes it when it is not.
    pub fn require<T>(&mut self, field: &'static str, given: Given<T>) -> Option<T> {
        self.describe(field, |property| {
            *property = Property { required: true, nullable: false, ..*property }
        });
        if matches!(given, Given::Absent | Given::Null) {
            self.refuse(field, "is required");
        }
        given.value()
    }

    /// The value of a field that can be changed but not cleared; notes a null.
    pub fn kept<T>(&mut self, field: &'static str, given: Given<T>) -> Option<T> {
        self.describe(field, |property| property.nullable = false);
        if matches!(given, Given::Null) {
            self.refuse(field, "can't be null");
        }
        given.value()
    }

    fn describe(&mut self, field: &'static str, change: impl FnOnce(&mut Property)) {
        if let Some(property) = self.known.iter_mut().find(|property| property.name == field) {
            change(property);
        }
    }

    /// What `complete` makes of the fields, unless something was wrong: then 400 with all of it, unknown
    /// fields included. `complete` gives `None` only when a required field is missing.
    pub fn finish<T>(mut self, complete: impl FnOnce() -> Option<T>) -> Result<T> {
        let unknown = std::mem::take(&mut self.object);
        let shown = if self.lenient { 0 } else { ERROR_LIMIT };
        for field in unknown.keys().take(shown) {
            let field: String = field.chars().take(NAME_LIMIT).collect();
            let wrong = if let Some(known) = self.nearest(&field) {
                format!("unknown field, did you mean {known}?")
            } else {
                let known: Vec<_> = self.known.iter().map(|property| property.name).collect();
                format!("unknown field, there are: {}", known.join(", "))
            };
            self.refuse(&field, wrong);
        }
        self.errors.truncate(ERROR_LIMIT);
        match complete() {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(ApiError::invalid(self.errors)),
        }
    }

    /// The known field that looks most like this one.
    fn nearest(&self, field: &str) -> Option<&'static str> {
        let similar = |known: &&'static str| {
            strsim::normalized_damerau_levenshtein(&known.to_lowercase(), &field.to_lowercase())
        };
        self.known
            .iter()
            .map(|property| property.name)
            .map(|known| (similar(&known), known))
            .filter(|(similarity, _)| *similarity > 0.5)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, known)| known)
    }
}

/// A whole number, which JSON may also write with a point: `5.0` is 5.
fn whole(value: &Value) -> Option<i64> {
    // Beyond this, floating point leaves numbers out.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let from_float = |number: f64| {
        #[allow(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
        let whole = number as i64;
        (number.fract() == 0.0 && number.abs() < EXACT).then_some(whole)
    };
    value.as_i64().or_else(|| value.as_f64().and_then(from_float))
}

/// What clients and proxies take out of a path.
fn is_dots(text: &str) -> bool {
    text == "." || text == ".."
}

/// A text that fits into a column and a log line.
fn short_text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| is_short_text(text)).map(str::to_owned)
}

/// Whether the text has 1 to 255 bytes and no control characters.
pub fn is_short_text(text: &str) -> bool {
    (1..=TEXT_LIMIT).contains(&text.len()) && !text.contains(char::is_control)
}
