//! Random requests: whatever comes in, it is no fault of ours (500) and hangs nothing.

use axum::{
    body::Body,
    http::{Request, header},
};
use proptest::{
    collection::vec,
    prelude::*,
    strategy::{BoxedStrategy, ValueTree as _},
    test_runner::TestRunner,
};
use serde_json::{Map, Value, json};

use crate::support::{ADMIN, Answer, Api, KEY, KEY_HEADER, request};

const CASES: usize = 400;

/// So many values, the same in each run.
fn samples<T: std::fmt::Debug>(strategy: &impl Strategy<Value = T>) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..CASES).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

fn assert_sound(answer: &Answer, what: &dyn std::fmt::Debug) {
    let status = answer.status.as_u16();
    assert!(status < 500, "{what:?}: {answer:?}");
    if status >= 400 {
        assert!(!answer.errors(status).is_empty(), "{what:?}");
    }
}

fn with_all_credentials(call: Request<Body>) -> Request<Body> {
    let (mut parts, body) = call.into_parts();
    parts.headers.insert(header::AUTHORIZATION, ADMIN.parse().unwrap());
    parts.headers.insert(KEY_HEADER, KEY.parse().unwrap());
    parts.headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    Request::from_parts(parts, body)
}

/// JSON of every kind, small, with the texts that tend to hurt.
fn value() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[0-9+-]{1,6}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})"
            .prop_map(Value::from),
        prop::sample::select(vec![
            "9999-12-31T23:59:59-23:59",
            "0000-01-01T00:00:00+23:59",
            "-9999-01-01T00:00:00+12:00",
            "default",
            "imap.host.1",
            "ignore",
            "%{mdb:",
            "%{mdb:uid}%",
            "a=b",
            "CUTOVER",
            "starttls",
            "\u{feff}",
            "İ",
        ])
        .prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "name",
        "value",
        "flags",
        "options",
        "arguments",
        "subCommand",
        "successCode",
    ]);
    leaf.prop_recursive(4, 24, 6, move |inner| {
        let fields = vec((names.clone(), inner.clone()), 0..6);
        prop_oneof![
            vec(inner, 0..6).prop_map(Value::from),
            fields.prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
    .boxed()
}

/// A body of which some fields are right and some are anything.
fn body(right: &Value) -> BoxedStrategy<Value> {
    let right = right.as_object().unwrap().clone();
    let names: Vec<String> = right.keys().cloned().collect();
    vec((prop::sample::select(names), value()), 0..4)
        .prop_map(move |changes| {
            let mut body: Map<String, Value> = right.clone();
            body.extend(changes);
            Value::Object(body)
        })
        .boxed()
}

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
        for body in samples(&body(right)) {
            let call = request("POST", path).body(Body::from(body.to_string())).unwrap();
            assert_sound(&api.send(with_all_credentials(call)).await, &body);
        }
    }
}

#[tokio::test]
async fn random_bodies_are_refused() {
    let api = Api::start().await;
    api.furnish().await;
    for bytes in samples(&vec(any::<u8>(), 0..200)) {
        let call = request("POST", "/dmf/api/v2/users/migrations").body(Body::from(bytes.clone())).unwrap();
        assert_sound(&api.send(with_all_credentials(call)).await, &bytes);
    }
}

#[tokio::test]
async fn random_paths_are_refused() {
    let api = Api::start().await;
    api.furnish().await;
    api.submit("alice").await;
    let segment = prop_oneof![
        "[ -~]{0,8}".prop_map(String::from),
        "(%[0-9A-Fa-f]{2}){1,6}".prop_map(String::from),
        prop::sample::select(vec![
            "users",
            "migrations",
            "latest",
            "close",
            "as",
            "ABORTED",
            "sources",
            "CustomerX",
            "sourcehosts",
            "imap.host.1",
            "targets",
            "default",
            "backends",
            "alice",
            "1",
            "..",
            ".",
            "%2e%2e",
            "%00",
        ])
        .prop_map(String::from),
    ];
    let prefix = prop::sample::select(vec!["/dmf/api/v2/users", "/dmf/api/v2", "/dmf/admin/api/v2", ""]);
    let method = prop::sample::select(vec!["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"]);
    for (method, prefix, segments) in samples(&(method, prefix, vec(segment, 0..7))) {
        let path = format!("{prefix}/{}", segments.join("/"));
        let Ok(call) = Request::builder().method(method).uri(&path).body(Body::from("{}")) else { continue };
        let answer = api.send(with_all_credentials(call)).await;
        if method == "HEAD" {
            assert!(answer.status.as_u16() < 500, "{path}: {answer:?}");
        } else {
            assert_sound(&answer, &path);
        }
    }
}
