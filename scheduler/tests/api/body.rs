//! Bodies that are no JSON object.

use axum::{
    body::{Body, Bytes},
    http::header,
};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::support::{ADMIN, Answer, Api, request};

async fn post(api: &Api, content_type: &str, body: impl Into<Body>) -> Answer {
    let call = request("POST", "/dmf/admin/api/v2/targets")
        .header(header::AUTHORIZATION, ADMIN)
        .header(header::CONTENT_TYPE, content_type)
        .body(body.into());
    api.send(call.unwrap()).await
}

const JSON: &str = "application/json";

#[tokio::test]
async fn what_is_no_json_is_told_by_its_place_and_not_repeated() {
    let api = Api::start().await;
    let early = "The body is not valid JSON: it ends too early at line 1 column";
    let syntax = "The body is not valid JSON: syntax error at line";
    let cases: [(&[u8], &str); 11] = [
        (b"", early),
        (b"{\"name\": \"hunter2", early),
        (b"{\"name\": hunter2}", syntax),
        (b"{\"name\": \"hunter2\"} x", syntax),
        (b"{'name': 'hunter2'}", syntax),
        (b"{\"name\": NaN}", syntax),
        (b"{\"name\": 1e999}", syntax),
        (b"{\"name\": \"hunter2\",}", syntax),
        (b"{\"name\": \"hunter2\n\"}", syntax),
        (b"{\"name\": \"hunter2\xff\"}", syntax),
        (b"\xef\xbb\xbf{}", syntax),
    ];
    for (body, expected) in cases {
        let answer = post(&api, JSON, body.to_vec()).await;
        let errors = answer.errors(400);
        assert!(errors[0].starts_with(expected), "{errors:?} for {:?}", String::from_utf8_lossy(body));
        assert!(!answer.text.contains("hunter2"), "{answer:?}");
    }
    let deep = "[".repeat(100_000);
    post(&api, JSON, deep).await.errors(400);
    for body in ["[]", "null", "\"hunter2\"", "17", "true"] {
        assert_eq!(post(&api, JSON, body).await.errors(400), ["The body must be a JSON object"]);
    }
}

#[tokio::test]
async fn a_wrong_value_is_not_repeated() {
    let api = Api::start().await;
    api.furnish().await;
    let body = json!({
        "sourceUid": "alice", "phase": "hunter2", "password": ["hunter2"], "priority": "hunter2", "email": {"a": "hunter2"},
    });
    let answer = api.customer("POST", "/users/migrations", body).await;
    assert_eq!(answer.errors(400).len(), 4);
    assert!(!answer.text.contains("hunter2"), "{answer:?}");
}

#[tokio::test]
async fn of_two_fields_of_one_name_the_last_counts() {
    let api = Api::start().await;
    assert_eq!(post(&api, JSON, r#"{"name": "a", "name": "b"}"#).await.expect(201)["name"], "b");
}

#[tokio::test]
async fn other_content_types_are_refused() {
    let api = Api::start().await;
    for content_type in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "json"] {
        let answer = post(&api, content_type, r#"{"name": "a"}"#).await;
        assert_eq!(answer.errors(415), ["Content-Type must be application/json"], "{content_type}");
    }
    let none = request("POST", "/dmf/admin/api/v2/targets").header(header::AUTHORIZATION, ADMIN);
    api.send(none.body(Body::from("{}")).unwrap()).await.errors(415);
    for (name, content_type) in [("a", "application/json; charset=utf-8"), ("b", "Application/JSON ;x=y")] {
        post(&api, content_type, json!({ "name": name }).to_string()).await.expect(201);
    }
}

#[tokio::test]
async fn a_body_over_1_mib_is_refused() {
    let api = Api::start().await;
    let fits = format!("{}{{}}", " ".repeat(1024 * 1024 - 2));
    assert_eq!(post(&api, JSON, fits.clone()).await.errors(400), ["name: is required"]);
    assert_eq!(post(&api, JSON, format!(" {fits}")).await.errors(413), ["The body must not exceed 1 MiB"]);
}

#[tokio::test]
async fn an_error_stays_small_whatever_is_wrong() {
    let api = Api::start().await;
    let many: serde_json::Map<_, _> = (0..50_000).map(|number| (format!("f{number}"), Value::Null)).collect();
    let answer = post(&api, JSON, Value::Object(many).to_string()).await;
    assert_eq!(answer.errors(400).len(), 100);
    let answer = post(&api, JSON, json!({ "x".repeat(1_000_000): 1 }).to_string()).await;
    assert_eq!(answer.errors(400).len(), 2);
    assert!(answer.text.len() < 1000);
}

/// A beginning, and never an end.
fn endless(text: &'static str) -> Body {
    let begun = stream::iter([Ok(Bytes::from_static(text.as_bytes()))]);
    Body::from_stream(begun.chain(stream::pending::<Result<_, &str>>()))
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_given_up_and_leaves_no_trace() {
    let api = Api::start().await;
    let answer = post(&api, JSON, endless("{\"name\": ")).await;
    assert_eq!(answer.errors(408), ["The body did not come to its end in time"]);
    let audit = api.admin("GET", "/audit", Value::Null).await.expect(200);
    assert_eq!(audit, json!({ "entries": [] }));
}

#[tokio::test]
async fn credentials_are_checked_before_a_body_is_read() {
    let api = Api::start().await;
    let call = request("POST", "/dmf/admin/api/v2/targets").header(header::CONTENT_TYPE, JSON);
    api.send(call.body(endless("{")).unwrap()).await.errors(401);
}
