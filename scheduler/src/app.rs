//! The router and what its handlers share; built in tests without a socket.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::DefaultBodyLimit,
    http::HeaderName,
    middleware::{from_fn, from_fn_with_state},
};
use dmf_shared::{
    crypto::KeyRing,
    ops::http::{AccessRules, Admin, Management, TrustedProxies, peer},
    queue::Queue,
    store::Store,
};
use tokio::sync::Notify;
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
};

use crate::{
    api::{
        access, auth,
        crowding::{self, Room},
        encoding, error, json,
        limits::RateLimits,
        pages::{self, Document, Pages},
        routes, trace, uri, v1,
        versioning::Versioning,
    },
    schema::Schema,
    submitter::Submitter,
    summaries::Summaries,
};

/// What every handler may use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    /// MariaDB.
    pub store: Store,
    /// Whether its schema is there.
    pub schema: Schema,
    /// Redis; handlers never wait for it.
    pub queue: Queue,
    /// Keys that seal users' passwords; empty when not configured.
    pub keys: Arc<KeyRing>,
    /// The admin; none when not configured.
    pub admin: Option<Arc<Admin>>,
    /// The header of the customers' API key.
    pub api_key_header: HeaderName,
    /// Unknown fields of a body are no fault; otherwise they are in v2.
    pub ignore_unknown_fields: bool,
    /// Where a request may say its version.
    pub versioning: Arc<Versioning>,
    /// How much each may ask.
    pub limits: Arc<RateLimits>,
    /// How many requests may be answered at a time.
    pub room: Arc<Room>,
    /// Whose word on the client's address is taken.
    pub trusted_proxies: Arc<TrustedProxies>,
    /// Single submits.
    pub submitter: Arc<Submitter>,
    /// Figures over whole journals.
    pub summaries: Arc<Summaries>,
    /// Wakes the relay after a commit.
    pub relay: Arc<Notify>,
    /// A worker that was silent for so long counts as dead: the time after which its leases are.
    pub silence: Duration,
    /// Who may see what by the configuration.
    pub access: Arc<AccessRules>,
    /// What the management endpoints tell of.
    pub management: Management,
    /// The pages that show the API.
    pub pages: Arc<Pages>,
}

/// The whole API.
pub fn router(app: App) -> Router {
    let request_id = HeaderName::from_static("x-request-id");
    let routes = routes::router(&app)
        .merge(pages::router(&app.pages))
        .fallback(auth::unknown_url)
        .layer(Extension(app.management.clone()))
        .layer(Extension(Document::new(&app.api_key_header)))
        .layer(from_fn_with_state(app.clone(), access::check))
        .layer(DefaultBodyLimit::max(json::BODY_LIMIT))
        .layer(CatchPanicLayer::custom(trace::panicked))
        .layer(from_fn_with_state(app.clone(), crowding::admit))
        .layer(from_fn(uri::refuse_too_long))
        .layer(from_fn(trace::in_span))
        .layer(from_fn_with_state(app.trusted_proxies.clone(), peer::identify))
        .with_state(app.clone());
    // Around the routes as a whole: a layer of theirs would not see the `Allow` of a 405.
    Router::new()
        .fallback_service(routes)
        .layer(from_fn_with_state(app, v1::adapt))
        .layer(from_fn(error::render))
        .layer(encoding::compression())
        .layer(from_fn(encoding::admit_plain))
        .layer(PropagateRequestIdLayer::new(request_id.clone()))
        .layer(SetRequestIdLayer::new(request_id, MakeRequestUuid))
        .layer(from_fn(trace::admit_id))
}
