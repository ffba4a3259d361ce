//! The management endpoints that both processes serve: health, info, loggers, metrics.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Extension, Json, Router,
    body::{Body, to_bytes},
    extract::{
        Path, Query,
        rejection::{PathRejection, QueryRejection},
    },
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::Problem;
use crate::ops::{
    Telemetry,
    health::{Health, Report, Status},
    log_level::{LogLevel, LoggerLevel},
    metrics,
};

/// Largest body of a change of a level, in bytes.
const BODY_LIMIT: usize = 4096;
/// Longest name of a logger, in bytes.
const NAME_LIMIT: usize = 255;
/// The word for a logger that has no level of its own.
const NOT_SPECIFIED: &str = "NOT_SPECIFIED";

/// Who asks; put in by the process's own check of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Somebody without credentials.
    Anybody,
    /// The admin.
    Admin,
}

/// Whether the process takes work: it has started, and is not about to end. Clones are the same.
#[derive(Debug, Clone)]
pub struct Readiness {
    has_started: Arc<AtomicBool>,
    stop: CancellationToken,
}

impl Readiness {
    /// Not yet; and not any more once `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self { has_started: Arc::default(), stop }
    }

    /// From now on it takes work.
    pub fn set(&self) {
        self.has_started.store(true, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.has_started.load(Ordering::Relaxed) && !self.stop.is_cancelled()
    }
}

/// What the endpoints tell of.
#[derive(Debug, Clone)]
pub struct Management {
    /// The indicators.
    pub health: Health,
    /// Those among them without which the process can do no work.
    pub needed: &'static [&'static str],
    /// Whether the process has started and is not about to end.
    pub readiness: Readiness,
    /// A JSON object: build, version, and what else is the process's own.
    pub info: Value,
    /// Levels of loggers; none where logging is not this process's (tests).
    pub telemetry: Option<Telemetry>,
}

/// `/health/liveness`, `/health/readiness`, `/info`, `/loggers`, `/loggers/{name}`, `/metrics`,
/// `/metrics/{name}` and `/prometheus`; [`health`] is the process's own to route. Every request must carry the
/// [`Management`], and a [`Caller`]; without one it is nobody's.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/health/liveness", get(liveness))
        .route("/health/readiness", get(readiness))
        .route("/info", get(info))
        .route("/loggers", get(loggers))
        .route("/loggers/{name}", get(logger).post(set_logger))
        .route("/metrics", get(list_metrics))
        .route("/metrics/{name}", get(show_metric))
        .route("/prometheus", get(prometheus))
}

type Shared = Extension<Management>;
type Asking = Option<Extension<Caller>>;
/// The name in a path, or what is wrong with it.
type Name = Result<Path<String>, PathRejection>;
/// The parameters of a query, or what is wrong with them.
type Parameters = Result<Query<Vec<(String, String)>>, QueryRejection>;

fn is_admin(caller: Asking) -> bool {
    caller.is_some_and(|Extension(caller)| caller == Caller::Admin)
}

fn answer(status: Status, body: Value) -> Response {
    let code = if status == Status::Up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(body)).into_response()
}

/// The report of all indicators; its details are the admin's.
pub async fn health(Extension(management): Shared, caller: Asking) -> Response {
    let report = management.health.check().await;
    answer(report.status(), management.health.to_json(&report, is_admin(caller)))
}

/// Up as long as anything is answered: a process that waits for a store must not be restarted for it.
pub async fn liveness(Extension(management): Shared, caller: Asking) -> Response {
    let report = Report::composite(vec![("service".to_owned(), Report::up())]);
    answer(report.status(), management.health.to_json(&report, is_admin(caller)))
}

/// Up while the process takes work and what it needs is there.
pub async fn readiness(Extension(management): Shared, caller: Asking) -> Response {
    let report = management.health.check().await;
    let service =
        if management.readiness.get() { Report::up() } else { Report::down("starting or stopping") };
    let needed =
        management.needed.iter().filter_map(|name| Some(((*name).to_owned(), report.part(name)?.clone())));
    let report = Report::composite(needed.chain([("service".to_owned(), service)]).collect());
    answer(report.status(), management.health.to_json(&report, is_admin(caller)))
}

/// What the process is.
pub async fn info(Extension(management): Shared) -> Json<Value> {
    Json(management.info.clone())
}

fn bad_request(error: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, error)
}

/// 400 for what is no field, with what is one; a long name is cut.
fn unknown_field(name: &str, known: &str) -> Problem {
    let name: String = name.chars().take(64).collect();
    bad_request(&format!("{name}: unknown field, there are: {known}"))
}

fn decoded(name: Name) -> Result<String, Problem> {
    let Path(name) = name.map_err(|_| bad_request("The path must be percent-encoded UTF-8"))?;
    Ok(name)
}

fn logger_name(name: Name) -> Result<String, Problem> {
    let name = decoded(name)?;
    let fits = (1..=NAME_LIMIT).contains(&name.len()) && !name.contains(char::is_control);
    if !fits || name == "." || name == ".." {
        return Err(bad_request(
            "a logger's name has 1 to 255 bytes, is no . or .. and holds no control characters",
        ));
    }
    Ok(name)
}

fn shown(level: LoggerLevel) -> Value {
    json!({
        "configuredLevel": level.configured.map_or(NOT_SPECIFIED, LogLevel::as_str),
        "effectiveLevel": level.effective.as_str(),
    })
}

fn log_of(management: &Management) -> Result<&Telemetry, Problem> {
    management.telemetry.as_ref().ok_or_else(Problem::no_such_page)
}

/// All levels that were set, and those that can be.
pub async fn loggers(Extension(management): Shared) -> Result<Json<Value>, Problem> {
    let levels = log_of(&management)?.levels().all();
    let loggers: Map<String, Value> = levels.into_iter().map(|(name, level)| (name, shown(level))).collect();
    let names = LogLevel::LISTED.map(LogLevel::as_str);
    let names: Vec<&str> = names.into_iter().chain([NOT_SPECIFIED]).collect();
    Ok(Json(json!({ "levels": names, "loggers": loggers })))
}

/// The level of one logger; whatever can be a name is one.
pub async fn logger(Extension(management): Shared, name: Name) -> Result<Json<Value>, Problem> {
    Ok(Json(shown(log_of(&management)?.level(&logger_name(name)?))))
}

/// The names of all metrics.
pub async fn list_metrics(Extension(management): Shared) -> Result<Json<Value>, Problem> {
    Ok(Json(log_of(&management)?.metrics().names()))
}

/// One metric; `tag=name:value`, which may be repeated, chooses among its series.
pub async fn show_metric(
    Extension(management): Shared,
    name: Name,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    let name = decoded(name)?;
    let Query(parameters) = parameters.map_err(|_| bad_request("The query must be percent-encoded UTF-8"))?;
    if let Some((unknown, _)) = parameters.iter().find(|(name, _)| name != "tag") {
        return Err(unknown_field(unknown, "tag"));
    }
    let tags = parameters.iter().map(|(_, tag)| tag.as_str());
    let query = metrics::Query::parse(tags).map_err(|error| bad_request(&error.to_string()))?;
    log_of(&management)?.metrics().metric(&name, &query).map(Json).ok_or_else(Problem::no_such_page)
}

/// All metrics in the text format of Prometheus.
pub async fn prometheus(Extension(management): Shared) -> Result<Response, Problem> {
    let text = log_of(&management)?.metrics().prometheus();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// Changes a level until the process ends. Whatever the settings open, this asks for the admin.
pub async fn set_logger(
    Extension(management): Shared,
    caller: Asking,
    name: Name,
    body: Body,
) -> Result<StatusCode, Problem> {
    if !is_admin(caller) {
        return Err(Problem::unauthorized());
    }
    let name = logger_name(name)?;
    let bytes = to_bytes(body, BODY_LIMIT)
        .await
        .map_err(|_| bad_request("the body can't be read, or is too long"))?;
    // No body unsets the level, as null does.
    let body: Map<String, Value> = match bytes.as_ref() {
        [] => Map::new(),
        bytes => serde_json::from_slice(bytes).map_err(|_| bad_request("the body must be a JSON object"))?,
    };
    if let Some(unknown) = body.keys().find(|name| *name != "configuredLevel") {
        return Err(unknown_field(unknown, "configuredLevel"));
    }
    let level = match body.get("configuredLevel") {
        None | Some(Value::Null) => None,
        Some(Value::String(word)) if word.eq_ignore_ascii_case(NOT_SPECIFIED) => None,
        Some(Value::String(word)) => Some(
            word.parse::<LogLevel>().map_err(|error| bad_request(&format!("configuredLevel: {error}")))?,
        ),
        _ => return Err(bad_request("configuredLevel: must be a text or null")),
    };
    log_of(&management)?.set_level(&name, level).map_err(|error| bad_request(&error.to_string()))?;
    let level = level.map_or(NOT_SPECIFIED, LogLevel::as_str);
    tracing::info!(logger = name, level, "a log level was changed");
    Ok(StatusCode::OK)
}
