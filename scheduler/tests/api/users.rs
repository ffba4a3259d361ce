//! Users without a migration: created, listed, changed, deleted.

use axum::http::header;
use dmf_shared::store::HandBack;
use serde_json::{Value, json};

use crate::support::{Api, without_times};

const USERS: &str = "/users";

fn user(uid: &str) -> Value {
    json!({
        "sourceUid": uid, "targetUid": format!("new-{uid}"), "target": "default", "sourcehost": "imap.host.1",
    })
}

async fn read(api: &Api, uid: &str) -> Value {
    without_times(api.customer("GET", &format!("/users/{uid}"), Value::Null).await.expect(200))
}

#[tokio::test]
async fn a_user_is_created_with_all_fields_and_its_password_is_never_shown() {
    let api = Api::start_with_storage_key().await;
    let source = api.furnish().await;
    let mut full = user("a/b ü");
    for (field, value) in [
        ("sourceport", json!(1143)),
        ("email", json!("a@example.com")),
        ("password", json!("correct horse")),
        ("container", json!("c1")),
        ("imapcOptions", json!(["imapc_features=rfc822.size"])),
        ("useImapcSsl", json!("imaps")),
        ("excludeFolders", json!(["Trash"])),
    ] {
        full[field] = value;
    }
    let answer = api.customer("POST", USERS, full.clone()).await;
    let created = answer.expect(201);
    full.as_object_mut().unwrap().remove("password");
    full["created"] = json!("time");
    full["modified"] = json!("time");
    assert_eq!(without_times(created), full);
    assert_eq!(answer.headers[header::LOCATION], "/dmf/api/v2/users/a%2Fb%20%C3%BC");
    assert_eq!(read(&api, "a%2Fb%20%C3%BC").await, full);
    assert!(api.app.store.user(&source, "a/b ü").await.unwrap().unwrap().password.is_some());

    let again = api.customer("POST", USERS, user("a/b ü")).await;
    assert_eq!(again.errors(409), ["sourceUid: this user exists"]);
    let mut twin = user("b");
    twin["targetUid"] = json!("NEW-A/B Ü");
    let taken = api.customer("POST", USERS, twin).await;
    assert_eq!(taken.errors(409), ["targetUid: is taken by another user on this target"]);
    let short = api.customer("POST", USERS, json!({ "sourceUid": "c", "phase": "PRE_SYNC" })).await;
    assert!(short.errors(400)[3].starts_with("phase: unknown field"));
    let short = api.customer("POST", USERS, json!({ "sourceUid": "c" })).await;
    assert_eq!(
        short.errors(400),
        ["targetUid: is required", "target: is required", "sourcehost: is required"]
    );
    // Then a submit needs nothing more.
    let submit = json!({ "sourceUid": "a/b ü", "phase": "PRE_SYNC" });
    api.customer("POST", "/users/migrations", submit).await.expect(201);
}

#[tokio::test]
async fn a_change_sets_what_is_given_and_clears_what_is_null() {
    let api = Api::start().await;
    api.furnish().await;
    api.customer("POST", USERS, user("a")).await.expect(201);
    let before = read(&api, "a").await;
    let change = json!({ "email": "a@example.com", "excludeFolders": ["Spam"], "targetUid": "elsewhere" });
    api.customer("PUT", "/users/a", change).await.expect(200);
    let changed = read(&api, "a").await;
    assert_eq!((&changed["email"], &changed["targetUid"]), (&json!("a@example.com"), &json!("elsewhere")));
    // The uid that it had is free now.
    let mut other = user("b");
    other["targetUid"] = json!("new-a");
    api.customer("POST", USERS, other).await.expect(201);
    let taken = api.customer("PUT", "/users/a", json!({ "targetUid": "NEW-A" })).await;
    assert_eq!(taken.errors(409), ["targetUid: is taken by another user on this target"]);
    api.customer("DELETE", "/users/b", Value::Null).await;
    let back = json!({ "email": null, "excludeFolders": null, "targetUid": "new-a" });
    api.customer("PUT", "/users/a", back).await.expect(200);
    assert_eq!(read(&api, "a").await, before);

    // What was read can be written back.
    let read_back = api.customer("GET", "/users/a", Value::Null).await.expect(200);
    api.customer("PUT", "/users/a", read_back).await.expect(200);
    assert_eq!(read(&api, "a").await, before);

    let needed = json!({ "targetUid": null, "target": null, "sourcehost": null, "created": "2020-01-01", "modified": null });
    assert_eq!(
        api.customer("PUT", "/users/a", needed).await.errors(400),
        [
            "created: can't be changed",
            "modified: can't be changed",
            "targetUid: can't be null",
            "target: can't be null",
            "sourcehost: can't be null",
        ]
    );
    let wrong = json!({ "sourceUid": "b", "useImapcSsl": "tls", "emial": "x" });
    assert_eq!(
        api.customer("PUT", "/users/a", wrong).await.errors(400),
        [
            "sourceUid: can't be changed",
            "useImapcSsl: must be no, imaps or starttls",
            "emial: unknown field, did you mean email?",
        ]
    );
    let none = api.customer("PUT", "/users/none", json!({ "email": "x" })).await;
    assert_eq!(none.errors(404), ["User not found"]);
}

#[tokio::test]
async fn the_place_of_a_user_stays_while_a_migration_is_open_and_after_mail_was_moved() {
    let api = Api::start().await;
    api.furnish().await;
    let id = api.submit("a").await["id"].clone();
    let moved = json!({ "targetUid": "elsewhere" });
    let open = api.customer("PUT", "/users/a", moved.clone()).await;
    assert_eq!(open.errors(409), [format!("sourceUid: migration {id} of this user is open")]);
    api.customer("PUT", "/users/a", json!({ "email": "new@example.com" })).await.expect(200);
    let close = "/users/a/migrations/close/latest/as/SUCCESS";
    api.customer("PUT", close, Value::Null).await.expect(200);
    let synced = api.customer("PUT", "/users/a", moved.clone()).await.errors(409);
    assert!(synced[0].starts_with("targetUid, target: can't change"), "{synced:?}");
    let mut forced = moved;
    forced["force"] = json!(true);
    api.customer("PUT", "/users/a", forced).await.expect(200);
    assert_eq!(read(&api, "a").await["targetUid"], "elsewhere");
}

#[tokio::test]
async fn a_user_is_deleted_with_its_records_once_nothing_of_it_can_run() {
    let api = Api::start().await;
    let source = api.furnish().await;
    let record = api.submit("a").await;
    let delete = async || api.customer("DELETE", "/users/a", Value::Null).await;
    assert_eq!(delete().await.errors(409), ["sourceUid: migration 1 of this user is open"]);
    let claimed = api.claim(&source, &record).await;
    api.customer("PUT", "/users/a/migrations/close/latest/as/ABORTED", Value::Null).await.expect(200);
    let killing = delete().await.errors(409);
    assert!(killing[0].starts_with("sourceUid: migration 1 of this user is closed"), "{killing:?}");
    api.app.store.hand_back(&source, claimed.job, claimed.epoch, &HandBack::default()).await.unwrap();
    assert_eq!(delete().await.status.as_u16(), 204);
    assert_eq!(delete().await.errors(404), ["User not found"]);
    api.customer("GET", "/users/a/migrations", Value::Null).await.errors(404);
    let all = api.customer("GET", "/users/migrations", Value::Null).await.expect(200);
    assert_eq!(all, json!({ "migrations": [] }));
    // Uid and target uid are free again.
    api.submit("a").await;
}

#[tokio::test]
async fn pages_go_through_all_users_once_while_others_are_added() {
    let api = Api::start().await;
    api.furnish().await;
    for uid in ["e", "d", "c", "b", "a"] {
        api.customer("POST", USERS, user(uid)).await.expect(201);
    }
    let (mut seen, mut cursor, mut added) = (Vec::new(), String::new(), 0);
    loop {
        let path = format!("/users?limit=2{cursor}");
        let page = api.customer("GET", &path, Value::Null).await.expect(200);
        let uids = page["users"].as_array().unwrap().iter().map(|user| user["sourceUid"].clone());
        seen.extend(uids);
        if added < 2 {
            added += 1;
            api.customer("POST", USERS, user(&format!("0{added}"))).await.expect(201);
        }
        let Some(next) = page.get("nextCursor") else { break };
        cursor = format!("&cursor={}", next.as_str().unwrap());
    }
    assert_eq!(seen, ["e", "d", "c", "b", "a", "01", "02"]);
}

#[tokio::test]
async fn users_are_filtered_by_source_host_and_target() {
    let api = Api::start().await;
    api.furnish().await;
    let host =
        json!({ "name": "imap.host.2", "maxConnections": 2, "migrationCommand1": { "name": "ignore" } });
    api.admin("POST", "/sources/CustomerX/sourcehosts", host).await.expect(201);
    api.admin("POST", "/targets", json!({ "name": "west" })).await.expect(201);
    for (uid, host, target) in
        [("a", "imap.host.1", "default"), ("b", "imap.host.2", "default"), ("c", "imap.host.2", "west")]
    {
        let mut body = user(uid);
        body["sourcehost"] = json!(host);
        body["target"] = json!(target);
        api.customer("POST", USERS, body).await.expect(201);
    }
    for (query, expected) in [
        ("", vec!["a", "b", "c"]),
        ("?sourcehost=imap.host.2", vec!["b", "c"]),
        ("?target=default", vec!["a", "b"]),
        ("?sourcehost=IMAP.host.2&target=west", vec!["c"]),
        ("?sourcehost=imap.host.1&target=west", vec![]),
    ] {
        let page = api.customer("GET", &format!("/users{query}"), Value::Null).await.expect(200);
        let uids: Vec<_> =
            page["users"].as_array().unwrap().iter().map(|user| user["sourceUid"].clone()).collect();
        assert_eq!(uids, expected, "{query}");
    }
    let wrong =
        api.customer("GET", "/users?sourcehost=x&target=y&limit=0&cursor=a&targt=z", Value::Null).await;
    assert_eq!(
        wrong.errors(400),
        [
            "limit: must be a whole number from 1 to 1000",
            "cursor: must be the nextCursor of an earlier page",
            "target: there is no such target",
            "sourcehost: this Source has no such source host",
            "targt: unknown field, did you mean target?",
        ]
    );
    let twice = api.customer("GET", "/users?limit=1&limit=2", Value::Null).await;
    assert_eq!(twice.errors(400), ["limit: must be given once"]);
}
