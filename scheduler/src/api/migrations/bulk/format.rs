//! From a line to the fields of a submit.

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};

use crate::api::{
    csv,
    error::{ApiError, Result},
    fields::Fields,
};

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

    /// The fields of a line, or what is wrong with it; none for the line that names the columns.
    pub(super) fn read(&mut self, line: &[u8]) -> Option<Result<Fields, String>> {
        match self {
            Self::Ndjson => Some(read_json(line)),
            Self::Csv(Some(columns)) => Some(read_csv(columns, line)),
            Self::Csv(columns) => {
                let text = std::str::from_utf8(line).map(|text| text.trim_start_matches('\u{feff}'));
                match text.map(csv::parse) {
                    Ok(Ok(names)) => {
                        *columns = Some(names.iter().map(|name| name.trim().to_owned()).collect());
                        None
                    }
                    Ok(Err(malformed)) => {
                        Some(Err(format!("the line of column names is no CSV: {malformed}")))
                    }
                    Err(_) => Some(Err("the line of column names is no UTF-8".to_owned())),
                }
            }
        }
    }
}

fn read_json(line: &[u8]) -> Result<Fields, String> {
    match serde_json::from_slice(line) {
        Ok(Value::Object(object)) => Ok(Fields::new(object)),
        Ok(_) => Err("the line must be a JSON object".to_owned()),
        // serde's own text could repeat a part of the line, and so a password.
        Err(error) => Err(format!("the line is not valid JSON: error at column {}", error.column())),
    }
}

fn read_csv(columns: &[String], line: &[u8]) -> Result<Fields, String> {
    let text = std::str::from_utf8(line).map_err(|_| "the line is no UTF-8".to_owned())?;
    let cells = csv::parse(text).map_err(|malformed| format!("the line is no CSV: {malformed}"))?;
    if cells.len() != columns.len() {
        return Err(format!("the line has {} fields and not {}", cells.len(), columns.len()));
    }
    let given = columns.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
    let object: Map<_, _> = given.map(|(column, cell)| (column.clone(), value(column, cell))).collect();
    Ok(Fields::new(object))
}

/// A cell as the value that its field takes; a list of several is a JSON array.
fn value(column: &str, cell: String) -> Value {
    let parsed = match column {
        "priority" | "force" => cell.parse().ok().map(Value::Bool),
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
        assert_eq!(value("priority", "yes".into()), "yes");
        assert_eq!(value("sourceport", "143".into()), 143);
        assert_eq!(value("excludeFolders", "[\"a\",\"b\"]".into()), serde_json::json!(["a", "b"]));
        assert_eq!(value("excludeFolders", "Trash".into()), "Trash");
        assert_eq!(value("targetUid", "12".into()), "12");
    }
}
