//! The deprecated v1 of the API: the same handlers under paths without a version. Its answers hold every
//! key, its bodies may hold unknown fields, and its only target is `default`.

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, Uri, header, request::Parts},
    middleware::Next,
    response::Response,
};
use serde_json::{Map, Value, json};

use super::{
    access::AskedPath,
    error::{ApiError, Result},
    versioning::{Version, Versioning},
};
use crate::app::App;

tokio::task_local! {
    /// Set while a request of v1 is answered.
    static ALL_KEYS: ();
}

/// Whether the answer at hand prints keys without a value.
pub fn prints_nulls() -> bool {
    ALL_KEYS.try_with(|()| ()).is_ok()
}

/// How a request is read and answered; v2 needs none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// Unknown fields are no fault.
    pub lenient: bool,
    /// The request is one of v1.
    is_v1: bool,
}

impl Reading {
    /// What v1 makes of the fields of a body: it knows no target but `default`, where every user with a
    /// place belongs.
    pub fn complete(self, object: &mut Map<String, Value>) {
        if !self.is_v1 {
            return;
        }
        object.shift_remove("target");
        if object.contains_key("targetUid") {
            object.insert("target".to_owned(), json!("default"));
        }
    }

    /// Runs what writes a part of the answer, so that it prints the keys that its version has.
    pub async fn answer<F: Future>(self, part: F) -> F::Output {
        if self.is_v1 { ALL_KEYS.scope((), part).await } else { part.await }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Reading {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().copied().unwrap_or_default())
    }
}

const CUSTOMER: &str = "/dmf/api/";
const ADMIN: &str = "/dmf/admin/api/";
/// When v1 became deprecated: it is so in the manual of 2021 (RFC 9745: seconds since 1970).
const DEPRECATED_SINCE: &str = "@1618531200";

/// How a request reaches its handler.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// As it is: its path is one of v2, or none of the API.
    Straight,
    /// With this path of v2, as one of v1.
    AsV1(String),
    /// With this path of v2, since its own has no version.
    AsV2(String),
}

fn way(path: &str, wanted: impl FnOnce() -> Result<Version>) -> Result<Way> {
    let Some((base, rest)) =
        [CUSTOMER, ADMIN].into_iter().find_map(|base| Some((base, path.strip_prefix(base)?)))
    else {
        return Ok(Way::Straight);
    };
    if rest.starts_with("v2/") {
        return Ok(Way::Straight);
    }
    if let Some(rest) = rest.strip_prefix("v1/") {
        return Ok(Way::AsV1(format!("{base}v2/{rest}")));
    }
    let path = format!("{base}v2/{rest}");
    Ok(match wanted()? {
        Version::One => Way::AsV1(path),
        Version::Two => Way::AsV2(path),
    })
}

/// Middleware before the routes: brings requests of v1 to the handlers of v2.
pub async fn adapt(State(app): State<App>, mut request: Request, next: Next) -> Result<Response> {
    let uri = request.uri();
    let way = way(uri.path(), || app.versioning.of(request.headers(), uri.query()))?;
    let reading = match &way {
        Way::AsV1(_) => Reading { lenient: true, is_v1: true },
        Way::Straight | Way::AsV2(_) => Reading { lenient: app.ignore_unknown_fields, is_v1: false },
    };
    if let Way::AsV1(path) | Way::AsV2(path) = &way {
        let asked = AskedPath(uri.path().to_owned());
        *request.uri_mut() = with_path(uri, path, &app.versioning)?;
        request.extensions_mut().insert(asked);
    }
    request.extensions_mut().insert(reading);
    let Way::AsV1(successor) = way else { return Ok(next.run(request).await) };
    let mut response = reading.answer(next.run(request)).await;
    mark(response.headers_mut(), &successor);
    Ok(response)
}

fn with_path(uri: &Uri, path: &str, versioning: &Versioning) -> Result<Uri> {
    let query = uri.query().map(|query| format!("?{}", versioning.strip(query))).unwrap_or_default();
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
    fn paths() {
        let find = |path: &str, wanted| way(path, || Ok(wanted)).unwrap();
        let one = |path: &str| Way::AsV1(path.to_owned());
        assert_eq!(find("/dmf/api/users", Version::One), one("/dmf/api/v2/users"));
        assert_eq!(find("/dmf/api/v1/users", Version::Two), one("/dmf/api/v2/users"));
        assert_eq!(find("/dmf/admin/api/sources", Version::One), one("/dmf/admin/api/v2/sources"));
        assert_eq!(find("/dmf/api/users/v2/x", Version::One), one("/dmf/api/v2/users/v2/x"));
        assert_eq!(find("/dmf/api/users", Version::Two), Way::AsV2("/dmf/api/v2/users".to_owned()));
        for path in ["/dmf/api/v2/users", "/dmf/admin/api/v2/sources", "/health", "/dmf", "/dmf/api"] {
            assert_eq!(find(path, Version::One), Way::Straight, "{path}");
        }
    }
}
