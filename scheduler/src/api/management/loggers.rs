//! `/loggers` and `/loggers/{name}`

use dmf_shared::ops::log_level::LogLevel;
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, Ref, RefOr, Schema, Type},
};

use crate::api::{
    fields::{Fields, Given},
    kind::{self, Kind},
    openapi::{Answer, Body, Doc, Tag},
};

/// The words for a level; the last one is for a logger that has none of its own.
const LEVELS: &[&str] = &["ALL", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "OFF", "NOT_SPECIFIED"];

/// What the document says of `GET /loggers`.
pub const LIST: Doc = Doc {
    id: "listLoggers",
    summary: "List the levels of loggers",
    description: "The levels that there are, and the loggers that have one of their own.",
    tag: Tag::Management,
    query: None,
    body: None,
    answers: &[Answer::json::<Loggers>(200, "Levels and loggers.")],
    refuses: &[],
};

/// What the document says of `GET /loggers/{name}`.
pub const READ: Doc = Doc {
    id: "readLogger",
    summary: "Show the level of a logger",
    description: "Every name is that of a logger; without a level of its own it has that of the one above.",
    answers: &[Answer::json::<Logger>(200, "Its level.")],
    ..LIST
};

/// What the document says of `POST /loggers/{name}`.
pub const SET: Doc = Doc {
    id: "setLogger",
    summary: "Set the level of a logger",
    description: "Until the process ends. null and NOT_SPECIFIED take the level away, but not that of ROOT.",
    body: Some(Body::OptionalJson(|fields| {
        read(fields);
    })),
    answers: &[Answer::empty(200, "It is set.")],
    ..LIST
};

/// The level as the handler reads it, which is not this process's alone.
fn read(fields: &mut Fields) -> Given<LogLevel> {
    fields.parsed("configuredLevel", Kind::AnyCaseOf(LEVELS), |text| text.parse().ok())
}

/// All loggers.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "its fields are read by the derived schema only")]
pub struct Loggers {
    #[schema(schema_with = levels)]
    levels: Vec<String>,
    #[schema(schema_with = by_name)]
    loggers: Value,
}

/// The level of one logger.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "its fields are read by the derived schema only")]
pub struct Logger {
    #[schema(schema_with = level)]
    configured_level: String,
    #[schema(schema_with = level)]
    effective_level: String,
}

fn level() -> RefOr<Schema> {
    kind::one_of(LEVELS, false)
}

fn levels() -> RefOr<Schema> {
    ArrayBuilder::new().items(level()).into()
}

fn by_name() -> RefOr<Schema> {
    let one = Ref::from_schema_name("Logger");
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(RefOr::<Schema>::from(one)))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_documented() {
        let known: Vec<_> = LogLevel::LISTED.into_iter().map(LogLevel::as_str).collect();
        assert_eq!(LEVELS.split_last(), Some((&"NOT_SPECIFIED", &known[..])));
    }
}
