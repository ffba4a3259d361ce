//! Who may call: the admin by HTTP Basic, customers by their API key.

use std::net::IpAddr;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use dmf_shared::{
    crypto::hash_api_key,
    ops::http::{Peer, Problem, single_header},
    store::Source,
};

use super::{
    deadline::in_time,
    error::{ApiError, Result},
};
use crate::app::App;

/// Whether the request carries the admin's credentials; 429 when they are not heard from there.
pub fn is_admin(app: &App, request: &Request) -> Result<bool> {
    let Some(admin) = &app.admin else { return Ok(false) };
    if !admin.is_named_in(request.headers()) {
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
pub fn wrong(app: &App, request: &Request) -> ApiError {
    count_wrong(app, request).err().unwrap_or_else(ApiError::unauthorized)
}

/// The Source of the request's API key with the key's own limit, if it has a valid one.
async fn source_of_key(app: &App, headers: &HeaderMap) -> Result<Option<(Source, Option<u32>)>> {
    let Some(key) = single_header(headers, &app.api_key_header) else { return Ok(None) };
    let Ok(key) = key.to_str() else { return Ok(None) };
    in_time(async { Ok(app.store.customer_by_api_key(hash_api_key(key)).await?) }).await
}

/// Whether the request carries the API key of a Source.
pub async fn is_customer(app: &App, headers: &HeaderMap) -> Result<bool> {
    Ok(source_of_key(app, headers).await?.is_some())
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

/// Answers what no route matches: 404 to those with credentials, 401 to everybody else, so that nobody can
/// find out which routes there are; unless the configuration has it otherwise.
pub async fn unknown_url(State(app): State<App>, request: Request) -> Result<Response> {
    if is_admin(&app, &request)? || is_customer(&app, request.headers()).await? || !app.access.hides_unknown {
        return Ok(Problem::no_such_page().into_response());
    }
    Err(wrong(&app, &request))
}
