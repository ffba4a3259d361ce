//! Deleting Sources, source hosts and targets, and another key for a Source.

use dmf_lab::poll_until;
use dmf_shared::store::{HandBack, Wanted};
use serde_json::{Value, json};

use crate::{
    log::log,
    support::{Api, KEY, KEY_HEADER, PATIENCE, request, with_json},
};

const SOURCE: &str = "/sources/CustomerX";

#[tokio::test]
async fn a_source_is_deleted_when_nothing_of_it_is_open() {
    let api = Api::start().await;
    api.furnish().await;
    api.submit("a").await;
    let refused = api.admin("DELETE", SOURCE, Value::Null).await.errors(409);
    assert!(refused[0].starts_with("1 migrations of this Source are open"), "{refused:?}");
    api.customer("PUT", "/users/a/migrations/close/latest/as/ABORTED", Value::Null).await.expect(200);
    assert_eq!(api.admin("DELETE", SOURCE, Value::Null).await.status.as_u16(), 204);
    assert_eq!(api.admin("DELETE", SOURCE, Value::Null).await.errors(404), ["Source not found"]);
    api.customer("GET", "/users", Value::Null).await.errors(401);
    // Name, key, and target uids are free; nothing is left of what was.
    api.admin("POST", "/sources", json!({ "name": "CustomerX", "apiKey": KEY })).await.expect(201);
    let host =
        json!({ "name": "imap.host.1", "maxConnections": 2, "migrationCommand1": { "name": "ignore" } });
    api.admin("POST", "/sources/CustomerX/sourcehosts", host).await.expect(201);
    assert_eq!(api.customer("GET", "/users", Value::Null).await.expect(200), json!({ "users": [] }));
    assert_eq!(api.submit("a").await["id"], 1);
}

#[tokio::test]
async fn a_forced_deletion_cancels_and_waits_for_the_last_child() {
    let api = Api::start().await;
    let source = api.furnish().await;
    let record = api.submit("a").await;
    for uid in ["b", "c"] {
        api.submit(uid).await;
    }
    let claimed = api.claim(&source, &record).await;
    let waiting = api.admin("DELETE", &format!("{SOURCE}?force=true"), Value::Null).await;
    let errors = waiting.errors(503);
    assert!(errors[0].contains("1 migrations have not ended yet"), "{errors:?}");
    assert!(waiting.headers.contains_key("retry-after"));
    api.customer("GET", "/users", Value::Null).await.errors(401);
    let holder = api.register_worker().await;
    let held = api.app.store.leases_of(holder.backend, holder.incarnation).await.unwrap();
    assert_eq!(held[0].wanted, Wanted::Cancel);

    // The worker kills it while the same request waits again.
    let worker = async {
        api.app.store.hand_back(&source, claimed.job, claimed.epoch, &HandBack::default()).await.unwrap();
    };
    let delete = async || {
        let answer = api.admin("DELETE", &format!("{SOURCE}?force=true"), Value::Null).await;
        if answer.status.as_u16() == 204 { Ok(()) } else { Err(answer.text) }
    };
    let (deleted, ()) = tokio::join!(poll_until("the Source was not deleted", PATIENCE, delete), worker);
    deleted.unwrap();
    assert_eq!(api.admin("GET", "/sources", Value::Null).await.expect(200), json!([]));
}

#[tokio::test]
async fn the_log_warns_of_a_short_key_and_does_not_show_it() {
    let api = Api::start().await;
    let (log, _guard) = log();
    for (method, path, key, is_short) in [
        ("POST", "/sources", "s3cret-of-15-ch", true),
        ("PUT", SOURCE, "s3cret-of-16-chr", false),
        ("PUT", SOURCE, "s3cret-8", true),
    ] {
        let mut body = json!({ "apiKey": key });
        if method == "POST" {
            body["name"] = json!("CustomerX");
        }
        let answer = api.admin(method, path, body).await;
        assert!(answer.status.is_success(), "{answer:?}");
        let lines = log.take();
        let warned = lines.iter().any(|line| {
            line.contains("WARN") && line.contains("less than 16 characters") && line.contains("CustomerX")
        });
        assert_eq!(warned, is_short, "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("s3cret")), "{lines:?}");
    }
}

#[tokio::test]
async fn a_deletion_that_was_cut_off_goes_on() {
    let api = Api::start().await;
    let source = api.furnish().await;
    api.submit("a").await;
    api.customer("PUT", "/users/a/migrations/close/latest/as/ABORTED", Value::Null).await.expect(200);
    // As far as it comes before the rest: the tables are gone.
    let first = api.app.store.delete_source(&source).await.unwrap();
    assert_eq!(first, dmf_shared::store::Deletion::Unfinished);
    let during = api.customer("GET", "/users", Value::Null).await;
    assert!(during.headers.contains_key("retry-after"));
    during.errors(503);
    assert_eq!(api.admin("DELETE", &format!("{SOURCE}?force=true"), Value::Null).await.status.as_u16(), 204);
}

#[tokio::test]
async fn source_hosts_and_targets_are_deleted_when_nothing_uses_them() {
    let api = Api::start().await;
    api.furnish().await;
    api.submit("a").await;
    let host = "/sources/CustomerX/sourcehosts/imap.host.1";
    let used = ["the source host has users or open migrations"];
    assert_eq!(api.admin("DELETE", host, Value::Null).await.errors(409), used);
    let target = "/targets/default";
    assert_eq!(
        api.admin("DELETE", target, Value::Null).await.errors(409),
        ["the target has backends or users"]
    );
    api.customer("PUT", "/users/a/migrations/close/latest/as/ABORTED", Value::Null).await.expect(200);
    assert_eq!(api.admin("DELETE", host, Value::Null).await.errors(409), used);
    assert_eq!(api.customer("DELETE", "/users/a", Value::Null).await.status.as_u16(), 204);
    api.register_worker().await;
    api.admin("DELETE", target, Value::Null).await.errors(409);
    assert_eq!(api.admin("DELETE", host, Value::Null).await.status.as_u16(), 204);
    assert_eq!(api.admin("DELETE", host, Value::Null).await.errors(404), ["Source host not found"]);
    api.admin("POST", "/targets", json!({ "name": "west" })).await.expect(201);
    assert_eq!(api.admin("DELETE", "/targets/west", Value::Null).await.status.as_u16(), 204);
    assert_eq!(api.admin("DELETE", "/targets/west", Value::Null).await.errors(404), ["Target not found"]);
}

#[tokio::test]
async fn a_key_is_rotated_and_the_old_one_is_void_at_once() {
    let api = Api::start().await;
    api.furnish().await;
    let other = api.admin("POST", "/sources", json!({ "name": "CustomerY" })).await.expect(201);
    let call = async |key: &str| {
        let call = request("GET", "/dmf/api/v2/users").header(KEY_HEADER, key);
        api.send(with_json(call, &Value::Null)).await.status.as_u16()
    };
    let made = api.admin("PUT", SOURCE, json!({ "apiKey": null })).await.expect(200);
    let key = made["apiKey"].as_str().unwrap().to_owned();
    assert_eq!((call(KEY).await, call(&key).await), (401, 200));
    let chosen = api.admin("PUT", SOURCE, json!({ "apiKey": KEY })).await.expect(200);
    assert_eq!(chosen["apiKey"], KEY);
    assert_eq!((call(KEY).await, call(&key).await), (200, 401));
    // A short key is the operator's decision, which the log warns of.
    let short = api.admin("PUT", SOURCE, json!({ "apiKey": "12345678" })).await.expect(200);
    assert_eq!((&short["apiKey"], call("12345678").await), (&json!("12345678"), 200));
    api.admin("PUT", SOURCE, json!({ "apiKey": KEY })).await.expect(200);
    let shown = api.admin("PUT", SOURCE, json!({ "rateLimit": 100 })).await.expect(200);
    assert_eq!((shown.get("apiKey"), &shown["rateLimit"]), (None, &json!(100)));
    let shown = api.admin("PUT", SOURCE, json!({ "rateLimit": null })).await.expect(200);
    assert_eq!(shown.get("rateLimit"), None);
    assert_eq!(call(KEY).await, 200);

    let taken = api.admin("PUT", SOURCE, json!({ "apiKey": other["apiKey"] })).await;
    assert_eq!(taken.errors(409), ["apiKey: another Source has this key"]);
    let wrong = api.admin("PUT", SOURCE, json!({ "apiKey": "short", "rateLimit": -1, "name": "x" })).await;
    assert_eq!(
        wrong.errors(400),
        [
            "apiKey: must be 8 to 1024 visible ASCII characters",
            "rateLimit: must be a whole number from 0 to 100000",
            "name: unknown field, there are: apiKey, rateLimit",
        ]
    );
}

#[tokio::test]
async fn a_deletion_that_was_cut_off_is_shown_and_finished() {
    let api = Api::start().await;
    let source = api.furnish().await;
    api.customer("POST", "/users", first_user("a")).await.expect(201);
    api.admin("POST", "/sources", json!({ "name": "CustomerY" })).await.expect(201);
    api.app.store.drop_journal(&source).await.unwrap();
    let shown =
        json!({ "name": "CustomerX", "paused": false, "users": 0, "openMigrations": 0, "deleting": true });
    assert_eq!(api.admin("GET", SOURCE, Value::Null).await.expect(200), shown);
    let all = api.admin("GET", "/sources", Value::Null).await.expect(200);
    assert_eq!((&all[0], all[1].get("deleting")), (&shown, None));
    assert_eq!(api.app.store.finish_deletions().await.unwrap(), 1);
    assert_eq!(api.app.store.finish_deletions().await.unwrap(), 0);
    let left = api.admin("GET", "/sources", Value::Null).await.expect(200);
    assert_eq!(left.as_array().unwrap().len(), 1);
    // A new one of the same name has nothing of the old one.
    api.furnish_source().await;
    assert_eq!(api.customer("GET", "/users", Value::Null).await.expect(200), json!({ "users": [] }));
    api.customer("POST", "/users", first_user("a")).await.expect(201);
}

fn first_user(uid: &str) -> Value {
    json!({ "sourceUid": uid, "targetUid": uid, "target": "default", "sourcehost": "imap.host.1" })
}
