//! What a field of a request may hold. Errors and the OpenAPI document say it from the same limits.

use std::fmt;

use dmf_shared::domain::migration::{Phase, Status};
use serde_json::{Value, json};
use utoipa::openapi::{
    ArrayBuilder, ObjectBuilder, Ref, RefOr, Schema, Type,
    schema::{OneOfBuilder, SchemaType},
};

/// Longest text that a field may hold unless it says otherwise, in bytes.
pub const TEXT_LIMIT: usize = 255;
/// Longest secret, in bytes.
pub const SECRET_LIMIT: usize = 1024;
/// Most items of a list.
pub const TEXTS_LIMIT: usize = 1000;

/// Longest text of a time.
const TIME_LIMIT: usize = 40;

/// One or more characters, none of them a control character.
const NO_CONTROL: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$";
/// What [`Kind::Name`] describes: behind a point stands something that is no point, or two characters.
const NAME: &str = "^([^-./\\s\\u0000-\\u001f\\u007f-\\u009f]([^/\\u0000-\\u001f\\u007f-\\u009f]*[^/\\s\\u0000-\\u001f\\u007f-\\u009f])?\
    |\\.([^./\\s\\u0000-\\u001f\\u007f-\\u009f]|[^/\\u0000-\\u001f\\u007f-\\u009f]+[^/\\s\\u0000-\\u001f\\u007f-\\u009f]))$";
/// The same of [`Kind::Segment`].
const SEGMENT: &str = "^([^.\\u0000-\\u001f\\u007f-\\u009f][^\\u0000-\\u001f\\u007f-\\u009f]*\
    |\\.([^.\\u0000-\\u001f\\u007f-\\u009f]|[^\\u0000-\\u001f\\u007f-\\u009f]{2,}))$";
/// Date and time of day, extended and basic, of [`Kind::Time`]. Of what is accepted it leaves out the 29th of
/// February, years that few will see, and that both forms may stand side by side.
const TIME: &str = "^(19[89][0-9]|[2-8][0-9]{3})(\
    -((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31\
    |W(0[1-9]|[1-4][0-9]|5[0-2])-[1-7]|(00[1-9]|0[1-9][0-9]|[12][0-9]{2}|3[0-5][0-9]|36[0-5]))\
    ([Tt ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]{1,12})?)?([Zz]|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?)?\
    |((0[1-9]|1[0-2])(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])(29|30)|(0[13578]|1[02])31)\
    ([Tt]([01][0-9]|2[0-3])[0-5][0-9]([0-5][0-9]([.,][0-9]{1,12})?)?([Zz]|[+-]([01][0-9]|2[0-3])([0-5][0-9])?)?)?)$";

/// Names of phases.
pub const PHASES: &[&str] = &[Phase::PreSync.as_str(), Phase::Cutover.as_str()];
/// Names of a migration's status in answers.
pub const STATUSES: &[&str] = &[
    Status::Scheduled.as_str(),
    Status::Sync.as_str(),
    Status::Success.as_str(),
    Status::Failure.as_str(),
    Status::Aborted.as_str(),
];
/// The same in filters, which know the original's other names, too.
pub const STATUS_FILTERS: &[&str] =
    &["SCHEDULED", "SYNC", "SUCCESS", "FAILURE", "ABORTED", "IN_PROGRESS", "FAILED"];

/// What a migration can be closed as.
pub const END_STATUSES: &[&str] = &["ABORTED", "FAILURE", "SUCCESS", "FAILED"];

/// The kind of value that a field takes. As text it completes "must be …".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A short text.
    Text,
    /// A text of so many bytes at most.
    TextOf {
        /// Longest text.
        limit: usize,
    },
    /// A name that can stand in a path and a command line, of so many bytes at most.
    Name {
        /// Longest name.
        limit: usize,
    },
    /// A short text that is no `.` and no `..`, which stand for something else in a path.
    Segment,
    /// A short text without `*` and `?`, which doveadm takes as a mask over users.
    TargetUid,
    /// The name of a Source.
    SourceName,
    /// Visible ASCII characters.
    Visible {
        /// Fewest of them.
        min: usize,
        /// Most of them.
        max: usize,
    },
    /// A text that is never shown.
    Secret,
    /// A whole number.
    Number {
        /// The smallest.
        min: u32,
        /// The largest.
        max: u32,
    },
    /// A TCP port.
    Port,
    /// `true` or `false`.
    Flag,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts, in large or small letters.
    AnyCaseOf(&'static [&'static str]),
    /// Several of these texts, separated by commas.
    SomeOf(&'static [&'static str]),
    /// Where the page before ended.
    Cursor,
    /// A list of short texts.
    Texts,
    /// A list of `key=value`.
    Assignments,
    /// One or more `name:value`, as a parameter that may stand there more than once.
    Tags,
    /// A point in time.
    Time,
    /// A program call.
    Command,
    /// A program call, or an empty object or text, which are none.
    OptionalCommand,
}

/// A field that a request may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Property {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// It must be there.
    pub required: bool,
    /// It may be null, which clears it, or is as good as leaving it out.
    pub nullable: bool,
    /// It may be given only as it is, so that what was read can be written back.
    pub read_only: bool,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text | Self::Segment => {
                write!(f, "a text of 1 to {TEXT_LIMIT} bytes without control characters")
            }
            Self::TextOf { limit } => write!(f, "a text of 1 to {limit} bytes without control characters"),
            Self::Name { limit } => write!(
                f,
                "a text of 1 to {limit} bytes, without slashes, control characters, spaces at its ends and a \
                 hyphen at its beginning"
            ),
            Self::TargetUid => write!(
                f,
                "a text of 1 to {TEXT_LIMIT} bytes without control characters, * and ? (which doveadm takes as a mask \
                 over users)"
            ),
            Self::SourceName => f.write_str("a text that matches [a-zA-Z0-9_]{1,48}"),
            Self::Visible { min, max } => write!(f, "{min} to {max} visible ASCII characters"),
            Self::Secret => write!(f, "a text of 1 to {SECRET_LIMIT} bytes without NUL"),
            Self::Number { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Port => f.write_str("a port from 1 to 65535"),
            Self::Flag => f.write_str("true or false"),
            Self::OneOf([all @ .., last]) | Self::AnyCaseOf([all @ .., last]) if !all.is_empty() => {
                write!(f, "{} or {last}", all.join(", "))
            }
            Self::OneOf(all) | Self::AnyCaseOf(all) => f.write_str(&all.join(", ")),
            Self::SomeOf(all) => write!(f, "one or more of {}, separated by commas", all.join(", ")),
            Self::Cursor => f.write_str("the nextCursor of an earlier page"),
            Self::Texts => write!(
                f,
                "a list of at most {TEXTS_LIMIT} texts of 1 to {TEXT_LIMIT} bytes without control characters"
            ),
            Self::Assignments => write!(
                f,
                "a list of at most {TEXTS_LIMIT} texts of the form key=value, of 1 to {TEXT_LIMIT} bytes without \
                 control characters"
            ),
            Self::Tags => f.write_str("texts of the form name:value"),
            Self::Time => f.write_str("a time such as 2024-05-01T22:00:00Z"),
            Self::Command | Self::OptionalCommand => f.write_str("a command"),
        }
    }
}

impl Kind {
    /// The JSON schema, without description and example. Lengths of texts are bytes here and characters
    /// there, which differs beyond ASCII.
    pub fn schema(self, nullable: bool) -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(types(Type::String, nullable)).min_length(Some(1));
        let pattern = |pattern: &str| text().pattern(Some(pattern));
        match self {
            Self::Text => pattern(NO_CONTROL).max_length(Some(TEXT_LIMIT)).into(),
            Self::TextOf { limit } => pattern(NO_CONTROL).max_length(Some(limit)).into(),
            Self::Segment => pattern(SEGMENT).max_length(Some(TEXT_LIMIT)).into(),
            Self::TargetUid => {
                pattern("^[^*?\\u0000-\\u001f\\u007f-\\u009f]+$").max_length(Some(TEXT_LIMIT)).into()
            }
            Self::Name { limit } => pattern(NAME).max_length(Some(limit)).into(),
            Self::SourceName => pattern("^[a-zA-Z0-9_]{1,48}$").max_length(Some(48)).into(),
            Self::Visible { min, max } => {
                pattern("^[!-~]+$").min_length(Some(min)).max_length(Some(max)).into()
            }
            Self::Secret => pattern("^[^\\u0000]+$").max_length(Some(SECRET_LIMIT)).write_only(true).into(),
            Self::Number { min, max } => number(min, max, nullable),
            Self::Port => number(1, u16::MAX.into(), nullable),
            Self::Flag => ObjectBuilder::new().schema_type(types(Type::Boolean, nullable)).into(),
            Self::OneOf(all) => one_of(all, nullable),
            Self::AnyCaseOf(all) => {
                let words: Vec<_> = all.iter().map(|word| any_case(word)).collect();
                pattern(&format!("^({})$", words.join("|"))).into()
            }
            Self::SomeOf(all) => {
                let one = format!("({})", all.join("|"));
                pattern(&format!("^{one}(,{one})*$")).into()
            }
            Self::Cursor => pattern("^[0-9]{1,19}$").max_length(Some(19)).into(),
            Self::Texts => texts(NO_CONTROL, nullable),
            Self::Assignments => {
                texts("^[A-Za-z0-9_./:@][A-Za-z0-9_./:@-]*=[^\\u0000-\\u001f\\u007f-\\u009f]*$", nullable)
            }
            Self::Tags => {
                let one = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[^:]+:"));
                ArrayBuilder::new().items(one).into()
            }
            // Any ISO-8601 form; the format `date-time` is but one of them.
            Self::Time => pattern(TIME).max_length(Some(TIME_LIMIT)).into(),
            Self::OptionalCommand => {
                let nothing = ObjectBuilder::new().schema_type(Type::Object).max_properties(Some(0));
                OneOfBuilder::new()
                    .item(Ref::from_schema_name("Command"))
                    .item(ObjectBuilder::new().schema_type(types(Type::String, true)).max_length(Some(0)))
                    .item(nothing)
                    .into()
            }
            Self::Command => Ref::from_schema_name("Command").into(),
        }
    }
}

/// This type, and null where that is allowed.
pub fn types(of: Type, nullable: bool) -> SchemaType {
    if nullable { SchemaType::from_iter([of, Type::Null]) } else { SchemaType::Type(of) }
}

/// One of these texts.
pub fn one_of(all: &[&str], nullable: bool) -> RefOr<Schema> {
    let values = all.iter().map(|value| json!(value)).chain(nullable.then_some(Value::Null));
    ObjectBuilder::new().schema_type(types(Type::String, nullable)).enum_values(Some(values)).into()
}

/// A pattern for a word in large or small letters.
fn any_case(word: &str) -> String {
    let letters = word.chars().map(|letter| match letter.to_ascii_lowercase() {
        small if small == letter => letter.to_string(),
        small => format!("[{letter}{small}]"),
    });
    letters.collect()
}

fn number(min: u32, max: u32, nullable: bool) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(types(Type::Integer, nullable))
        .minimum(Some(u64::from(min)))
        .maximum(Some(u64::from(max)))
        .into()
}

/// A list; one item may stand there as it is.
fn texts(pattern: &str, nullable: bool) -> RefOr<Schema> {
    let item = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(TEXT_LIMIT))
        .pattern(Some(pattern))
        .build();
    let list = ArrayBuilder::new().items(item.clone()).max_items(Some(TEXTS_LIMIT));
    let choice = OneOfBuilder::new().item(list).item(item);
    // Apart, since RapiDoc can't show an array that may be null among others.
    if nullable { choice.item(ObjectBuilder::new().schema_type(Type::Null)).into() } else { choice.into() }
}
