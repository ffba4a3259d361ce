//! The query of a request as fields.

use axum::{
    extract::{FromRequestParts, Query as Pairs},
    http::request::Parts,
};
use serde_json::{Map, Value};

use super::{error::ApiError, fields::Fields, kind::Kind, v1::Reading};

/// The parameters of a query, each at most once; unknown ones are refused when the fields are finished.
pub struct Query(pub Fields);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let pairs = Pairs::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::bad_request("The query must be percent-encoded UTF-8"))?;
        let mut object = Map::new();
        for (name, value) in pairs.0 {
            if object.insert(name.clone(), Value::String(value)).is_some() {
                let name: String = name.chars().take(64).collect();
                return Err(ApiError::bad_request(format!("{name}: must be given once")));
            }
        }
        let reading = parts.extensions.get::<Reading>().copied().unwrap_or_default();
        Ok(Self(Fields::new(object).lenient(reading.lenient)))
    }
}

/// Which page of a list is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// At most so many rows.
    pub limit: u32,
    /// The last row of the page before.
    pub cursor: Option<u64>,
}

/// Rows of a page unless the client says otherwise.
const DEFAULT_LIMIT: u32 = 100;
/// Most rows of a page.
pub const MAX_LIMIT: u32 = 1000;

impl Page {
    /// The cursor of the page after these rows, when there may be one.
    pub fn next(&self, rows: impl ExactSizeIterator<Item = u64>) -> Option<String> {
        let full = rows.len() >= self.limit as usize;
        rows.last().filter(|_| full).map(|id| id.to_string())
    }
}

impl Fields {
    /// `limit` and `cursor`. A cursor is what the page before gave, and means nothing else.
    pub fn page(&mut self) -> Page {
        let limit = self.parsed("limit", Kind::Number { min: 1, max: MAX_LIMIT }, |text| {
            text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit))
        });
        let cursor = self.parsed("cursor", Kind::Cursor, |text| text.parse().ok());
        Page { limit: limit.value().unwrap_or(DEFAULT_LIMIT), cursor: cursor.value() }
    }

    /// `true` or `false`, as a parameter of a query.
    pub fn switch(&mut self, field: &'static str) -> bool {
        let given = self.parsed(field, Kind::Flag, |text| text.parse().ok());
        given.value().unwrap_or(false)
    }
}
