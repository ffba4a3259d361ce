//! `/loggers`, `/info`, liveness and readiness, as the manual's curl lines ask for them.

use serde_json::{Value, json};

use crate::support::{ADMIN, Answer, Api, request, with_json};

async fn call(api: &Api, method: &str, path: &str, body: Value) -> Answer {
    api.send(with_json(request(method, path).header("Authorization", ADMIN), &body)).await
}

async fn logger(api: &Api, name: &str) -> Value {
    call(api, "GET", &format!("/loggers/{name}"), Value::Null).await.expect(200)
}

#[tokio::test]
async fn levels_are_read_set_and_unset() {
    let api = Api::start().await;
    let unset = json!({ "configuredLevel": "NOT_SPECIFIED", "effectiveLevel": "INFO" });
    assert_eq!(logger(&api, "dmf").await, unset);
    let set = call(&api, "POST", "/loggers/dmf", json!({ "configuredLevel": "DEBUG" })).await;
    assert_eq!((set.status.as_u16(), set.text.as_str()), (200, ""));
    assert_eq!(logger(&api, "dmf").await, json!({ "configuredLevel": "DEBUG", "effectiveLevel": "DEBUG" }));
    for inherits in ["dmf.scheduler.api", "dmf_scheduler::api"] {
        let expected = json!({ "configuredLevel": "NOT_SPECIFIED", "effectiveLevel": "DEBUG" });
        assert_eq!(logger(&api, inherits).await, expected);
    }
    let all = call(&api, "GET", "/loggers", Value::Null).await.expect(200);
    let levels = json!(["ALL", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "OFF", "NOT_SPECIFIED"]);
    assert_eq!(all["levels"], levels);
    assert_eq!(all["loggers"]["dmf"]["configuredLevel"], "DEBUG");
    assert_eq!(all["loggers"]["ROOT"]["effectiveLevel"], "INFO");
    for body in
        [json!({ "configuredLevel": null }), json!({ "configuredLevel": "not_specified" }), Value::Null]
    {
        call(&api, "POST", "/loggers/dmf", json!({ "configuredLevel": "warn" })).await;
        assert_eq!(call(&api, "POST", "/loggers/dmf", body).await.status, 200);
        assert_eq!(logger(&api, "dmf").await, unset);
    }
}

#[tokio::test]
async fn what_is_no_level_is_refused_and_only_the_admin_sets_one() {
    let api = Api::start_with("endpoints.loggers.sensitive: false\n").await;
    for (name, body) in [
        ("dmf", json!({ "configuredLevel": "LOUD" })),
        ("dmf", json!({ "configuredLevel": 7 })),
        ("ROOT", json!({ "configuredLevel": null })),
    ] {
        call(&api, "POST", &format!("/loggers/{name}"), body).await.errors(400);
    }
    let anonymous = |method| request(method, "/loggers/dmf");
    assert_eq!(api.send(with_json(anonymous("GET"), &Value::Null)).await.status, 200);
    let set = with_json(anonymous("POST"), &json!({ "configuredLevel": "TRACE" }));
    api.send(set).await.errors(401);
    assert_eq!(logger(&api, "dmf").await["effectiveLevel"], "INFO");
    call(&api, "DELETE", "/loggers/dmf", Value::Null).await.errors(405);
}

#[tokio::test]
async fn a_change_of_a_level_is_noted_and_made_also_while_the_database_is_away() {
    let api = Api::start().await;
    let debug = json!({ "configuredLevel": "DEBUG" });
    call(&api, "POST", "/loggers/dmf", json!({ "configuredLevel": "LOUD" })).await.errors(400);
    call(&api, "POST", "/loggers/dmf", json!({ "configuredLevel": " ".repeat(5000) })).await.errors(400);
    assert_eq!(call(&api, "POST", "/loggers/dmf", debug.clone()).await.status, 200);
    let audit = api.admin("GET", "/audit", Value::Null).await.expect(200);
    let entries = audit["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{audit}");
    let noted = ["actor", "method", "path", "fields", "status"].map(|field| entries[0][field].clone());
    assert_eq!(noted, [json!("admin:admin"), json!("POST"), json!("/loggers/dmf"), debug, json!(200)]);
    api.lab.mariadb().kill().await.unwrap();
    let unset = call(&api, "POST", "/loggers/dmf", json!({ "configuredLevel": null })).await;
    assert_eq!(unset.status, 200);
    assert_eq!(logger(&api, "dmf").await["effectiveLevel"], "INFO");
}

#[tokio::test]
async fn it_is_alive_at_once_and_ready_when_it_has_started() {
    let api = Api::start_with("micronaut.application.name: my-dmf\n").await;
    let status = async |path: &str| api.send(with_json(request("GET", path), &Value::Null)).await;
    assert_eq!(status("/health/liveness").await.expect(200), json!({ "status": "UP" }));
    assert_eq!(status("/health/readiness").await.expect(503), json!({ "status": "DOWN" }));
    api.app.management.readiness.set();
    assert_eq!(status("/health/readiness").await.expect(200), json!({ "status": "UP" }));
    let tree = call(&api, "GET", "/health/readiness", Value::Null).await.expect(200);
    assert_eq!(tree["name"], "my-dmf");
    let parts: Vec<_> = tree["details"].as_object().unwrap().keys().collect();
    assert_eq!(parts, ["jdbc", "service"]);
    let info = call(&api, "GET", "/info", Value::Null).await.expect(200);
    assert_eq!(info["build"]["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn indicators_can_be_switched_off() {
    let off = "endpoints.health: {jdbc.enabled: false, disk-space.enabled: false, discovery-client.enabled: false}\n";
    let api = Api::start_with(off).await;
    let tree = call(&api, "GET", "/health", Value::Null).await.expect(200);
    let parts: Vec<_> = tree["details"].as_object().unwrap().keys().collect();
    assert_eq!(parts, ["redis", "service"]);
}

#[tokio::test]
async fn metrics_are_listed_shown_and_scraped() {
    let api = Api::start().await;
    let names = call(&api, "GET", "/metrics", Value::Null).await.expect(200);
    let names: Vec<_> =
        names["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(names.is_sorted() && names.contains(&"process.uptime"), "{names:?}");
    let uptime = call(&api, "GET", "/metrics/process.uptime", Value::Null).await.expect(200);
    assert_eq!(uptime["measurements"][0]["statistic"], "VALUE");
    assert_eq!((&uptime["name"], &uptime["baseUnit"]), (&json!("process.uptime"), &json!("seconds")));
    call(&api, "GET", "/metrics/process.uptime?tag=a:b", Value::Null).await.errors(404);
    call(&api, "GET", "/metrics/process.uptime?tag=ab", Value::Null).await.errors(400);
    call(&api, "GET", "/metrics/nothing", Value::Null).await.errors(404);
    let text = call(&api, "GET", "/prometheus", Value::Null).await;
    assert_eq!(text.status, 200);
    assert!(
        text.text.contains("\n# TYPE process_uptime_seconds gauge\nprocess_uptime_seconds "),
        "{}",
        text.text
    );
    api.send(with_json(request("GET", "/prometheus"), &Value::Null)).await.errors(401);
}
