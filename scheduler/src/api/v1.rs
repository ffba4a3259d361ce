//! The deprecated v1 of the API: the same handlers under paths without a version. Its answers hold every
//! key, its bodies may hold unknown fields, and its only target is `default`.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Uri, header},
    middleware::Next,
    response::Response,
};
use serde_json::{Map, Value, json};

use super::error::{ApiError, Result};
use crate::app::App;

tokio::task_local! {
    /// Set while a request of v1 is answered.
    static ALL_KEYS: ();
}

/// Whether the answer at hand prints keys without a value.
pub fn prints_nulls() -> bool {
    ALL_KEYS.try_with(|()| ()).is_ok()
}

/// How the body and the query of a request are read; v2 needs none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// Unknown fields are no fault.
    pub lenient: bool,
    /// A user that is described whole belongs to the target `default`.
    default_target: bool,
}

impl Reading {
    /// What v1 adds to a body.
    pub fn complete(self, object: &mut Map<String, Value>) {
        if self.default_target && object.contains_key("targetUid") {
            object.insert("target".to_owned(), json!("default"));
        }
    }
}

const CUSTOMER: &str = "/dmf/api/";
const ADMIN: &str = "/dmf/admin/api/";
/// When v1 became deprecated: it is so in the manual of 2021 (RFC 9745: seconds since 1970).
const DEPRECATED_SINCE: &str = "@1618531200";

/// Which version a request is for.
#[derive(Debug, PartialEq, Eq)]
enum Version {
    /// A path of v1, and the same one of v2.
    One(String),
    /// A path without a version, of which the header says v2.
    Two(String),
    /// Nothing to be done: a path of v2, or none of the API.
    AsItIs,
}

fn version(path: &str, wanted: Option<&str>) -> Option<Version> {
    let Some((base, rest)) =
        [CUSTOMER, ADMIN].into_iter().find_map(|base| Some((base, path.strip_prefix(base)?)))
    else {
        return Some(Version::AsItIs);
    };
    if rest.starts_with("v2/") {
        return Some(Version::AsItIs);
    }
    if let Some(rest) = rest.strip_prefix("v1/") {
        return Some(Version::One(format!("{base}v2/{rest}")));
    }
    let path = format!("{base}v2/{rest}");
    match wanted.map(|wanted| wanted.trim().to_ascii_lowercase()).as_deref() {
        None | Some("" | "1" | "v1") => Some(Version::One(path)),
        Some("2" | "v2") => Some(Version::Two(path)),
        Some(_) => None,
    }
}

fn wanted(headers: &HeaderMap) -> Option<&str> {
    let mut values = ["x-api-version", "accept-version"].into_iter().filter_map(|name| headers.get(name));
    values.next().and_then(|value| value.to_str().ok())
}

/// Middleware before the routes: brings requests of v1 to the handlers of v2.
pub async fn adapt(State(app): State<App>, mut request: Request, next: Next) -> Result<Response> {
    let mut reading = Reading { lenient: app.ignore_unknown_fields, default_target: false };
    let Some(version) = version(request.uri().path(), wanted(request.headers())) else {
        return Err(ApiError::bad_request("X-API-VERSION, Accept-Version: must be v1 or v2"));
    };
    let path = match &version {
        Version::AsItIs => None,
        Version::One(path) | Version::Two(path) => Some(path),
    };
    if let Some(path) = path {
        *request.uri_mut() = with_path(request.uri(), path)?;
    }
    if let Version::One(path) = &version {
        reading.lenient = true;
        reading.default_target =
            ["users", "users/migrations"].map(|end| format!("{CUSTOMER}v2/{end}")).contains(path);
    }
    request.extensions_mut().insert(reading);
    let Version::One(successor) = version else { return Ok(next.run(request).await) };
    let mut response = ALL_KEYS.scope((), next.run(request)).await;
    mark(response.headers_mut(), &successor);
    Ok(response)
}

fn with_path(uri: &Uri, path: &str) -> Result<Uri> {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{path}{query}").parse().map_err(|_| ApiError::bad_request("The path is not a valid one"))
}

/// Says that the answer is one of v1, and where v2 is; brings its `Location` back to v1.
fn mark(headers: &mut HeaderMap, successor: &str) {
    headers.insert("deprecation", HeaderValue::from_static(DEPRECATED_SINCE));
    if let Ok(link) = HeaderValue::from_str(&format!("<{successor}>; rel=\"successor-version\"")) {
        headers.insert(header::LINK, link);
    }
    let location = headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
    let location = location.map(|location| location.replacen("/api/v2/", "/api/", 1));
    if let Some(Ok(location)) = location.map(|location| HeaderValue::from_str(&location)) {
        headers.insert(header::LOCATION, location);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let one = |path: &str| Some(Version::One(path.to_owned()));
        assert_eq!(version("/dmf/api/users", None), one("/dmf/api/v2/users"));
        assert_eq!(version("/dmf/api/v1/users", Some("v2")), one("/dmf/api/v2/users"));
        assert_eq!(version("/dmf/admin/api/sources", Some("V1")), one("/dmf/admin/api/v2/sources"));
        assert_eq!(version("/dmf/api/users/v2/x", None), one("/dmf/api/v2/users/v2/x"));
        let two = Some(Version::Two("/dmf/api/v2/users".to_owned()));
        assert_eq!(version("/dmf/api/users", Some("2")), two);
        assert_eq!(version("/dmf/api/users", Some("v3")), None);
        for path in ["/dmf/api/v2/users", "/dmf/admin/api/v2/sources", "/health", "/dmf", "/dmf/api"] {
            assert_eq!(version(path, Some("v1")), Some(Version::AsItIs), "{path}");
        }
    }
}
