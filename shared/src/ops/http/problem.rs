//! An answer that is an error, in the one shape that all of them have: `message` is the reason phrase, what is
//! wrong stands in `_embedded.errors`.

use axum::{
    Json,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::TooMany;

/// An error whose body [`render`] writes, since only it knows the path.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    errors: Vec<String>,
    retry_after_secs: Option<u64>,
}

impl Problem {
    /// An error with one sentence.
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, errors: vec![error.into()], retry_after_secs: None }
    }

    /// 401: no credentials, or wrong ones; which of the two is not said.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Valid credentials are required")
    }

    /// 403: right credentials, but not for this, or not from there.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Access is denied by the configuration")
    }

    /// 404 for a URL that there is not.
    pub fn no_such_page() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Page Not Found")
    }

    /// 429 with `Retry-After`.
    pub fn too_many(TooMany(wait): TooMany) -> Self {
        let retry_after_secs = Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        Self {
            retry_after_secs,
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests, try again later")
        }
    }

    /// What is wrong.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let basic = HeaderValue::from_static("Basic realm=\"dmf\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
        }
        if let Some(secs) = self.retry_after_secs {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The body of every error of both processes.
pub fn body(status: StatusCode, path: &str, errors: &[String]) -> Value {
    json!({
        "message": status.canonical_reason().unwrap_or("Error"),
        "_links": { "self": { "href": path, "templated": false } },
        "_embedded": { "errors": errors.iter().map(|error| json!({ "message": error })).collect::<Vec<_>>() },
    })
}

/// Middleware around everything: writes the bodies of problems, and of what axum itself refuses.
pub async fn render(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let status = response.status();
    let errors = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem.errors,
        None if status == StatusCode::METHOD_NOT_ALLOWED => vec![not_allowed(&method, &path, &response)],
        None => return response,
    };
    with_errors(response, &path, &errors)
}

/// What is wrong with a method that a router has answered with 405.
pub fn not_allowed(method: &Method, path: &str, response: &Response) -> String {
    let allowed = response.headers().get(header::ALLOW).and_then(|allow| allow.to_str().ok());
    let allowed = allowed.unwrap_or_default();
    format!("Method [{method}] not allowed for URI [{path}]. Allowed methods: [{allowed}]")
}

/// The answer with the body of an error instead of its own.
pub fn with_errors(response: Response, path: &str, errors: &[String]) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    let body = body(parts.status, path, errors);
    (parts, Json(body)).into_response()
}
