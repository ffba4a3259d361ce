//! The audit log: every change, no refusal, no secret.

use serde_json::{Value, json};

use crate::support::{Answer, Api, KEY, KEY_HEADER, first, request, with_json};

const AUDIT: &str = "/audit";

async fn entries(api: &Api, query: &str) -> Vec<Value> {
    let page = api.admin("GET", &format!("{AUDIT}{query}"), Value::Null).await.expect(200);
    page["entries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn every_change_is_noted_with_who_what_when_and_no_secret() {
    let api = Api::start_with_storage_key().await;
    api.furnish().await;
    let mut body = first("alice");
    body["password"] = json!("correct horse");
    body["force"] = json!(true);
    let call = request("POST", "/dmf/api/v2/users/migrations").header(KEY_HEADER, KEY);
    let submitted: Answer = api.send(with_json(call.header("x-request-id", "abc"), &body)).await;
    submitted.expect(201);
    let made = api.admin("PUT", "/sources/CustomerX", json!({ "apiKey": null })).await.expect(200);
    let all = entries(&api, "").await;
    let actors: Vec<_> = all.iter().map(|entry| entry["actor"].as_str().unwrap()).collect();
    assert_eq!(actors, ["admin:admin", "source:CustomerX", "admin:admin", "admin:admin", "admin:admin"]);
    let mut submit = all[1].clone();
    assert!(submit["time"].take().as_str().unwrap().ends_with('Z'));
    assert!(submit["id"].take().is_u64());
    assert_eq!(
        submit,
        json!({
            "id": null,
            "time": null,
            "actor": "source:CustomerX",
            "requestId": "abc",
            "method": "POST",
            "path": "/dmf/api/v2/users/migrations",
            "fields": {
                "sourceUid": "alice",
                "phase": "PRE_SYNC",
                "targetUid": "new-alice",
                "target": "default",
                "sourcehost": "imap.host.1",
                "password": "(given)",
                "force": true,
            },
            "status": 201,
        })
    );
    assert_eq!(all[0]["fields"], json!({ "apiKey": null }));
    assert_eq!(all[3]["fields"]["migrationCommand1"], "(given)");
    let text = json!(all).to_string();
    for secret in [KEY, "correct horse", made["apiKey"].as_str().unwrap()] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn what_was_refused_or_only_read_is_not_noted() {
    let api = Api::start().await;
    api.furnish().await;
    let before = entries(&api, "").await.len();
    api.admin("POST", "/targets", json!({ "name": "default" })).await.errors(409);
    api.admin("POST", "/targets", json!({})).await.errors(400);
    api.admin("DELETE", "/targets/none", Value::Null).await.errors(404);
    api.admin("PATCH", "/targets", Value::Null).await.errors(405);
    api.send(with_json(request("POST", "/dmf/admin/api/v2/targets"), &json!({ "name": "a" })))
        .await
        .errors(401);
    api.customer("GET", "/users", Value::Null).await.expect(200);
    assert_eq!(entries(&api, "").await.len(), before);
}

#[tokio::test]
async fn a_bulk_is_one_entry_with_its_figures() {
    let api = Api::start().await;
    api.furnish().await;
    let mut forced = first("b");
    forced["force"] = json!(true);
    let body = format!("{}\n{forced}\n{}\nx\n", first("a"), first("a"));
    let call = request("POST", "/dmf/api/v2/users/migrations/bulk").header(KEY_HEADER, KEY);
    let call = call.header("content-type", "application/x-ndjson").body(body.into());
    assert_eq!(api.send(call.unwrap()).await.text.lines().count(), 4);
    let entry = entries(&api, "?actor=source:CustomerX").await.remove(0);
    let figures = json!({ "dryRun": false, "created": 2, "forced": 1, "existing": 1, "refused": 1 });
    assert_eq!((&entry["fields"], &entry["status"]), (&figures, &json!(200)));
}

#[tokio::test]
async fn the_log_is_filtered_and_paged() {
    let api = Api::start().await;
    api.furnish().await;
    for uid in ["a", "b", "c"] {
        api.submit(uid).await;
    }
    assert_eq!(entries(&api, "?actor=source:CustomerX").await.len(), 3);
    assert_eq!(entries(&api, "?actor=nobody").await.len(), 0);
    assert_eq!(entries(&api, "?from=2999-01-01T00:00:00Z").await.len(), 0);
    assert_eq!(entries(&api, "?until=2999-01-01T00:00:00Z").await.len(), 6);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.admin("GET", &format!("{AUDIT}?limit=4{cursor}"), Value::Null).await.expect(200);
        seen.extend(page["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_u64().unwrap()));
        let Some(next) = page.get("nextCursor") else { break };
        cursor = format!("&cursor={}", next.as_str().unwrap());
    }
    assert_eq!(seen.len(), 6);
    assert!(seen.is_sorted_by(|a, b| a > b));
    api.admin("GET", &format!("{AUDIT}?actr=x"), Value::Null).await.errors(400);
}
