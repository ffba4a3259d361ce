//! More requests at a time than there may be.

use axum::{
    body::{Body, Bytes},
    http::{Request, Response, header},
};
use dmf_lab::poll_until;
use dmf_shared::ops::metrics::{Metrics, Query};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::{ADMIN, Answer, Api, KEY, KEY_HEADER, PATIENCE, first, request, with_json};

const NDJSON: &str = "application/x-ndjson";

/// A bulk submit whose input does not end.
fn unending_bulk() -> Request<Body> {
    let begun = stream::iter([Ok(Bytes::from(format!("{}\n", first("alice"))))]);
    let body = Body::from_stream(begun.chain(stream::pending::<Result<_, &str>>()));
    let call = request("POST", "/dmf/api/v2/users/migrations/bulk").header(KEY_HEADER, KEY);
    call.header(header::CONTENT_TYPE, NDJSON).body(body).unwrap()
}

async fn begin_bulk(api: &Api) -> Response<Body> {
    let answer = api.router().oneshot(unending_bulk()).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer
}

#[track_caller]
fn assert_crowded(answer: &Answer, retry_after: &str) {
    assert_eq!(answer.errors(503), ["Too many requests are being answered, try again later"]);
    assert_eq!(answer.headers[header::RETRY_AFTER], retry_after);
}

async fn empty_bulk(api: &Api, key: &str) -> Answer {
    let call = request("POST", "/dmf/api/v2/users/migrations/bulk").header(KEY_HEADER, key);
    api.send(call.header(header::CONTENT_TYPE, NDJSON).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_bulk_submit_beyond_the_most_is_told_to_come_again() {
    let api = Api::start_with("dmf.http.max-bulk-requests: 1\n").await;
    api.furnish().await;
    let running = begin_bulk(&api).await;
    assert_crowded(&empty_bulk(&api, KEY).await, "15");
    // Who may not call is not told more than before, and other requests have room.
    empty_bulk(&api, "wrong").await.errors(401);
    api.customer("GET", "/users", Value::Null).await.expect(200);
    drop(running);
    let free = async || match empty_bulk(&api, KEY).await.status.as_u16() {
        200 => Ok(()),
        other => Err(other.to_string()),
    };
    poll_until("the place of a client that is gone was not free", PATIENCE, free).await.unwrap();
    // What was refused is no change.
    let audit = api.admin("GET", "/audit?actor=source:CustomerX", Value::Null).await.expect(200);
    let entries = audit["entries"].as_array().unwrap();
    assert!(entries.iter().all(|entry| entry["status"] != 503), "{audit}");
}

#[tokio::test]
async fn beyond_the_most_requests_only_the_management_endpoints_answer() {
    let api = Api::start_with("dmf.http.max-requests: 1\n").await;
    let counted = Metrics::default();
    let _recording = metrics::set_default_local_recorder(&counted);
    api.furnish().await;
    let running = begin_bulk(&api).await;
    assert_crowded(&api.customer("GET", "/users", Value::Null).await, "1");
    assert_crowded(&api.admin("GET", "/sources", Value::Null).await, "1");
    assert_crowded(&api.send(with_json(request("GET", "/nothing"), &Value::Null)).await, "1");
    let refused = counted.metric("http.server.requests", &Query::parse(["status:503"]).unwrap()).unwrap();
    assert_eq!(refused["measurements"][0], json!({ "statistic": "COUNT", "value": 3.0 }), "{refused}");
    for path in ["/health", "/health/liveness", "/metrics", "/prometheus", "/loggers", "/info"] {
        let answer = api.send(with_json(request("GET", path).header("Authorization", ADMIN), &Value::Null));
        assert_eq!(answer.await.status, 200, "{path}");
    }
    drop(running);
    let free = async || match api.customer("GET", "/users", Value::Null).await.status.as_u16() {
        200 => Ok(()),
        other => Err(other.to_string()),
    };
    poll_until("the place of a client that is gone was not free", PATIENCE, free).await.unwrap();
}
