//! The deprecated v1: paths without a version, every key, unknown fields ignored, the target `default`.

use axum::http::{HeaderName, Method, header};
use dmf_scheduler::api::{openapi, routes::routes};
use serde_json::{Value, json};

use crate::support::{ADMIN, Answer, Api, KEY, KEY_HEADER, request, with_json, without_times};

async fn customer(api: &Api, method: &str, path: &str, body: Value) -> Answer {
    let call = request(method, &format!("/dmf/api{path}")).header(KEY_HEADER, KEY);
    api.send(with_json(call, &body)).await
}

#[tokio::test]
async fn a_migration_is_submitted_and_reviewed_as_v1_did() {
    let api = Api::start().await;
    api.furnish().await;
    let submit = json!({
        "sourceUid": "alice", "targetUid": "new", "sourcehost": "imap.host.1", "phase": "PRE_SYNC", "colour": "red",
    });
    let answer = customer(&api, "POST", "/users/migrations", submit).await;
    let record = answer.expect(201);
    assert_eq!(answer.headers["deprecation"], "@1618531200");
    assert_eq!(answer.headers[header::LINK], "</dmf/api/v2/users/migrations>; rel=\"successor-version\"");
    assert_eq!(answer.headers[header::LOCATION], "/dmf/api/users/alice/migrations/1");
    let found = customer(&api, "GET", "/users/alice/migrations/latest", Value::Null).await.expect(200);
    assert_eq!(found, record);
    let mut times = found.clone();
    for unset in ["started", "stopped", "notBefore"] {
        assert_eq!(times.as_object_mut().unwrap().remove(unset), Some(Value::Null), "{unset}");
    }
    assert_eq!(
        without_times(times),
        json!({
            "id": 1,
            "sourceUid": "alice",
            "created": "time",
            "status": "SCHEDULED",
            "phase": "PRE_SYNC",
            "priority": false,
            "attempt": null,
            "details": null,
            "backend": null,
            "modified": "time",
            "targetMessageCount": null,
            "targetMailboxSize": null,
            "sourceMessageCount": null,
            "sourceMailboxSize": null,
            "expungedMessageCount": null,
            "syncMessageCount": null,
            "syncSpeed": null,
            "verification": null,
        })
    );
    let user = customer(&api, "GET", "/v1/users/alice", Value::Null).await.expect(200);
    assert_eq!((&user["target"], &user["email"]), (&json!("default"), &Value::Null));
    // The next one needs no target, and does not bring the user to another one.
    customer(&api, "PUT", "/users/alice/migrations/close/latest/as/SUCCESS", Value::Null).await.expect(200);
    let again = json!({ "sourceUid": "alice", "phase": "PRE_SYNC" });
    customer(&api, "POST", "/users/migrations", again).await.expect(201);
}

/// What v1 has not: fields that are there for a moment only.
const NOT_OF_V1: [&str; 2] = ["progress", "warnings"];

/// Fields that the schema has and the value has not, at any depth.
fn missing(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let schema = match schema["$ref"].as_str() {
        // As the operator wrote it.
        Some("#/components/schemas/Command") => return Vec::new(),
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    if let Some(items) = value.as_array() {
        return items.iter().flat_map(|item| missing(document, &schema["items"], item, at)).collect();
    }
    let Some(object) = value.as_object() else { return Vec::new() };
    let fields = schema["properties"].as_object().into_iter().flatten();
    let fields = fields.filter(|(field, _)| !NOT_OF_V1.contains(&field.as_str()));
    let found = fields.map(|(field, schema)| {
        let at = format!("{at}.{field}");
        match object.get(field) {
            Some(value) => missing(document, schema, value, &at),
            None => vec![at],
        }
    });
    found.flatten().collect()
}

#[tokio::test]
async fn every_answer_has_every_key() {
    let api = Api::start().await;
    api.furnish().await;
    api.register_worker().await;
    api.submit("alice").await;
    let document = openapi::document(&routes(), &HeaderName::from_static("x-api-key"));
    let document = serde_json::to_value(document).unwrap();
    let mut compared = 0;
    for route in
        routes().iter().filter(|route| route.method == Method::GET && route.path.starts_with("/dmf/"))
    {
        let documented = route.path.replace("{source_uid}", "{sourceUid}");
        let answers = &document["paths"][documented]["get"]["responses"]["200"]["content"];
        let path = route
            .path
            .replace("/v2/", "/")
            .replace("{source}", "CustomerX")
            .replace("{host}", "imap.host.1")
            .replace("{target}", "default")
            .replace("{name}", "worker-1")
            .replace("{source_uid}", "alice")
            .replace("{id}", "1");
        let call = request("GET", &path).header(header::AUTHORIZATION, ADMIN).header(KEY_HEADER, KEY);
        let answer = api.send(with_json(call, &Value::Null)).await.expect(200);
        let schema = &answers["application/json"]["schema"];
        assert!(schema.is_object(), "{path}");
        assert_eq!(missing(&document, schema, &answer, ""), [""; 0], "{path}: {answer}");
        compared += 1;
    }
    assert!(compared >= 15, "{compared}");
}

#[tokio::test]
async fn the_header_chooses_the_version_of_a_path_without_one() {
    let api = Api::start().await;
    api.furnish().await;
    api.submit("alice").await;
    for (name, value, is_v1) in [
        ("x-api-version", "v1", true),
        ("accept-version", "1", true),
        ("accept-version", "v2", false),
        ("X-API-VERSION", "2", false),
    ] {
        let call = request("GET", "/dmf/api/users/alice/migrations/latest").header(KEY_HEADER, KEY);
        let answer = api.send(with_json(call.header(name, value), &Value::Null)).await;
        assert_eq!(answer.expect(200).get("backend").is_some(), is_v1, "{name}: {value}");
        assert_eq!(answer.headers.contains_key("deprecation"), is_v1, "{name}: {value}");
    }
    let call = request("GET", "/dmf/api/users/alice").header(KEY_HEADER, KEY).header("x-api-version", "v3");
    let refused = api.send(with_json(call, &Value::Null)).await;
    assert_eq!(refused.errors(400), ["X-API-VERSION, Accept-Version: must be v1 or v2"]);
    // v2 under its own path is never touched.
    let call =
        request("GET", "/dmf/api/v2/users/alice").header(KEY_HEADER, KEY).header("x-api-version", "v1");
    let answer = api.send(with_json(call, &Value::Null)).await;
    assert_eq!(answer.expect(200).get("email"), None);
}

#[tokio::test]
async fn the_admin_has_a_v1_too_and_credentials_are_asked_for() {
    let api = Api::start().await;
    let call = request("POST", "/dmf/admin/api/sources").header(header::AUTHORIZATION, ADMIN);
    let created = api.send(with_json(call, &json!({ "name": "CustomerX", "apiKey": KEY, "x": 1 }))).await;
    created.expect(201);
    let call = request("GET", "/dmf/admin/api/sources").header(header::AUTHORIZATION, ADMIN);
    let listed = api.send(with_json(call, &Value::Null)).await.expect(200);
    assert_eq!((&listed[0]["name"], listed[0].get("rateLimit")), (&json!("CustomerX"), Some(&Value::Null)));
    for path in ["/dmf/admin/api/sources", "/dmf/api/users", "/dmf/api/nothing"] {
        let answer = api.send(with_json(request("GET", path), &Value::Null)).await;
        assert_eq!(answer.errors(401), ["Valid credentials are required"]);
        assert_eq!(answer.json()["_links"]["self"]["href"], path);
    }
    assert_eq!(customer(&api, "GET", "/nothing", Value::Null).await.errors(404), ["Page Not Found"]);
}

#[tokio::test]
async fn v2_ignores_unknown_fields_where_it_is_told_to() {
    let api = Api::start_with("dmf.api.unknown-fields: ignore\n").await;
    let created = api.admin("POST", "/targets", json!({ "name": "west", "colour": "red" })).await.expect(201);
    assert_eq!(created["name"], "west");
    api.admin("GET", "/audit?colour=red", Value::Null).await.expect(200);
}

#[tokio::test]
async fn a_user_of_v1_stays_on_its_target_whatever_is_given() {
    let api = Api::start().await;
    api.furnish().await;
    api.admin("POST", "/targets", json!({ "name": "west" })).await.expect(201);
    let submit = json!({
        "sourceUid": "alice", "targetUid": "new", "target": "west", "sourcehost": "imap.host.1", "phase": "PRE_SYNC",
    });
    customer(&api, "POST", "/users/migrations", submit).await.expect(201);
    let target =
        async || customer(&api, "GET", "/users/alice", Value::Null).await.expect(200)["target"].clone();
    assert_eq!(target().await, "default");
    customer(&api, "PUT", "/users/alice/migrations/close/latest/as/ABORTED", Value::Null).await.expect(200);
    customer(&api, "PUT", "/users/alice", json!({ "target": "west" })).await.expect(200);
    customer(&api, "PUT", "/users/alice", json!({ "target": "west", "targetUid": "newer" }))
        .await
        .expect(200);
    assert_eq!(target().await, "default");
    let user =
        json!({ "sourceUid": "bob", "targetUid": "bob", "target": "none", "sourcehost": "imap.host.1" });
    assert_eq!(customer(&api, "POST", "/users", user).await.expect(201)["target"], "default");
}

#[tokio::test]
async fn a_bulk_of_v1_reads_and_answers_as_v1() {
    let api = Api::start().await;
    api.furnish().await;
    let lines = [
        json!({ "sourceUid": "a", "targetUid": "a", "sourcehost": "imap.host.1", "phase": "PRE_SYNC", "colour": 1 }),
        json!({ "sourceUid": "b", "phase": "PRE_SYNC" }),
    ];
    let call = request("POST", "/dmf/api/users/migrations/bulk").header(KEY_HEADER, KEY);
    let call = call.header(header::CONTENT_TYPE, "application/x-ndjson");
    let answer = api.send(call.body(format!("{}\n{}", lines[0], lines[1]).into()).unwrap()).await;
    let results: Vec<Value> = answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let created =
        json!({ "line": 1, "sourceUid": "a", "status": "CREATED", "id": results[0]["id"], "errors": null });
    assert_eq!(results[0], created);
    assert_eq!((&results[1]["status"], &results[1]["id"]), (&json!("REFUSED"), &Value::Null));
    let columns = "sourceUid,phase,targetUid,sourcehost,colour\nc,PRE_SYNC,c,imap.host.1,red\n";
    let call = request("POST", "/dmf/api/users/migrations/bulk").header(KEY_HEADER, KEY);
    let call = call.header(header::CONTENT_TYPE, "text/csv").body(columns.into());
    assert!(api.send(call.unwrap()).await.text.contains("CREATED"));
}

#[tokio::test]
async fn the_version_is_asked_where_the_settings_say() {
    let more = "micronaut.router.versioning: {default-version: v2, header.names: X-V, parameter: {enabled: true, names: v}}\n";
    let api = Api::start_with(more).await;
    api.furnish().await;
    api.submit("alice").await;
    for (name, value, query, is_v1) in [
        ("x-none", "", "", false),
        ("x-api-version", "v1", "", false),
        ("x-v", "v1", "", true),
        ("x-none", "", "?v=1", true),
        ("x-v", "2", "?v=1", false),
    ] {
        let call =
            request("GET", &format!("/dmf/api/users{query}")).header(KEY_HEADER, KEY).header(name, value);
        let answer = api.send(with_json(call, &Value::Null)).await;
        assert_eq!(answer.expect(200)["users"][0].get("email").is_some(), is_v1, "{name}: {value} {query}");
    }
}
