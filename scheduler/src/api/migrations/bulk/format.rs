//! From a line to the fields of a submit.

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};

use crate::api::{
    csv,
    error::{ApiError, Result},
};

/// The columns that a file may have: the fields of a submit.
const COLUMNS: [&str; 15] = [
    "sourceUid",
    "phase",
    "priority",
    "notBefore",
    "force",
    "targetUid",
    "target",
    "sourcehost",
    "sourceport",
    "email",
    "password",
    "container",
    "imapcOptions",
    "useImapcSsl",
    "excludeFolders",
];
/// The columns without which no line can be a submit.
const REQUIRED: [&str; 2] = ["sourceUid", "phase"];

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// The names of the columns.
    Columns,
    /// The fields of a submit.
    Fields(Map<String, Value>),
    /// No submit.
    Refused(String),
    /// No line of column names: nothing that follows can be read.
    Stop(String),
}

/// How the input is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON object a line.
    Ndjson,
    /// Comma-separated values; the first line names the fields, and is none until it was read.
    Csv(Option<Vec<String>>),
}

impl Format {
    /// By `Content-Type`; 415 for any other one.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self> {
        let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        match &essence.to_ascii_lowercase()[..] {
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Self::Ndjson),
            "text/csv" => Ok(Self::Csv(None)),
            _ => Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Content-Type must be application/x-ndjson or text/csv",
            )),
        }
    }

    /// Whether line ends within quotes belong to a line.
    pub(super) const fn is_csv(&self) -> bool {
        matches!(self, Self::Csv(_))
    }

    /// What a line is; with `lenient`, columns that are no field are passed over.
    pub(super) fn read(&mut self, line: &[u8], lenient: bool) -> Read {
        match self {
            Self::Ndjson => read_json(line).map_or_else(Read::Refused, Read::Fields),
            Self::Csv(Some(columns)) => read_csv(columns, line).map_or_else(Read::Refused, Read::Fields),
            Self::Csv(columns) => match read_columns(line, lenient) {
                Ok(names) => {
                    *columns = Some(names);
                    Read::Columns
                }
                Err(error) => Read::Stop(format!("the first line must hold the names of columns: {error}")),
            },
        }
    }

    /// Whether the next line names the columns.
    pub(super) const fn awaits_columns(&self) -> bool {
        matches!(self, Self::Csv(None))
    }
}

/// The names in the first line. What stands there instead is not repeated: it may be a user's password.
fn read_columns(line: &[u8], lenient: bool) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is no UTF-8".to_owned())?;
    let names = csv::parse(text).map_err(|malformed| format!("it is no CSV: {malformed}"))?;
    let names: Vec<String> = names.into_iter().map(|name| name.trim().to_owned()).collect();
    let mut errors = Vec::new();
    for (index, name) in names.iter().enumerate() {
        if !COLUMNS.contains(&&name[..]) {
            if !lenient {
                errors.push(format!("column {} is no field of a submit", index + 1));
            }
        } else if names[..index].contains(name) {
            errors.push(format!("column {} names a field that an earlier one names", index + 1));
        }
    }
    errors.truncate(20);
    let missing = REQUIRED.iter().filter(|field| !names.iter().any(|name| name == *field));
    errors.extend(missing.map(|field| format!("{field} is missing")));
    if errors.is_empty() { Ok(names) } else { Err(errors.join(", ")) }
}

fn read_json(line: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(line) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("the line must be a JSON object".to_owned()),
        // serde's own text could repeat a part of the line, and so a password.
        Err(error) => Err(format!("the line is not valid JSON: error at column {}", error.column())),
    }
}

fn read_csv(columns: &[String], line: &[u8]) -> Result<Map<String, Value>, String> {
    let text = std::str::from_utf8(line).map_err(|_| "the line is no UTF-8".to_owned())?;
    let cells = csv::parse(text).map_err(|malformed| format!("the line is no CSV: {malformed}"))?;
    if cells.len() != columns.len() {
        return Err(format!("the line has {} fields and not {}", cells.len(), columns.len()));
    }
    let given = columns.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
    Ok(given.map(|(column, cell)| (column.clone(), value(column, cell))).collect())
}

/// A cell as the value that its field takes; a list of several is a JSON array.
fn value(column: &str, cell: String) -> Value {
    let parsed = match column {
        "priority" | "force" => cell.to_ascii_lowercase().parse().ok().map(Value::Bool),
        "sourceport" => cell.parse::<u16>().ok().map(Value::from),
        "imapcOptions" | "excludeFolders" if cell.starts_with('[') => serde_json::from_str(&cell).ok(),
        _ => None,
    };
    parsed.unwrap_or(Value::String(cell))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        let of =
            |value: &str| Format::of(&HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]));
        assert_eq!(of("application/x-ndjson").unwrap(), Format::Ndjson);
        assert_eq!(of("Text/CSV; charset=utf-8").unwrap(), Format::Csv(None));
        assert!(of("application/json").is_err());
        assert!(Format::of(&HeaderMap::new()).is_err());
    }

    #[test]
    fn cells_become_values() {
        assert_eq!(value("priority", "true".into()), Value::Bool(true));
        assert_eq!(value("force", "FALSE".into()), Value::Bool(false));
        assert_eq!(value("priority", "yes".into()), "yes");
        assert_eq!(value("sourceport", "143".into()), 143);
        assert_eq!(value("excludeFolders", "[\"a\",\"b\"]".into()), serde_json::json!(["a", "b"]));
        assert_eq!(value("excludeFolders", "Trash".into()), "Trash");
        assert_eq!(value("targetUid", "12".into()), "12");
    }

    #[test]
    fn the_first_line_names_fields_and_is_not_repeated() {
        let columns = |line: &str, lenient| Format::Csv(None).read(line.as_bytes(), lenient);
        assert_eq!(columns("phase, sourceUid ,password", false), Read::Columns);
        let first = "the first line must hold the names of columns";
        for (line, error) in [
            (
                "alice,PRE_SYNC,hunter2",
                "column 1 is no field of a submit, column 2 is no field of a submit, column 3 is no field of a submit, sourceUid is missing, phase is missing",
            ),
            ("sourceUid,phase,phase", "column 3 names a field that an earlier one names"),
            ("sourceUid,phase,,Target", "column 3 is no field of a submit, column 4 is no field of a submit"),
            ("sourceUid,\"phase", "it is no CSV: a quote is not closed"),
        ] {
            assert_eq!(columns(line, false), Read::Stop(format!("{first}: {error}")));
        }
        assert_eq!(columns("sourceUid,phase,colour", true), Read::Columns);
        let stopped = Read::Stop(format!("{first}: sourceUid is missing, phase is missing"));
        assert_eq!(columns("alice,PRE_SYNC", true), stopped);
    }
}
