//! The router and what its handlers share; built in tests without a socket.

use std::sync::Arc;

use axum::{
    Router,
    http::HeaderName,
    middleware::{from_fn, from_fn_with_state},
    routing::{get, put},
};
use dmf_shared::{crypto::KeyRing, ops::health::Health, queue::Queue, store::Store};
use tokio::sync::Notify;
use tower_http::{catch_panic::CatchPanicLayer, request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer}};

use crate::api::{
    admin::{backends, sourcehosts, sources, targets},
    auth::{self, Admin},
    error, health, migrations, trace,
};

/// What every handler may use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    /// MariaDB.
    pub store: Store,
    /// Redis; handlers never wait for it.
    pub queue: Queue,
    /// Keys that seal users' passwords; empty when not configured.
    pub keys: Arc<KeyRing>,
    /// The admin; none when not configured.
    pub admin: Option<Arc<Admin>>,
    /// The header of the customers' API key.
    pub api_key_header: HeaderName,
    /// Wakes the relay after a commit.
    pub relay: Arc<Notify>,
    /// The health indicators.
    pub health: Health,
}

fn admin_routes(app: &App) -> Router<App> {
    let source = "/sources/{source}";
    let hosts = "/sources/{source}/sourcehosts";
    Router::new()
        .route("/sources", get(sources::list::list).post(sources::create::create))
        .route(source, get(sources::read::read))
        .route(hosts, get(sourcehosts::list::list).post(sourcehosts::create::create))
        .route(&format!("{hosts}/{{host}}"), get(sourcehosts::read::read))
        .route("/targets", get(targets::list::list).post(targets::create::create))
        .route("/targets/{target}", get(targets::read::read))
        .route("/targets/{target}/backends", get(backends::list::of_target))
        .route("/targets/{target}/backends/{name}", get(backends::read::read))
        .route("/backends", get(backends::list::all))
        .route_layer(from_fn_with_state(app.clone(), auth::require_admin))
}

fn customer_routes() -> Router<App> {
    let user = "/users/{source_uid}/migrations";
    Router::new()
        .route("/users/migrations", axum::routing::post(migrations::submit::submit))
        .route(user, get(migrations::history::history))
        .route(&format!("{user}/latest"), get(migrations::latest::latest))
        .route(&format!("{user}/{{id}}"), get(migrations::read::read))
        .route(&format!("{user}/close/latest/as/{{status}}"), put(migrations::close::close))
}

/// The whole API.
pub fn router(app: App) -> Router {
    let request_id = HeaderName::from_static("x-request-id");
    Router::new()
        .nest("/dmf/admin/api/v2", admin_routes(&app))
        .nest("/dmf/api/v2", customer_routes())
        .route("/health", get(health::health))
        .fallback(auth::unknown_url)
        .layer(from_fn(trace::in_span))
        .layer(CatchPanicLayer::custom(trace::panicked))
        .layer(from_fn(error::render))
        .layer(PropagateRequestIdLayer::new(request_id.clone()))
        .layer(SetRequestIdLayer::new(request_id, MakeRequestUuid))
        .with_state(app)
}
