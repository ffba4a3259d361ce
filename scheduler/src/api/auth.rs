//! Who may call: the admin by HTTP Basic, customers by their API key.

use std::net::IpAddr;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
    middleware::Next,
    response::Response,
};
use base64::Engine as _;
use dmf_shared::{
    crypto::{equal_in_constant_time, hash_api_key},
    store::Source,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    deadline::in_time,
    error::{ApiError, Result},
    peer::Peer,
};
use crate::app::App;

/// The one admin. Without one, every admin route answers 401.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Name.
    pub username: String,
    /// Password.
    pub password: SecretString,
}

impl Admin {
    /// Compares name and password in constant time.
    fn matches(&self, username: &str, password: &str) -> bool {
        let name = equal_in_constant_time(username, &self.username);
        let password = equal_in_constant_time(password, self.password.expose_secret());
        name & password
    }
}

/// Whether the request carries the admin's credentials; 429 when they are not heard from there.
fn is_admin(app: &App, request: &Request) -> Result<bool> {
    let Some(admin) = &app.admin else { return Ok(false) };
    let Some((username, password)) = basic_credentials(request.headers()) else { return Ok(false) };
    if !admin.matches(&username, &password) {
        return Ok(false);
    }
    app.limits.admit_admin(address(request)).map_err(ApiError::too_many)?;
    Ok(true)
}

/// The same for a route that answers everybody, and the admin with more: wrong credentials count, and are
/// refused once there were too many.
pub fn is_admin_here(app: &App, request: &Request) -> Result<bool> {
    let is_admin = is_admin(app, request)?;
    if !is_admin {
        count_wrong(app, request)?;
    }
    Ok(is_admin)
}

/// The value of a header that stands there once; two are no credentials, since others on the way may
/// have looked at the other one.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// User and password of an `Authorization: Basic` header.
fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = single(headers, &header::AUTHORIZATION)?;
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

/// Middleware before every admin route.
pub async fn require_admin(State(app): State<App>, request: Request, next: Next) -> Result<Response> {
    if is_admin(&app, &request)? { Ok(next.run(request).await) } else { Err(wrong(&app, &request)) }
}

/// Where the request comes from.
fn address(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<Peer>().map(|peer| peer.0)
}

/// Counts wrong credentials; a request without any is no guess.
fn count_wrong(app: &App, request: &Request) -> Result<()> {
    let headers = request.headers();
    if !headers.contains_key(header::AUTHORIZATION) && !headers.contains_key(&app.api_key_header) {
        return Ok(());
    }
    tracing::warn!(from = ?address(request), "wrong credentials");
    app.limits.count_wrong(address(request)).map_err(ApiError::too_many)
}

/// What wrong credentials are told, and none.
fn wrong(app: &App, request: &Request) -> ApiError {
    count_wrong(app, request).err().unwrap_or_else(ApiError::unauthorized)
}

/// The Source of the request's API key with the key's own limit, if it has a valid one.
async fn source_of_key(app: &App, headers: &HeaderMap) -> Result<Option<(Source, Option<u32>)>> {
    let Some(key) = single(headers, &app.api_key_header) else { return Ok(None) };
    let Ok(key) = key.to_str() else { return Ok(None) };
    in_time(async { Ok(app.store.customer_by_api_key(hash_api_key(key)).await?) }).await
}

/// Middleware before every customer route; handlers get the [`Customer`] from it.
pub async fn require_customer(State(app): State<App>, mut request: Request, next: Next) -> Result<Response> {
    let Some((source, limit)) = source_of_key(&app, request.headers()).await? else {
        return Err(wrong(&app, &request));
    };
    app.limits.count(source.id, limit).map_err(ApiError::too_many)?;
    request.extensions_mut().insert(Customer(source));
    Ok(next.run(request).await)
}

/// A customer: the Source that the API key belongs to.
#[derive(Debug, Clone)]
pub struct Customer(pub Source);

impl<S: Send + Sync> FromRequestParts<S> for Customer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        parts.extensions.get().cloned().ok_or_else(ApiError::unauthorized)
    }
}

/// Answers what no route matches: 404 to those with credentials, 401 to everybody else, so that
/// nobody can find out which routes there are.
pub async fn unknown_url(State(app): State<App>, request: Request) -> Result<Response> {
    if is_admin(&app, &request)? || source_of_key(&app, request.headers()).await?.is_some() {
        Err(ApiError::new(axum::http::StatusCode::NOT_FOUND, "Page Not Found"))
    } else {
        Err(wrong(&app, &request))
    }
}
