//! Who may call what: one row for each route, and no route without a row.

use std::collections::BTreeSet;

use axum::http::header;
use dmf_scheduler::api::{
    pages,
    routes::{Access, routes},
};
use serde_json::{Value, json};

use crate::support::{ADMIN, Api, KEY, KEY_HEADER, first, request, with_json};

/// A route, a request to it, and what the right credentials get.
struct Row {
    access: Access,
    method: &'static str,
    route: String,
    path: String,
    body: Value,
    status: u16,
}

impl Row {
    fn with(self, body: Value) -> Self {
        Self { body, ..self }
    }
}

/// A route below `/dmf/admin/api/v2`.
fn admin(method: &'static str, route: &str, path: &str, status: u16) -> Row {
    let below = |path: &str| format!("/dmf/admin/api/v2{path}");
    let (route, path) = (below(route), below(path));
    Row { access: Access::Admin, method, route, path, body: Value::Null, status }
}

/// A route below `/dmf/api/v2/users`.
fn customer(method: &'static str, route: &str, path: &str, status: u16) -> Row {
    let below = |path: &str| format!("/dmf/api/v2/users{path}");
    let (route, path) = (below(route), below(path));
    Row { access: Access::Customer, method, route, path, body: Value::Null, status }
}

fn source_rows() -> Vec<Row> {
    let host =
        json!({ "name": "imap.host.2", "maxConnections": 2, "migrationCommand1": { "name": "ignore" } });
    let (source, x) = ("/sources/{source}", "/sources/CustomerX");
    let hosts = (format!("{source}/sourcehosts"), format!("{x}/sourcehosts"));
    let one = (format!("{}/{{host}}", hosts.0), format!("{}/imap.host.1", hosts.1));
    let of_source =
        |method, end: &str, status| admin(method, &format!("{source}{end}"), &format!("{x}{end}"), status);
    let of_host = |method, end: &str, status| {
        admin(method, &format!("{}{end}", one.0), &format!("{}{end}", one.1), status)
    };
    vec![
        admin("GET", "/sources", "/sources", 200),
        admin("POST", "/sources", "/sources", 201).with(json!({ "name": "CustomerY" })),
        of_source("GET", "", 200),
        of_source("PUT", "", 200).with(json!({ "rateLimit": null })),
        of_source("DELETE", "", 409),
        of_source("PUT", "/pause", 200),
        of_source("PUT", "/resume", 200),
        of_source("GET", "/sourcehosts", 200),
        of_source("POST", "/sourcehosts", 201).with(host),
        of_host("GET", "", 200),
        of_host("PUT", "", 200).with(json!({ "maxConnections": 3 })),
        of_host("DELETE", "", 409),
        of_host("PUT", "/pause", 200),
        of_host("PUT", "/resume", 200),
    ]
}

fn target_rows() -> Vec<Row> {
    let of_worker = |method, end: &str, status| {
        let route = format!("/targets/{{target}}/backends/{{name}}{end}");
        admin(method, &route, &format!("/targets/default/backends/worker-1{end}"), status)
    };
    vec![
        admin("GET", "/targets", "/targets", 200),
        admin("POST", "/targets", "/targets", 201).with(json!({ "name": "west" })),
        admin("GET", "/targets/{target}", "/targets/default", 200),
        admin("DELETE", "/targets/{target}", "/targets/default", 409),
        admin("GET", "/targets/{target}/backends", "/targets/default/backends", 200),
        of_worker("GET", "", 200),
        of_worker("PUT", "", 200).with(json!({ "maxThreads": 3 })),
        of_worker("DELETE", "", 409),
        of_worker("PUT", "/start", 200),
        of_worker("PUT", "/pause", 200),
        of_worker("PUT", "/stop", 200),
        admin("GET", "/backends", "/backends", 200),
        admin("GET", "/audit", "/audit", 200),
    ]
}

fn user_rows() -> Vec<Row> {
    let carol = json!({
        "sourceUid": "carol", "targetUid": "carol", "target": "default", "sourcehost": "imap.host.1",
    });
    vec![
        customer("POST", "", "", 201).with(carol),
        customer("GET", "", "", 200),
        customer("GET", "/{source_uid}", "/alice", 200),
        customer("PUT", "/{source_uid}", "/alice", 200).with(json!({ "email": "alice@example.com" })),
        customer("DELETE", "/{source_uid}", "/alice", 409),
    ]
}

fn migration_rows() -> Vec<Row> {
    let of_user = |method, uid: &str, end: &str, status| {
        let route = format!("/{{source_uid}}/migrations{end}");
        customer(method, &route, &format!("/{uid}/migrations{end}"), status)
    };
    let read = customer("GET", "/{source_uid}/migrations/{id}", "/alice/migrations/1", 200);
    let close = customer(
        "PUT",
        "/{source_uid}/migrations/close/latest/as/{status}",
        "/alice/migrations/close/latest/as/ABORTED",
        200,
    );
    vec![
        customer("GET", "/migrations", "/migrations", 200),
        customer("POST", "/migrations", "/migrations", 201).with(first("bob")),
        customer("POST", "/migrations/bulk", "/migrations/bulk", 415),
        customer("GET", "/migrations/summary", "/migrations/summary", 200),
        of_user("GET", "alice", "", 200),
        of_user("GET", "alice", "/latest", 200),
        read,
        close,
        of_user("PUT", "bob", "/latest/priority", 200).with(json!({ "priority": true })),
        of_user("POST", "bob", "/latest/cancel", 202),
    ]
}

fn management_rows() -> Vec<Row> {
    let row = |access, method, route: &str, path: &str| Row {
        access,
        method,
        route: route.to_owned(),
        path: path.to_owned(),
        body: Value::Null,
        status: 200,
    };
    let open = |path: &str| row(Access::Everybody, "GET", path, path);
    let guarded = |method, route: &str, path: &str| row(Access::Configured, method, route, path);
    let metric = "/metrics/process.uptime";
    vec![
        open("/health"),
        open("/health/liveness"),
        // The API of a test has no process that would say that it has started.
        Row { status: 503, ..open("/health/readiness") },
        guarded("GET", "/info", "/info"),
        guarded("GET", "/loggers", "/loggers"),
        guarded("GET", "/loggers/{logger}", "/loggers/dmf"),
        guarded("POST", "/loggers/{logger}", "/loggers/dmf").with(json!({ "configuredLevel": "WARN" })),
        guarded("GET", "/metrics", "/metrics"),
        guarded("GET", "/metrics/{metric}", metric),
        guarded("GET", "/prometheus", "/prometheus"),
        open(pages::DOCUMENT),
        open("/swagger-ui"),
        open("/redoc"),
        open("/rapidoc"),
    ]
}

fn rows() -> Vec<Row> {
    let all = [management_rows(), source_rows(), target_rows(), user_rows(), migration_rows()];
    all.into_iter().flatten().collect()
}

#[test]
fn every_route_has_a_row() {
    let text = |access: Access, method: &str, route: &str| format!("{access:?} {method} {route}");
    let tested: BTreeSet<_> = rows().iter().map(|row| text(row.access, row.method, &row.route)).collect();
    let there: BTreeSet<_> =
        routes().iter().map(|route| text(route.access, route.method.as_str(), route.path)).collect();
    assert_eq!(tested, there);
    assert_eq!(rows().len(), routes().len());
}

/// What the pages load is for everybody who may see them.
#[tokio::test]
async fn parts_of_pages_are_open() {
    let parts = [
        "/rapidoc/",
        "/rapidoc/rapidoc-min.js",
        "/redoc/",
        "/redoc/redoc.standalone.js",
        "/swagger-ui/",
        "/swagger-ui/start.js",
        "/swagger-ui/swagger-ui-bundle.js",
        "/swagger-ui/swagger-ui.css",
    ];
    let there: BTreeSet<_> = pages::paths_of_parts().into_iter().collect();
    assert_eq!(there, BTreeSet::from(parts));
    let api = Api::start().await;
    for part in parts {
        for method in ["GET", "DELETE"] {
            let answer = api.send(with_json(request(method, part), &Value::Null)).await;
            assert_eq!(answer.status, if method == "GET" { 200 } else { 405 }, "{method} {part}");
        }
    }
}

async fn status(api: &Api, row: &Row, method: &str, credentials: &[(&str, &str)]) -> u16 {
    let builder =
        credentials.iter().fold(request(method, &row.path), |call, (name, value)| call.header(*name, *value));
    let answer = api.send(with_json(builder, &row.body)).await;
    if answer.status.as_u16() == 401 {
        assert_eq!(answer.errors(401), ["Valid credentials are required"]);
        assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Basic realm=\"dmf\"");
    }
    answer.status.as_u16()
}

/// How many changes the audit log holds.
async fn audited(api: &Api) -> usize {
    let page = api.admin("GET", "/audit?limit=1000", Value::Null).await.expect(200);
    page["entries"].as_array().unwrap().len()
}

#[tokio::test]
async fn each_route_answers_its_own_callers_and_nobody_else() {
    let api = Api::start().await;
    api.furnish().await;
    api.register_worker().await;
    api.submit("alice").await;
    let (admin, customer) = (("Authorization", ADMIN), (KEY_HEADER, KEY));
    let wrong = [
        vec![],
        vec![("Authorization", "Basic YWRtaW46cGFzc3dvcmR4")],
        vec![("Authorization", "Basic eDpwYXNzd29yZA==")],
        vec![("Authorization", KEY)],
        vec![(KEY_HEADER, "b270b24a-711d-47ee-8bdc-f59ad5c1abf3")],
        vec![(KEY_HEADER, "B270B24A-711D-47EE-8BDC-F59AD5C1ABF2")],
        vec![(KEY_HEADER, "")],
        vec![(KEY_HEADER, "password"), ("Authorization", "Basic Og==")],
    ];
    for row in rows() {
        let (right, foreign) = match row.access {
            Access::Admin | Access::Configured => (admin, Some(customer)),
            Access::Customer => (customer, Some(admin)),
            Access::Everybody => (("x-none", "x"), None),
        };
        let name = format!("{} {}", row.method, row.route);
        let refused = if row.access == Access::Everybody { row.status } else { 401 };
        for credentials in &wrong {
            assert_eq!(status(&api, &row, row.method, credentials).await, refused, "{name} {credentials:?}");
        }
        if let Some(foreign) = foreign {
            // Of a management endpoint everybody may know that it is there.
            let refused = if row.access == Access::Configured { 403 } else { 401 };
            assert_eq!(status(&api, &row, row.method, &[foreign]).await, refused, "{name} {foreign:?}");
        }
        let before = audited(&api).await;
        assert_eq!(status(&api, &row, row.method, &[right]).await, row.status, "{name}");
        let is_change = row.method != "GET" && row.status < 300;
        let noted = audited(&api).await - before;
        assert_eq!(noted, usize::from(is_change), "{name}");
        assert_eq!(status(&api, &row, "PATCH", &[right]).await, 405, "{name}");
    }
}

#[tokio::test]
async fn one_source_does_not_see_the_users_of_another() {
    let api = Api::start().await;
    api.furnish().await;
    api.submit("alice").await;
    let other = api.admin("POST", "/sources", json!({ "name": "CustomerY" })).await.expect(201);
    let key = other["apiKey"].as_str().unwrap();
    let of_users = routes().into_iter().filter(|route| route.path.contains("{source_uid}"));
    for route in of_users {
        let path =
            route.path.replace("{source_uid}", "alice").replace("{id}", "1").replace("{status}", "ABORTED");
        let (method, path) = (route.method.as_str(), &path[..]);
        let body = match path.rsplit_once('/').unwrap().1 {
            "priority" => json!({ "priority": true }),
            "alice" if method == "PUT" => json!({ "email": "eve@example.com" }),
            _ => Value::Null,
        };
        let call = with_json(request(method, path).header(KEY_HEADER, key), &body);
        assert_eq!(api.send(call).await.errors(404), ["User not found"], "{method} {path}");
    }
    for path in ["/dmf/api/v2/users", "/dmf/api/v2/users/migrations"] {
        let call = with_json(request("GET", path).header(KEY_HEADER, key), &Value::Null);
        assert!(!api.send(call).await.expect(200).to_string().contains("alice"), "{path}");
    }
    let mut body = first("eve");
    body["sourcehost"] = json!("imap.host.1");
    let call = with_json(request("POST", "/dmf/api/v2/users/migrations").header(KEY_HEADER, key), &body);
    assert_eq!(api.send(call).await.errors(400), ["sourcehost: this Source has no such source host"]);
    let latest = api.customer("GET", "/users/alice/migrations/latest", Value::Null).await.expect(200);
    assert_eq!(latest["status"], "SCHEDULED");
}
