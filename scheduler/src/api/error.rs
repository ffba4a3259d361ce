//! Errors as clients see them: one shape for all, that of the original's framework. `message` is the
//! reason phrase; everything that is wrong stands in `_embedded.errors`, at once.

use axum::{
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use dmf_shared::{
    ops::http::{Problem, problem},
    store,
};

use super::limits::TooMany;

/// An answer that is an error.
#[derive(Debug, Clone)]
pub struct ApiError {
    status: StatusCode,
    errors: Vec<String>,
    retry_after_secs: Option<u64>,
    changed: bool,
}

/// Result of a handler.
pub type Result<T, E = ApiError> = std::result::Result<T, E>;

/// How long a client should wait while MariaDB is away, in seconds.
const RETRY_AFTER_SECS: u32 = 5;

impl ApiError {
    /// An error with one sentence. It must not hold SQL, a path, a password or a stack.
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, errors: vec![error.into()], retry_after_secs: None, changed: false }
    }

    /// What is wrong.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    /// Whether the request was wrong, and not the service.
    pub fn is_client_fault(&self) -> bool {
        self.status.is_client_error()
    }

    /// 400 with everything that is wrong.
    pub const fn invalid(errors: Vec<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, errors, retry_after_secs: None, changed: false }
    }

    /// 400 with one thing that is wrong.
    pub fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// 401: no credentials, or wrong ones; which of the two is not said.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Valid credentials are required")
    }

    /// 500: a fault of this program, told to the log.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal error, see the log of the scheduler")
    }

    /// 503 with `Retry-After`: MariaDB is away, or too slow.
    pub fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The database is not available, try again later")
    }

    /// 429 with `Retry-After`.
    pub fn too_many(TooMany(wait): TooMany) -> Self {
        let retry_after_secs = Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        Self {
            retry_after_secs,
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests, try again later")
        }
    }

    /// 503 with `Retry-After`: as many requests are being answered as may be at a time.
    pub fn crowded(retry_after_secs: u64) -> Self {
        Self {
            retry_after_secs: Some(retry_after_secs),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many requests are being answered, try again later",
            )
        }
    }

    /// 404 for a thing that is not there, or not the caller's.
    pub fn not_found(what: impl AsRef<str>) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{} not found", what.as_ref()))
    }

    /// The same for a request that has changed something before it failed: the audit log keeps it.
    #[must_use]
    pub fn after_change(self) -> Self {
        Self { changed: true, ..self }
    }

    /// Whether the request has changed something all the same.
    pub const fn has_changed(&self) -> bool {
        self.changed
    }

    /// 409: something is in the way.
    pub fn conflict(error: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, error)
    }
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        if matches!(error, store::Error::Reference(_)) {
            return Self::conflict("what this belongs to was deleted at the same moment");
        }
        // A table is missing when its Source is deleted at this moment: the next request hears 401.
        if error.is_transient() || error.is_schema_missing() {
            tracing::warn!(error = &error as &dyn std::error::Error, "a request failed");
            Self::unavailable()
        } else {
            tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
            Self::internal()
        }
    }
}

impl IntoResponse for ApiError {
    /// Status and headers; [`render`] writes the body, since only it knows the path.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"dmf\""));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS));
            }
            _ => {}
        }
        if let Some(secs) = self.retry_after_secs {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Middleware around everything: gives each error its body, also those that axum itself answers.
pub async fn render(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let status = response.status();
    if status != StatusCode::METHOD_NOT_ALLOWED {
        // The router sets it also where the check of credentials answered: it would tell which routes exist.
        response.headers_mut().remove(header::ALLOW);
    }
    if status == StatusCode::METHOD_NOT_ALLOWED && method == Method::OPTIONS {
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    }
    let own = response.extensions_mut().remove::<ApiError>().map(|error| error.errors);
    let of_management =
        response.extensions_mut().remove::<Problem>().map(|problem| problem.errors().to_vec());
    let errors = match own.or(of_management) {
        Some(errors) => errors,
        None if status == StatusCode::METHOD_NOT_ALLOWED => {
            vec![problem::not_allowed(&method, &path, &response)]
        }
        None => return response,
    };
    problem::with_errors(response, &path, &errors)
}
