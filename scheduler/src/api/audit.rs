//! Notes every change by API in the audit log: who, what, when, from where.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequestParts, Request, State},
    http::{Method, StatusCode, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use dmf_shared::{
    ops::http::{Caller, Peer},
    store::{Intent, Noted},
};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::{
    auth::Customer,
    error::{ApiError, Result},
};
use crate::app::App;

/// The entry of a request, which its handler may add to.
#[derive(Debug, Clone)]
pub struct Note {
    entry: Entry,
    fields: Arc<Mutex<Option<Value>>>,
}

#[derive(Debug, Clone)]
enum Entry {
    /// It was written before the change.
    Begun(u64),
    /// The handler writes it with the change.
    WithChange(Box<Intent>),
}

/// Texts of these fields are noted as they are; of others only that they were given, since they may hold a
/// secret.
const SHOWN: [&str; 12] = [
    "name",
    "sourceUid",
    "targetUid",
    "target",
    "sourcehost",
    "email",
    "phase",
    "notBefore",
    "initialState",
    "useImapcSsl",
    "container",
    "configuredLevel",
];
/// Largest body of a change of a log level, in bytes, and how long that and each call of the database may take.
const LEVEL_LIMIT: usize = 4096;
const LEVEL_DEADLINE: Duration = Duration::from_secs(3);
/// Most fields that are noted of one request.
const FIELDS: usize = 50;

impl Note {
    /// Notes the fields of a body.
    pub fn give(&self, object: &Map<String, Value>) {
        *self.fields.lock().unwrap_or_else(PoisonError::into_inner) = Some(all_shown(object));
    }

    /// The entry as it is written with the change, whose answer has this status; `None` when it was written before.
    pub fn with_change(&self, status: StatusCode) -> Option<Noted> {
        let Entry::WithChange(intent) = &self.entry else { return None };
        Some(Noted { intent: (**intent).clone(), fields: self.given(), status: status.as_u16() })
    }

    /// Notes what came of a request whose answer is a stream, once that is over.
    pub async fn tell(&self, app: &App, fields: Value) {
        let Entry::Begun(id) = self.entry else { return };
        if let Err(error) = app.store.tell_audit(id, &fields).await {
            tracing::warn!(error = &error as &dyn std::error::Error, %fields, "an audit entry lacks its end");
        }
    }

    fn given(&self) -> Option<Value> {
        self.fields.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn all_shown(object: &Map<String, Value>) -> Value {
    object.iter().take(FIELDS).map(|(name, value)| (name.clone(), shown(name, value))).collect()
}

fn shown(name: &str, value: &Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        Value::String(text) if SHOWN.contains(&name) && text.len() <= 255 => value.clone(),
        _ => json!("(given)"),
    }
}

/// The entry of a request that changes something.
#[derive(Debug, Clone)]
pub struct Audited(pub Note);

impl<S: Send + Sync> FromRequestParts<S> for Audited {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        parts.extensions.get().cloned().map(Self).ok_or_else(ApiError::internal)
    }
}

/// Middleware before every handler that changes something, behind the check of credentials. The entry is
/// written first: no change goes unnoticed, whatever ends this process. What was refused leaves none.
pub async fn note(State(app): State<App>, mut request: Request, next: Next) -> Result<Response> {
    let intent = intent(&app, &request);
    let id = app.store.begin_audit(&intent).await?;
    let note = Note { entry: Entry::Begun(id), fields: Arc::default() };
    request.extensions_mut().insert(note.clone());
    let response = next.run(request).await;
    let changed = response.extensions().get::<ApiError>().is_some_and(ApiError::has_changed);
    let ended = if response.status().is_client_error() && !changed {
        app.store.drop_audit(id).await
    } else {
        app.store.end_audit(id, response.status().as_u16(), note.given().as_ref()).await
    };
    if let Err(error) = ended {
        // The change is made: its client has to hear of that.
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, id, status = response.status().as_u16(), "an audit entry lacks its end");
    }
    Ok(response.into_response())
}

/// The same before a handler that writes the entry with its change, in one transaction.
pub async fn note_with_change(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let entry = Entry::WithChange(Box::new(intent(&app, &request)));
    request.extensions_mut().insert(Note { entry, fields: Arc::default() });
    next.run(request).await
}

/// Middleware before the management endpoints: notes a change of a log level by the admin. The level is changed
/// also while the database is away, when that is needed most; then only the log tells of it.
pub async fn note_level(State(app): State<App>, request: Request, next: Next) -> Result<Response> {
    let is_admin = request.extensions().get::<Caller>() == Some(&Caller::Admin);
    if !is_admin || request.method() != Method::POST {
        return Ok(next.run(request).await);
    }
    let intent = intent(&app, &request);
    let (parts, body) = request.into_parts();
    let body = timeout(LEVEL_DEADLINE, to_bytes(body, LEVEL_LIMIT)).await.ok().and_then(Result::ok);
    let body = body.ok_or_else(|| ApiError::bad_request("the body can't be read, or is too long"))?;
    let given = serde_json::from_slice::<Map<String, Value>>(&body).ok();
    let begun = timeout(LEVEL_DEADLINE, app.store.begin_audit(&intent)).await.ok().and_then(Result::ok);
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let status = response.status();
    let ended = async {
        let Some(id) = begun else { return false };
        let ended = if status.is_client_error() {
            app.store.drop_audit(id).await
        } else {
            let fields = given.as_ref().map(all_shown);
            app.store.end_audit(id, status.as_u16(), fields.as_ref()).await
        };
        ended.is_ok()
    };
    if !timeout(LEVEL_DEADLINE, ended).await.unwrap_or(false) {
        tracing::warn!(path = intent.path, "the audit log lacks this change: the database did not answer");
    }
    Ok(response)
}

fn intent(app: &App, request: &Request) -> Intent {
    let actor = match request.extensions().get::<Customer>() {
        Some(Customer(source)) => format!("source:{}", source.name),
        None => format!("admin:{}", app.admin.as_ref().map_or("", |admin| &admin.username)),
    };
    let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok());
    let path = request.uri().path_and_query().map_or_else(|| request.uri().path(), |path| path.as_str());
    Intent {
        actor,
        peer: request.extensions().get::<Peer>().map(|peer| peer.0.to_string()),
        request_id: id.map(str::to_owned),
        method: request.method().to_string(),
        path: path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        for name in ["password", "apiKey", "migrationCommand1", "imapcOptions", "anything"] {
            for value in [json!("s3cret"), json!(["s3cret"]), json!({ "value": "s3cret" })] {
                assert_eq!(shown(name, &value), "(given)", "{name}");
            }
        }
        assert_eq!(shown("name", &json!(["s3cret"])), "(given)");
        assert_eq!(shown("name", &json!("imap.host.1")), "imap.host.1");
        assert_eq!(shown("maxConnections", &json!(3)), 3);
        assert_eq!(shown("password", &Value::Null), Value::Null);
    }
}
