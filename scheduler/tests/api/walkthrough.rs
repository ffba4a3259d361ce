//! The manual's walk-through (§3.6), with its own requests.

use axum::http::header;
use serde_json::{Value, json};

use crate::support::{Api, KEY, without_times};

#[tokio::test]
async fn from_an_empty_database_to_the_record_of_a_migration() {
    let api = Api::start().await;
    let source = json!({ "name": "CustomerX", "apiKey": KEY });
    assert_eq!(api.admin("POST", "/sources", source.clone()).await.expect(201), source);

    let host = manual_sourcehost();
    let created = api.admin("POST", "/sources/CustomerX/sourcehosts", host.clone()).await.expect(201);
    assert_eq!(created["migrationCommand1"], host["migrationCommand1"]);

    let target = api.admin("POST", "/targets", json!({ "name": "default" })).await.expect(201);
    assert_eq!(without_times(target), json!({ "name": "default", "created": "time" }));

    let submit = json!({
        "sourceUid": "source_user1",
        "phase": "PRE_SYNC",
        "priority": true,
        "targetUid": "target_user1",
        "target": "default",
        "sourcehost": "imap.host.1",
    });
    let answer = api.customer("POST", "/users/migrations", submit).await;
    let record = answer.expect(201);
    assert_eq!(answer.headers[header::LOCATION], "/dmf/api/v2/users/source_user1/migrations/1");
    assert_eq!(
        without_times(record.clone()),
        json!({
            "id": 1,
            "sourceUid": "source_user1",
            "created": "time",
            "status": "SCHEDULED",
            "phase": "PRE_SYNC",
            "priority": true,
            "modified": "time",
        })
    );

    let user = "/users/source_user1/migrations";
    assert_eq!(api.customer("GET", &format!("{user}/latest"), Value::Null).await.expect(200), record);
    assert_eq!(api.customer("GET", &format!("{user}/1"), Value::Null).await.expect(200), record);
    assert_eq!(api.customer("GET", user, Value::Null).await.expect(200), json!({ "migrations": [record] }));
    let counts = json!({ "name": "CustomerX", "paused": false, "users": 1, "openMigrations": 1 });
    assert_eq!(api.admin("GET", "/sources/customerx", Value::Null).await.expect(200), counts);
    assert_eq!(api.admin("GET", "/sources", Value::Null).await.expect(200), json!([counts]));
}

fn manual_sourcehost() -> Value {
    json!({
        "name": "imap.host.1",
        "maxConnections": 200,
        "migrationCommand1": {
            "name": "doveadm",
            "options": [
                { "name": "imapc_user", "value": "%{mdb:ruid}" },
                { "name": "imapc_password", "value": "%{conf:imapc_master_password}" },
                { "name": "imapc_host", "value": "imap.host.1" },
            ],
            "subCommand": {
                "name": "backup",
                "flags": ["-R"],
                "options": [{ "name": "-u", "value": "%{mdb:uid}" }],
                "arguments": ["imapc:"],
            },
        },
    })
}

#[tokio::test]
async fn a_source_is_created_once_and_its_key_is_shown_once() {
    let api = Api::start().await;
    let first = api.admin("POST", "/sources", json!({ "name": "CustomerX" })).await.expect(201);
    let key = first["apiKey"].as_str().unwrap().to_owned();
    assert_eq!((key.len(), &first["name"]), (36, &json!("CustomerX")));
    for path in ["/sources", "/sources/CustomerX"] {
        let answer = api.admin("GET", path, Value::Null).await;
        answer.expect(200);
        assert!(!answer.text.contains(&key), "{answer:?}");
    }
    let other_case = api.admin("POST", "/sources", json!({ "name": "CUSTOMERx" })).await;
    assert_eq!(
        other_case.errors(409),
        ["name: a Source of this name exists (names are compared without case)"]
    );
    let same_key = api.admin("POST", "/sources", json!({ "name": "CustomerY", "apiKey": key })).await;
    assert_eq!(same_key.errors(409), ["apiKey: another Source has this key"]);
    assert!(!same_key.text.contains(&key));
    api.admin("GET", "/sources/CustomerY", Value::Null).await.errors(404);
}

#[tokio::test]
async fn wrong_sources_are_refused_with_all_that_is_wrong() {
    let api = Api::start().await;
    for name in
        [json!(""), json!("a b"), json!("a-b"), json!("ü"), json!("a".repeat(49)), json!(1), json!(["a"])]
    {
        let errors = api.admin("POST", "/sources", json!({ "name": name })).await.errors(400);
        assert_eq!(errors, ["name: must be a text that matches [a-zA-Z0-9_]{1,48}"], "{name}");
    }
    let wrong = json!({ "apiKey": "too short", "nmae": "x", "color": 1 });
    let answer = api.admin("POST", "/sources", wrong).await;
    assert_eq!(
        answer.errors(400),
        [
            "name: is required",
            "apiKey: must be 8 to 1024 visible ASCII characters",
            "nmae: unknown field, did you mean name?",
            "color: unknown field, there are: name, apiKey",
        ]
    );
    assert!(!answer.text.contains("too short"));
    assert_eq!(api.admin("GET", "/sources", Value::Null).await.expect(200), json!([]));
}

#[tokio::test]
async fn targets_are_created_listed_and_read() {
    let api = Api::start().await;
    for name in ["west", "east"] {
        api.admin("POST", "/targets", json!({ "name": name })).await.expect(201);
    }
    let list = api.admin("GET", "/targets", Value::Null).await.expect(200);
    let names: Vec<_> = list.as_array().unwrap().iter().map(|target| target["name"].clone()).collect();
    assert_eq!(names, ["east", "west"]);
    let one = api.admin("GET", "/targets/west", Value::Null).await.expect(200);
    assert_eq!(without_times(one), json!({ "name": "west", "created": "time" }));
    let again = api.admin("POST", "/targets", json!({ "name": "West" })).await;
    assert_eq!(again.errors(409), ["name: a target of this name exists"]);
    for name in ["a/b", &"a".repeat(65), "a\nb", " a", "a ", "-a", ""] {
        api.admin("POST", "/targets", json!({ "name": name })).await.errors(400);
    }
    assert_eq!(api.admin("GET", "/targets/north", Value::Null).await.errors(404), ["Target not found"]);
}

#[tokio::test]
async fn workers_are_listed_and_read() {
    let api = Api::start().await;
    api.register_worker().await;
    api.admin("POST", "/targets", json!({ "name": "empty" })).await.expect(201);
    let worker = json!({
        "name": "worker-1",
        "target": "default",
        "state": "RUNNING",
        "wantedState": "RUNNING",
        "threadsInUse": 0,
        "maxThreads": 4,
        "version": "1.2.3",
        "machine": "machine-1",
        "incarnation": "00000000-0000-0000-0000-000000000007",
        "lastHeartbeat": "time",
        "alive": true,
    });
    let one = api.admin("GET", "/targets/default/backends/worker-1", Value::Null).await.expect(200);
    assert_eq!(without_times(one.clone()), worker);
    for path in ["/backends", "/targets/default/backends"] {
        assert_eq!(api.admin("GET", path, Value::Null).await.expect(200), json!([one]));
    }
    assert_eq!(api.admin("GET", "/targets/empty/backends", Value::Null).await.expect(200), json!([]));
    for (path, error) in [
        ("/targets/none/backends", "Target not found"),
        ("/targets/empty/backends/worker-1", "Backend not found"),
        ("/targets/default/backends/worker-2", "Backend not found"),
    ] {
        assert_eq!(api.admin("GET", path, Value::Null).await.errors(404), [error], "{path}");
    }
}
