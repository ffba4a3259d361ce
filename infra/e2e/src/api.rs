use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;

use crate::settings::{ADMIN, ADMIN_PASSWORD};

/// Longest time that one request may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Longest time that a bulk submit may take.
const BULK_TIMEOUT: Duration = Duration::from_mins(10);
/// Path of the admin API.
pub(crate) const ADMIN_API: &str = "/dmf/admin/api/v2";
/// Path of the customer API.
pub(crate) const CUSTOMER_API: &str = "/dmf/api/v2";
/// Header of the customers' key.
pub(crate) const KEY_HEADER: &str = "X-API-KEY";

/// What a scheduler answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body; null where there is none.
    pub body: Value,
}

impl Answer {
    /// The body.
    ///
    /// # Errors
    /// Another status than `wanted`.
    pub fn expect(self, wanted: u16) -> Result<Value> {
        ensure!(self.status == wanted, "answered {} instead of {wanted}: {}", self.status, self.body);
        Ok(self.body)
    }
}

/// The schedulers of a fleet, asked in turn; one that can't be reached is passed over, as a load balancer does.
#[derive(Debug, Clone)]
pub struct Api {
    http: Client,
    schedulers: Arc<Vec<String>>,
    turn: Arc<AtomicUsize>,
}

impl Api {
    /// For schedulers on these ports of 127.0.0.1.
    pub(crate) fn new(ports: impl IntoIterator<Item = u16>) -> Result<Self> {
        let schedulers = ports.into_iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
        let http = Client::builder().timeout(TIMEOUT).build()?;
        Ok(Self { http, schedulers: Arc::new(schedulers), turn: Arc::default() })
    }

    /// One of the schedulers alone, counted from 0.
    #[must_use]
    pub fn only(&self, number: usize) -> Self {
        let schedulers = Arc::new(self.schedulers.get(number).cloned().into_iter().collect());
        Self { schedulers, ..self.clone() }
    }

    /// Address of the first scheduler, `http://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        self.schedulers.first().map_or("", String::as_str)
    }

    /// A request to the admin API, `path` without its prefix.
    pub async fn admin(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        self.send(method, &format!("{ADMIN_API}{path}"), body, |request| {
            request.basic_auth(ADMIN, Some(ADMIN_PASSWORD))
        })
        .await
    }

    /// A request to the customer API, `path` without its prefix.
    pub async fn customer(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        self.send(method, &format!("{CUSTOMER_API}{path}"), body, |request| request.header(KEY_HEADER, key))
            .await
    }

    /// Submits many migrations in one request, and returns the lines of its answer.
    pub async fn bulk(&self, key: &str, bodies: &[Value]) -> Result<Vec<Value>> {
        let lines: String = bodies.iter().flat_map(|body| [body.to_string(), "\n".to_owned()]).collect();
        let text = self.bulk_text(key, lines).await?;
        text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }

    /// Submits many migrations, a line each, and returns the text of the answer. It may take as long as it takes.
    pub async fn bulk_text(&self, key: &str, lines: String) -> Result<String> {
        let path = format!("{CUSTOMER_API}/users/migrations/bulk");
        let response = self
            .respond(&Method::POST, &path, |request| {
                let request = request.header(KEY_HEADER, key).timeout(BULK_TIMEOUT);
                request.header("Content-Type", "application/x-ndjson").body(lines.clone())
            })
            .await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        ensure!(status == 200, "a bulk submit was answered {status} {text}");
        Ok(text)
    }

    /// A request without credentials, the path as it is.
    pub async fn anonymous(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, None, |request| request).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        sign: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answer> {
        let sign = |request| match body {
            Some(body) => sign(request).json(body),
            None => sign(request),
        };
        let response = self.respond(&method, path, sign).await?;
        let status = response.status().as_u16();
        let text = response.text().await.with_context(|| format!("{method} {path}"))?;
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).context(text)? };
        Ok(Answer { status, body })
    }

    /// The answer of the first scheduler in turn that can be reached.
    async fn respond(
        &self,
        method: &Method,
        path: &str,
        make: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.schedulers.len();
        for tried in 1..=count {
            let url = format!("{}{path}", self.schedulers[(first + tried) % count]);
            match make(self.http.request(method.clone(), &url)).send().await {
                Err(error) if error.is_connect() && tried < count => {}
                sent => return sent.with_context(|| format!("{method} {path}")),
            }
        }
        anyhow::bail!("{method} {path}: this fleet has no scheduler")
    }
}

/// A text as one segment of a path.
pub(crate) fn encode(segment: &str) -> String {
    use std::fmt::Write as _;
    segment.bytes().fold(String::new(), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(path, "%{byte:02X}");
        }
        path
    })
}
