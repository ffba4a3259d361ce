//! The management endpoints of the worker; the admin is the only one who may ask for more than a state.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, OnceLock},
};

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::header,
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::get,
};
use dmf_shared::{
    config::Reader,
    ops::{
        HealthSettings, Telemetry,
        health::{Health, Report},
        http::{
            AccessRules, Admin, Caller, Guesses, Judgement, ListenSettings, Management, Peer, Problem,
            Readiness, TrustedProxies, guesses, management, peer, problem,
        },
    },
    queue::Queue,
    store::Store,
};
use serde_json::json;
use tower_http::catch_panic::CatchPanicLayer;

use crate::held::Table;

/// What the worker serves, to whom, and where.
#[derive(Debug)]
pub struct HttpSettings {
    /// Where it listens; none: nowhere, which is what it does unless a port or TLS is configured.
    pub listen: Option<ListenSettings>,
    admin: Option<Admin>,
    access: AccessRules,
    health: HealthSettings,
    trusted_proxies: TrustedProxies,
    wrong_per_minute: Option<NonZeroU32>,
}

impl HttpSettings {
    /// Reads the keys of the scheduler that concern a worker.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let is_asked_for = reader.is_set("micronaut.server.port")
            || ["micronaut.ssl.enabled", "micronaut.server.ssl.enabled"]
                .iter()
                .any(|key| reader.bool(key, false));
        let listen = ListenSettings::read(reader);
        for key in ["http.headers.xapikey", "http.admin.username", "http.admin.password"] {
            reader.accept(key);
        }
        Self {
            listen: is_asked_for.then_some(listen),
            // Without a port nobody can ask for the admin.
            admin: if is_asked_for { Admin::read(reader) } else { None },
            access: AccessRules::read(reader),
            health: HealthSettings::read(reader, "worker"),
            trusted_proxies: TrustedProxies::read(reader),
            wrong_per_minute: guesses::read_limit(reader),
        }
    }
}

/// What the health report looks at.
#[derive(Debug)]
pub struct Watched<'w> {
    /// MariaDB, under the URL to show.
    pub store: (&'w Store, String),
    /// Redis.
    pub queue: &'w Queue,
    /// Whether the worker rests; empty until it has taken its place.
    pub table: &'w Arc<OnceLock<Arc<Table>>>,
    /// Version and dialect of doveadm.
    pub doveadm: (String, String),
}

/// The endpoints as a router.
pub fn router(
    settings: &HttpSettings,
    watched: &Watched<'_>,
    readiness: Readiness,
    telemetry: Telemetry,
) -> Router {
    let management = Management {
        health: indicators(settings, watched),
        needed: &["jdbc", "redis", "backend"],
        readiness,
        info: json!({
            "build": {
                "name": env!("CARGO_PKG_NAME"),
                "version": env!("CARGO_PKG_VERSION"),
                "revision": option_env!("DMF_REVISION").filter(|revision| !revision.is_empty()),
            },
            "doveadm": { "version": watched.doveadm.0, "dialect": watched.doveadm.1 },
        }),
        telemetry: Some(telemetry),
    };
    let gate = Arc::new(Gate {
        admin: settings.admin.clone(),
        access: settings.access.clone(),
        guesses: Guesses::new(settings.wrong_per_minute),
    });
    let routes = management::router()
        .route("/health", get(management::health))
        .fallback(async || Problem::no_such_page())
        .layer(Extension(management))
        .layer(from_fn_with_state(gate, check))
        .layer(from_fn_with_state(Arc::new(settings.trusted_proxies.clone()), peer::identify))
        .layer(CatchPanicLayer::new());
    // Around the routes as a whole: a layer of theirs would not see the `Allow` of a 405.
    Router::new().fallback_service(routes).layer(from_fn(problem::render))
}

fn indicators(settings: &HttpSettings, watched: &Watched<'_>) -> Health {
    let on = &settings.health;
    let mut health = Health::builder(&on.application);
    if on.jdbc {
        let (store, url) = (watched.store.0.clone(), watched.store.1.clone());
        health = health.indicator("jdbc", move || {
            let (store, url) = (store.clone(), url.clone());
            async move { Report::database(url, store.version().await) }
        });
    }
    if on.redis {
        let queue = watched.queue.clone();
        health =
            health.indicator("redis", move || {
                let queue = queue.clone();
                async move {
                    Report::redis(queue.server().await.map(|found| (found.version, found.eviction_policy)))
                }
            });
    }
    let table = watched.table.clone();
    health = health.indicator("backend", move || {
        let report = match table.get() {
            None => Report::down("waits for the database and its schema"),
            Some(table) if table.is_resting() => Report::down("rests after trouble with its own Dovecot"),
            Some(_) => Report::up(),
        };
        async move { report }
    });
    health.common(on).build()
}

/// What decides on requests.
struct Gate {
    admin: Option<Admin>,
    access: AccessRules,
    guesses: Guesses,
}

impl Gate {
    /// Whether the admin asks; wrong credentials are counted.
    fn is_admin(&self, request: &Request) -> Result<bool, Problem> {
        let address = address(request);
        if self.admin.as_ref().is_some_and(|admin| admin.is_named_in(request.headers())) {
            self.guesses.admit_admin(address).map_err(Problem::too_many)?;
            return Ok(true);
        }
        if request.headers().contains_key(header::AUTHORIZATION) {
            tracing::warn!(from = ?address, "wrong credentials");
            self.guesses.count_wrong(address).map_err(Problem::too_many)?;
        }
        Ok(false)
    }
}

fn address(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<Peer>().map(|peer| peer.0)
}

/// Middleware: refuses what the rules refuse, and says to the endpoints who asks.
async fn check(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Result<Response, Problem> {
    let path = request.uri().path();
    let judgement = gate.access.judge(address(&request), request.method(), &[path]);
    let is_known = gate.access.is_endpoint(path);
    let is_admin = gate.is_admin(&request)?;
    match judgement {
        Judgement::Refuse if is_admin => Err(Problem::forbidden()),
        Judgement::Refuse | Judgement::AdminOnly if !is_admin => Err(Problem::unauthorized()),
        Judgement::Hide => Err(unknown(&gate, is_admin)),
        Judgement::Pass if !is_known => Err(unknown(&gate, is_admin)),
        Judgement::Pass | Judgement::AdminOnly | Judgement::Refuse => {
            request.extensions_mut().insert(if is_admin { Caller::Admin } else { Caller::Anybody });
            Ok(next.run(request).await.into_response())
        }
    }
}

/// What those hear who ask for what there is not.
fn unknown(gate: &Gate, is_admin: bool) -> Problem {
    if is_admin || !gate.access.hides_unknown { Problem::no_such_page() } else { Problem::unauthorized() }
}
