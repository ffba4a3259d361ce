//! Compression of answers.

use std::{io::Read as _, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, header},
};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::{ADMIN, Api, KEY, KEY_HEADER, PATIENCE, first, request, with_json};

/// Headers and body of a GET as they are sent.
async fn get(api: &Api, path: &str, accept: &str) -> (HeaderMap, Vec<u8>) {
    let call = request("GET", path).header("authorization", ADMIN).header(KEY_HEADER, KEY);
    let call = call.header(header::ACCEPT_ENCODING, accept);
    let answer = api.router().oneshot(with_json(call, &Value::Null)).await.unwrap();
    assert_eq!(answer.status(), 200, "{path} with {accept}");
    let (parts, body) = answer.into_parts();
    (parts.headers, to_bytes(body, 64 << 20).await.unwrap().to_vec())
}

fn unpack(headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let coding = headers.get(header::CONTENT_ENCODING).map(|coding| coding.to_str().unwrap());
    let mut plain = Vec::new();
    match coding {
        Some("gzip") => {
            flate2::read::GzDecoder::new(body).read_to_end(&mut plain).unwrap();
        }
        Some("zstd") => plain = zstd::decode_all(body).unwrap(),
        other => panic!("{other:?}"),
    }
    plain
}

#[tokio::test]
async fn long_answers_are_compressed_as_the_client_asks() {
    let api = Api::start().await;
    api.furnish().await;
    for number in 0..20 {
        api.submit(&format!("user{number}")).await;
    }
    let paths = ["/dmf/api/v2/users", "/dmf/api/v2/users/migrations", "/swagger/dmf-scheduler-0.1.0.yml"];
    for path in paths {
        let (headers, plain) = get(&api, path, "identity").await;
        assert_eq!(headers.get(header::CONTENT_ENCODING), None);
        for (accept, coding) in [
            ("gzip", "gzip"),
            ("zstd", "zstd"),
            ("gzip, deflate, br, zstd", "zstd"),
            ("zstd;q=0.1, gzip;q=0.9", "gzip"),
            ("gzip, identity;q=0", "gzip"),
        ] {
            let (headers, body) = get(&api, path, accept).await;
            assert_eq!(headers[header::CONTENT_ENCODING], coding, "{accept}");
            assert!(
                headers.get_all(header::VARY).iter().any(|name| name == "accept-encoding"),
                "{headers:?}"
            );
            assert!(body.len() * 2 < plain.len(), "{path}: {} of {}", body.len(), plain.len());
            assert!(unpack(&headers, &body) == plain, "{path} with {accept}");
        }
        // Nothing is refused for its coding: a change would have been made already.
        for accept in ["br", "*;q=0", "identity;q=0", "br, identity;q=0", "gzip;q=0"] {
            let (headers, body) = get(&api, path, accept).await;
            assert_eq!(headers.get(header::CONTENT_ENCODING), None, "{accept}");
            assert!(body == plain, "{path} with {accept}");
        }
    }
    let (headers, _) = get(&api, "/dmf/api/v2/users/user1", "gzip, zstd").await;
    assert_eq!(headers.get(header::CONTENT_ENCODING), None, "a short one");
}

#[tokio::test]
async fn an_export_is_compressed_and_a_bulk_flows_line_by_line() {
    let api = Api::start().await;
    api.furnish().await;
    let lines = (0..50).map(|number| format!("{}\n", first(&format!("user{number}"))));
    let begun = stream::iter([Ok(Bytes::from(lines.collect::<String>()))]);
    let body = Body::from_stream(begun.chain(stream::pending::<Result<_, &str>>()));
    let call = request("POST", "/dmf/api/v2/users/migrations/bulk").header(KEY_HEADER, KEY);
    let call = call.header(header::CONTENT_TYPE, "application/x-ndjson");
    let call = call.header(header::ACCEPT_ENCODING, "gzip, zstd").body(body).unwrap();
    let answer = api.router().oneshot(call).await.unwrap();
    assert_eq!(answer.headers().get(header::CONTENT_ENCODING), None);
    let mut results = answer.into_body().into_data_stream();
    let chunk = tokio::time::timeout(PATIENCE, results.next()).await.unwrap().unwrap().unwrap();
    // The input has not ended, and each line is there.
    assert_eq!(String::from_utf8_lossy(&chunk).lines().count(), 50);
    drop(results);

    let call = request("GET", "/dmf/api/v2/users/migrations").header(KEY_HEADER, KEY);
    let call = call.header(header::ACCEPT, "text/csv").header(header::ACCEPT_ENCODING, "gzip");
    let answer = api.router().oneshot(with_json(call, &json!(null))).await.unwrap();
    let headers = answer.headers().clone();
    let read = to_bytes(answer.into_body(), 1 << 20);
    let body = tokio::time::timeout(Duration::from_secs(20), read).await.unwrap().unwrap();
    assert_eq!(String::from_utf8(unpack(&headers, &body)).unwrap().lines().count(), 51);
}
