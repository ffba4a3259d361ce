//! The id of a request, in its answer and in the log.

use axum::{
    body::{Body, to_bytes},
    http::{Request, header},
};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::{
    log::log,
    support::{ADMIN, Api, KEY, KEY_HEADER, first, request, with_json},
};

/// The id that comes back, once the answer was read to its end.
async fn id_of_answer(api: &Api, request: Request<Body>) -> String {
    let answer = api.router().oneshot(request).await.unwrap();
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    id
}

#[tokio::test]
async fn every_line_of_a_request_carries_its_id() {
    let api = Api::start().await;
    api.furnish().await;
    api.submit("alice").await;
    let customer =
        |method: &str, path: &str| request(method, &format!("/dmf/api/v2{path}")).header(KEY_HEADER, KEY);
    let bulk = format!("{}\nx\n", first("bob"));
    let bulk = customer("POST", "/users/migrations/bulk")
        .header(header::CONTENT_TYPE, "application/x-ndjson")
        .body(Body::from(bulk));
    let broken = futures::stream::iter([Ok("{}\n"), Err("cut off")]);
    let broken = customer("POST", "/users/migrations/bulk?dryRun=true")
        .header(header::CONTENT_TYPE, "application/x-ndjson")
        .body(Body::from_stream(broken));
    let calls = [
        with_json(customer("GET", "/users/alice/migrations/latest"), &Value::Null),
        with_json(customer("POST", "/users/migrations"), &first("carol")),
        with_json(customer("POST", "/users/migrations"), &first("alice")),
        with_json(customer("PUT", "/users/alice/migrations/close/latest/as/FAILED"), &Value::Null),
        with_json(customer("GET", "/users/migrations").header(header::ACCEPT, "text/csv"), &Value::Null),
        with_json(
            request("GET", "/dmf/admin/api/sources").header("Authorization", "Basic eDp5"),
            &json!(null),
        ),
        with_json(request("GET", "/dmf/admin/api/v2/sources").header("Authorization", ADMIN), &json!(null)),
        with_json(request("GET", "/health").header("Authorization", "Basic eDp5"), &json!(null)),
        with_json(request("GET", "/nothing"), &json!(null)),
        bulk.unwrap(),
        broken.unwrap(),
    ];
    let (log, _guard) = log();
    for (number, mut call) in calls.into_iter().enumerate() {
        let what = format!("{} {}", call.method(), call.uri());
        let id = format!("request-{number}.of:mine");
        call.headers_mut().insert("x-request-id", id.parse().unwrap());
        assert_eq!(id_of_answer(&api, call).await, id);
        let lines = log.take();
        assert!(lines.iter().any(|line| line.contains("answered")), "{what}: {lines:?}");
        for line in lines {
            assert!(line.contains(&format!("request_id={id}")), "{what}: {line}");
        }
    }
}

#[tokio::test]
async fn a_request_without_a_usable_id_gets_one() {
    let api = Api::start().await;
    let (log, _guard) = log();
    let long = "x".repeat(65);
    for given in [&[][..], &[""], &[&long], &["a b"], &["one", "two"]] {
        let call = given.iter().fold(request("GET", "/info"), |call, id| call.header("X-Request-Id", *id));
        let id = id_of_answer(&api, with_json(call, &Value::Null)).await;
        Uuid::parse_str(&id).unwrap();
        let lines = log.take();
        assert!(!lines.is_empty() && lines.iter().all(|line| line.contains(&id)), "{lines:?}");
    }
}
