//! Random bodies.

use axum::body::Body;
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::{
    assert_sound,
    json::{body, value},
    samples, with_all_credentials,
};
use crate::support::{Api, request};

const CASES: usize = 400;

#[tokio::test]
async fn random_fields_are_taken_or_refused() {
    let api = Api::start_with_storage_key().await;
    api.furnish().await;
    let submit = json!({
        "sourceUid": "u", "phase": "PRE_SYNC", "targetUid": "t", "target": "default", "sourcehost": "imap.host.1",
        "priority": true, "sourceport": 1, "email": "e", "password": "p", "container": "c", "imapcOptions": ["a=b"],
        "useImapcSsl": "no", "excludeFolders": ["x"], "notBefore": "2024-05-01T22:00:00Z", "force": false,
    });
    let host = json!({
        "name": "h", "port": 1, "maxConnections": 9, "reservedForPriority": 1, "migrationCommand1": { "name": "ignore" },
        "migrationCommand2": null, "statusCommand": null,
    });
    let source = json!({ "name": "s", "apiKey": "0123456789abcdef" });
    for (path, right) in [
        ("/dmf/api/v2/users/migrations", &submit),
        ("/dmf/admin/api/v2/sources/CustomerX/sourcehosts", &host),
        ("/dmf/admin/api/v2/sources", &source),
        ("/dmf/admin/api/v2/targets", &json!({ "name": "t" })),
    ] {
        for body in samples(CASES, &body(right)) {
            let call = request("POST", path).body(Body::from(body.to_string())).unwrap();
            assert_sound(&api.send(with_all_credentials(call)).await, &body);
        }
    }
}

#[tokio::test]
async fn random_bodies_are_refused() {
    let api = Api::start().await;
    api.furnish().await;
    for bytes in samples(CASES, &vec(any::<u8>(), 0..200)) {
        let call = request("POST", "/dmf/api/v2/users/migrations").body(Body::from(bytes.clone())).unwrap();
        assert_sound(&api.send(with_all_credentials(call)).await, &bytes);
    }
}

/// Requests that change what is there, with a body that is right.
fn changes() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        (
            "PUT",
            "/dmf/api/v2/users/alice",
            json!({
                "targetUid": "new-alice", "target": "default", "sourcehost": "imap.host.1", "sourceport": 1,
                "email": "e", "password": "p", "container": "c", "imapcOptions": ["a=b"], "useImapcSsl": "no",
                "excludeFolders": ["x"], "force": true,
            }),
        ),
        ("PUT", "/dmf/api/v2/users/alice/migrations/latest/priority", json!({ "priority": true })),
        // Another one than the customer's, whose key is needed.
        ("PUT", "/dmf/admin/api/v2/sources/Other", json!({ "apiKey": "0123456789abcdef", "rateLimit": 5 })),
        (
            "PUT",
            "/dmf/admin/api/v2/sources/CustomerX/sourcehosts/imap.host.1",
            json!({
                "port": 1, "maxConnections": 9, "reservedForPriority": 1,
                "migrationCommand1": { "name": "ignore" }, "migrationCommand2": null, "statusCommand": "",
            }),
        ),
        (
            "PUT",
            "/dmf/admin/api/v2/targets/default/backends/worker-1",
            json!({ "initialState": "PAUSED", "maxThreads": 3 }),
        ),
        ("POST", "/loggers/dmf.random", json!({ "configuredLevel": "WARN" })),
    ]
}

#[tokio::test]
async fn random_changes_are_taken_or_refused() {
    let api = Api::start_with_storage_key().await;
    api.furnish().await;
    api.admin("POST", "/sources", json!({ "name": "Other" })).await.expect(201);
    api.register_worker().await;
    api.submit("alice").await;
    for (method, path, right) in changes() {
        let send = async |body: &Value| {
            let call = request(method, path).body(Body::from(body.to_string())).unwrap();
            api.send(with_all_credentials(call)).await
        };
        assert!(send(&right).await.status.is_success(), "{method} {path} with {right}");
        for body in samples(100, &prop_oneof![4 => body(&right), 1 => value()]) {
            assert_sound(&send(&body).await, &(path, &body));
        }
    }
}
