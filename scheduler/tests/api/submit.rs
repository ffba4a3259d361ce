//! Submitting: what is needed, what is refused, what may stand in a uid.

use axum::http::header;
use dmf_shared::{
    domain::migration::Status,
    store::{Counts, Finish},
};
use serde_json::{Value, json};

use crate::support::{Api, KEY, KEY_HEADER, first, request, with_json, without_times};

const SUBMIT: &str = "/users/migrations";

#[tokio::test]
async fn wrong_submits_are_refused_with_all_that_is_wrong() {
    let api = Api::start().await;
    api.furnish().await;
    let wrong = json!({
        "sourceUid": 7,
        "phase": "FINAL",
        "priority": "yes",
        "targetUid": "a*",
        "target": "nowhere",
        "sourcehost": "imap.host.2",
        "sourceport": 70_000,
        "email": "a\u{0}b",
        "imapcOptions": ["imapc_features"],
        "useImapcSsl": "tls",
        "excludeFolders": [""],
        "notBefore": "tomorrow",
        "targetUuid": "x",
    });
    assert_eq!(
        api.customer("POST", SUBMIT, wrong).await.errors(400),
        [
            "sourceUid: must be a text of 1 to 255 bytes without control characters",
            "phase: must be PRE_SYNC or CUTOVER",
            "priority: must be true or false",
            "notBefore: must be a time such as 2024-05-01T22:00:00Z",
            "targetUid: must be a text of 1 to 255 bytes without control characters, * and ? (which doveadm takes as a \
             mask over users)",
            "sourceport: must be a port from 1 to 65535",
            "email: must be a text of 1 to 255 bytes without control characters",
            "imapcOptions: must be of the form key=value",
            "useImapcSsl: must be no, imaps or starttls",
            "excludeFolders: must be a list of at most 1000 texts of 1 to 255 bytes without control characters",
            "target: there is no such target",
            "sourcehost: this Source has no such source host",
            "targetUuid: unknown field, did you mean targetUid?",
        ]
    );
    assert_eq!(
        api.customer("POST", SUBMIT, json!({})).await.errors(400),
        ["sourceUid: is required", "phase: is required"]
    );
}

#[tokio::test]
async fn a_new_user_needs_a_place_and_a_known_one_needs_nothing() {
    let api = Api::start().await;
    api.furnish().await;
    let short = json!({ "sourceUid": "alice", "phase": "PRE_SYNC" });
    assert_eq!(
        api.customer("POST", SUBMIT, short.clone()).await.errors(400),
        [
            "targetUid: is required, since this user is new",
            "target: is required, since this user is new",
            "sourcehost: is required, since this user is new",
        ]
    );
    api.submit("alice").await;
    let open = api.customer("POST", SUBMIT, short.clone()).await;
    assert_eq!(open.errors(409), ["sourceUid: migration 1 of this user is open"]);
    api.customer("PUT", "/users/alice/migrations/close/latest/as/SUCCESS", Value::Null).await.expect(200);
    let second = api.customer("POST", SUBMIT, short).await.expect(201);
    assert_ne!(second["id"], 1);
    let history = api.customer("GET", "/users/alice/migrations", Value::Null).await.expect(200);
    assert_eq!(history["migrations"][0], second);
}

#[tokio::test]
async fn a_taken_target_uid_is_refused_over_all_sources_without_naming_who_has_it() {
    let api = Api::start().await;
    api.furnish().await;
    api.submit("alice").await;
    let mut twin = first("bob");
    twin["targetUid"] = json!("NEW-Alice");
    let taken = ["targetUid: is taken by another user on this target"];
    assert_eq!(api.customer("POST", SUBMIT, twin.clone()).await.errors(409), taken);

    let other = api.admin("POST", "/sources", json!({ "name": "CustomerY" })).await.expect(201);
    let host =
        json!({ "name": "imap.host.1", "maxConnections": 2, "migrationCommand1": { "name": "ignore" } });
    api.admin("POST", "/sources/CustomerY/sourcehosts", host).await.expect(201);
    let foreign =
        request("POST", "/dmf/api/v2/users/migrations").header(KEY_HEADER, other["apiKey"].as_str().unwrap());
    assert_eq!(api.send(with_json(foreign, &twin)).await.errors(409), taken);
}

#[tokio::test]
async fn guards_over_mail_that_was_moved_are_lifted_by_force_only() {
    let api = Api::start().await;
    api.furnish().await;
    api.submit("alice").await;
    let close = "/users/alice/migrations/close/latest/as/SUCCESS";
    api.customer("PUT", close, Value::Null).await.expect(200);

    let moved = json!({ "sourceUid": "alice", "phase": "CUTOVER", "targetUid": "elsewhere" });
    let refused = api.customer("POST", SUBMIT, moved).await.errors(409);
    assert!(refused[0].starts_with("targetUid, target: can't change"), "{refused:?}");

    let mut cutover = json!({ "sourceUid": "alice", "phase": "CUTOVER" });
    let id = api.customer("POST", SUBMIT, cutover.clone()).await.expect(201)["id"].clone();
    api.customer("PUT", close, Value::Null).await.expect(200);
    let refused = api.customer("POST", SUBMIT, cutover.clone()).await.errors(409);
    assert!(
        refused[0].starts_with(&format!("sourceUid: CUTOVER {id} of this user succeeded")),
        "{refused:?}"
    );
    cutover["force"] = json!(true);
    api.customer("POST", SUBMIT, cutover).await.expect(201);
}

#[tokio::test]
async fn all_fields_of_a_user_are_taken_and_a_time_of_any_zone() {
    let api = Api::start().await;
    let source = api.furnish().await;
    let mut full = first("alice");
    for (field, value) in [
        ("sourceport", json!(1143)),
        ("email", json!("alice@example.com")),
        ("container", json!("c1")),
        ("imapcOptions", json!("imapc_features=rfc822.size")),
        ("useImapcSsl", json!("starttls")),
        ("excludeFolders", json!(["Trash", "Spam/*"])),
        ("notBefore", json!("2037-01-01T01:00:00.129+01:00")),
    ] {
        full[field] = value;
    }
    let record = api.customer("POST", SUBMIT, full).await.expect(201);
    assert_eq!(record["notBefore"], "2037-01-01T00:00:00.12Z");
    let user = api.app.store.user(&source, "alice").await.unwrap().unwrap();
    assert_eq!((user.sourceport, user.container.as_deref()), (Some(1143), Some("c1")));
    assert_eq!(user.imapc_options, ["imapc_features=rfc822.size"]);
    assert_eq!(user.exclude_folders, ["Trash", "Spam/*"]);

    api.customer("PUT", "/users/alice/migrations/close/latest/as/ABORTED", Value::Null).await.expect(200);
    let cleared = json!({ "sourceUid": "alice", "phase": "PRE_SYNC", "email": null, "excludeFolders": null });
    api.customer("POST", SUBMIT, cleared).await.expect(201);
    let user = api.app.store.user(&source, "alice").await.unwrap().unwrap();
    assert_eq!((user.email, user.exclude_folders.len(), user.sourceport), (None, 0, Some(1143)));
}

#[tokio::test]
async fn times_at_the_ends_of_the_calendar_are_refused() {
    let api = Api::start().await;
    api.furnish().await;
    for time in [
        "9999-12-31T23:59:59-23:59",
        "9999-12-31T23:59:59Z",
        "0000-01-01T00:00:00+23:59",
        "-009999-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "2024-02-30T00:00:00Z",
        "2024-05-01T22",
        "",
    ] {
        let body = json!({ "sourceUid": "alice", "phase": "PRE_SYNC", "notBefore": time });
        let errors = api.customer("POST", SUBMIT, body).await.errors(400);
        assert_eq!(errors, ["notBefore: must be a time such as 2024-05-01T22:00:00Z"], "{time}");
    }
}

#[tokio::test]
async fn a_time_may_be_written_in_any_form() {
    let api = Api::start().await;
    api.furnish().await;
    for (uid, text, expected) in [
        ("a", "2037-05-01T22:00:00", "2037-05-01T22:00:00.00Z"),
        ("b", "2037-05-01", "2037-05-01T00:00:00.00Z"),
        ("c", "20370501T220000.123456789123+0130", "2037-05-01T20:30:00.12Z"),
        ("d", "2037-05-01 22:00+02", "2037-05-01T20:00:00.00Z"),
    ] {
        let mut body = first(uid);
        body["notBefore"] = json!(text);
        assert_eq!(api.customer("POST", SUBMIT, body).await.expect(201)["notBefore"], expected, "{text}");
    }
}

#[tokio::test]
async fn mail_of_a_migration_that_failed_is_guarded_too() {
    let api = Api::start().await;
    let source = api.furnish().await;
    for (uid, count, attempt, is_guarded) in
        [("a", Some(1), 1, true), ("b", None, 1, true), ("c", Some(0), 1, false), ("d", None, 0, false)]
    {
        let record = api.submit(uid).await;
        let claimed = api.claim(&source, &record).await;
        let counts = Counts { sync_message_count: count, ..Counts::default() };
        let finish =
            Finish { status: Status::Failure, details: json!([]), counts, attempt, verification: None };
        api.app.store.finish(&source, claimed.job, claimed.epoch, &finish).await.unwrap();
        let moved = json!({ "sourceUid": uid, "phase": "PRE_SYNC", "targetUid": format!("moved-{uid}") });
        let changed = api.customer("PUT", &format!("/users/{uid}"), json!({ "targetUid": "x" })).await;
        assert_eq!(changed.status.as_u16(), if is_guarded { 409 } else { 200 }, "{uid}: {changed:?}");
        let bulk = request("POST", "/dmf/api/v2/users/migrations/bulk?dryRun=true").header(KEY_HEADER, KEY);
        let bulk = bulk.header(header::CONTENT_TYPE, "application/x-ndjson").body(moved.to_string().into());
        let line = api.send(bulk.unwrap()).await.json();
        assert_eq!(line["status"], if is_guarded { "REFUSED" } else { "VALID" }, "{uid}: {line}");
        let submitted = api.customer("POST", SUBMIT, moved).await;
        assert_eq!(submitted.status.as_u16(), if is_guarded { 409 } else { 201 }, "{uid}: {submitted:?}");
    }
}

#[tokio::test]
async fn redis_is_not_waited_for() {
    let api = Api::start().await;
    api.furnish().await;
    api.lab.redis().kill().await.unwrap();
    api.submit("alice").await;
}

#[tokio::test]
async fn a_uid_may_hold_any_visible_character() {
    let api = Api::start().await;
    api.furnish().await;
    let uids = [
        ("user@example.com", "user@example.com"),
        ("a/b", "a%2Fb"),
        ("100%", "100%25"),
        ("%41", "%2541"),
        ("a b", "a%20b"),
        ("a+b", "a+b"),
        ("jörg", "j%C3%B6rg"),
        ("日本", "%e6%97%a5%e6%9c%ac"),
        ("migrations", "migrations"),
        ("latest", "latest"),
        ("{id}", "%7Bid%7D"),
        ("a;b=c,d", "a;b=c,d"),
        ("' OR 1=1 --", "%27%20OR%201=1%20--"),
        (" a ", "%20a%20"),
        (" a", "%20a"),
    ];
    for (uid, encoded) in uids {
        let answer = api.customer("POST", SUBMIT, first(uid)).await;
        let record = answer.expect(201);
        assert_eq!(record["sourceUid"], uid);
        let location = answer.headers[header::LOCATION].to_str().unwrap().to_owned();
        let by_location = location.strip_prefix("/dmf/api/v2").unwrap();
        assert_eq!(api.customer("GET", by_location, Value::Null).await.expect(200), record, "{location}");
        let latest = format!("/users/{encoded}/migrations/latest");
        assert_eq!(api.customer("GET", &latest, Value::Null).await.expect(200), record, "{latest}");
        let close = format!("/users/{encoded}/migrations/close/latest/as/ABORTED");
        assert_eq!(
            without_times(api.customer("PUT", &close, Value::Null).await.expect(200))["status"],
            "ABORTED"
        );
    }
    // Not trimmed, not folded.
    for unknown in ["a%20b%20", "User@example.com", "jorg", "a%2fB"] {
        let path = format!("/users/{unknown}/migrations/latest");
        assert_eq!(
            api.customer("GET", &path, Value::Null).await.errors(404),
            ["User not found"],
            "{unknown}"
        );
    }
}
