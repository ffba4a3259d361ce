//! The API over a real connection.

use axum::http::StatusCode;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{ADMIN, Api, KEY, KEY_HEADER, first};

async fn walk(base: &str) {
    let client = Client::new();
    let health = client.get(format!("{base}/health")).send().await.unwrap();
    assert_eq!(health.json::<Value>().await.unwrap(), json!({ "status": "UP" }));

    let sources = format!("{base}/dmf/admin/api/v2/sources");
    let listed = client.get(&sources).header("authorization", ADMIN).send().await.unwrap();
    assert_eq!(listed.json::<Value>().await.unwrap()[0]["name"], "CustomerX");
    let anonymous = client.get(&sources).send().await.unwrap();
    assert_eq!(anonymous.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(anonymous.headers()["www-authenticate"], "Basic realm=\"dmf\"");

    let submit = client.post(format!("{base}/dmf/api/v2/users/migrations")).header(KEY_HEADER, KEY);
    let submitted = submit.json(&first("a/b ü")).send().await.unwrap();
    assert_eq!(submitted.status(), StatusCode::CREATED);
    let location = submitted.headers()["location"].to_str().unwrap().to_owned();
    let record: Value = submitted.json().await.unwrap();
    let found = client.get(format!("{base}{location}")).header(KEY_HEADER, KEY).send().await.unwrap();
    assert_eq!(found.json::<Value>().await.unwrap(), record);

    let too_large =
        client.post(&sources).header("authorization", ADMIN).header("content-type", "application/json");
    let too_large = too_large.body(vec![b' '; (1 << 20) + 1]).send().await.unwrap();
    assert_eq!(too_large.status(), StatusCode::PAYLOAD_TOO_LARGE);

    let head = client.head(format!("{base}/nothing")).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(head.bytes().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_client_on_a_real_socket_sees_the_same() {
    let api = Api::start().await;
    api.furnish().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let server = axum::serve(listener, api.router());
    tokio::select! {
        ended = server.into_future() => panic!("{ended:?}"),
        () = walk(&base) => {}
    }
}
