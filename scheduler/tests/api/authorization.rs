//! Who may call what: one row for each route, and no route without a row.

use std::collections::BTreeSet;

use axum::http::header;
use dmf_scheduler::api::routes::{Access, routes};
use serde_json::{Value, json};

use crate::support::{ADMIN, Api, KEY, KEY_HEADER, first, request, with_json};

/// A route, a request to it, and what the right credentials get.
struct Row {
    access: Access,
    method: &'static str,
    route: &'static str,
    path: &'static str,
    body: Value,
    status: u16,
}

const fn row(
    access: Access,
    method: &'static str,
    route: &'static str,
    path: &'static str,
    status: u16,
) -> Row {
    Row { access, method, route, path, body: Value::Null, status }
}

fn rows() -> Vec<Row> {
    use Access::{Admin, Customer, Everybody};
    let host =
        json!({ "name": "imap.host.2", "maxConnections": 2, "migrationCommand1": { "name": "ignore" } });
    vec![
        row(Everybody, "GET", "/health", "/health", 200),
        row(Admin, "GET", "/dmf/admin/api/v2/sources", "/dmf/admin/api/v2/sources", 200),
        Row {
            body: json!({ "name": "CustomerY" }),
            ..row(Admin, "POST", "/dmf/admin/api/v2/sources", "/dmf/admin/api/v2/sources", 201)
        },
        row(Admin, "GET", "/dmf/admin/api/v2/sources/{source}", "/dmf/admin/api/v2/sources/CustomerX", 200),
        row(
            Admin,
            "GET",
            "/dmf/admin/api/v2/sources/{source}/sourcehosts",
            "/dmf/admin/api/v2/sources/CustomerX/sourcehosts",
            200,
        ),
        Row {
            body: host,
            ..row(
                Admin,
                "POST",
                "/dmf/admin/api/v2/sources/{source}/sourcehosts",
                "/dmf/admin/api/v2/sources/CustomerX/sourcehosts",
                201,
            )
        },
        row(
            Admin,
            "GET",
            "/dmf/admin/api/v2/sources/{source}/sourcehosts/{host}",
            "/dmf/admin/api/v2/sources/CustomerX/sourcehosts/imap.host.1",
            200,
        ),
        row(Admin, "GET", "/dmf/admin/api/v2/targets", "/dmf/admin/api/v2/targets", 200),
        Row {
            body: json!({ "name": "west" }),
            ..row(Admin, "POST", "/dmf/admin/api/v2/targets", "/dmf/admin/api/v2/targets", 201)
        },
        row(Admin, "GET", "/dmf/admin/api/v2/targets/{target}", "/dmf/admin/api/v2/targets/default", 200),
        row(
            Admin,
            "GET",
            "/dmf/admin/api/v2/targets/{target}/backends",
            "/dmf/admin/api/v2/targets/default/backends",
            200,
        ),
        row(
            Admin,
            "GET",
            "/dmf/admin/api/v2/targets/{target}/backends/{name}",
            "/dmf/admin/api/v2/targets/default/backends/worker-1",
            200,
        ),
        row(Admin, "GET", "/dmf/admin/api/v2/audit", "/dmf/admin/api/v2/audit", 200),
        row(Admin, "GET", "/dmf/admin/api/v2/backends", "/dmf/admin/api/v2/backends", 200),
        row(
            Admin,
            "PUT",
            "/dmf/admin/api/v2/sources/{source}/pause",
            "/dmf/admin/api/v2/sources/CustomerX/pause",
            200,
        ),
        row(
            Admin,
            "PUT",
            "/dmf/admin/api/v2/sources/{source}/resume",
            "/dmf/admin/api/v2/sources/CustomerX/resume",
            200,
        ),
        Row {
            body: json!({ "maxConnections": 3 }),
            ..row(
                Admin,
                "PUT",
                "/dmf/admin/api/v2/sources/{source}/sourcehosts/{host}",
                "/dmf/admin/api/v2/sources/CustomerX/sourcehosts/imap.host.1",
                200,
            )
        },
        row(
            Admin,
            "PUT",
            "/dmf/admin/api/v2/sources/{source}/sourcehosts/{host}/pause",
            "/dmf/admin/api/v2/sources/CustomerX/sourcehosts/imap.host.1/pause",
            200,
        ),
        row(
            Admin,
            "PUT",
            "/dmf/admin/api/v2/sources/{source}/sourcehosts/{host}/resume",
            "/dmf/admin/api/v2/sources/CustomerX/sourcehosts/imap.host.1/resume",
            200,
        ),
        Row {
            body: json!({ "rateLimit": null }),
            ..row(
                Admin,
                "PUT",
                "/dmf/admin/api/v2/sources/{source}",
                "/dmf/admin/api/v2/sources/CustomerX",
                200,
            )
        },
        row(
            Admin,
            "DELETE",
            "/dmf/admin/api/v2/sources/{source}",
            "/dmf/admin/api/v2/sources/CustomerX",
            409,
        ),
        row(
            Admin,
            "DELETE",
            "/dmf/admin/api/v2/sources/{source}/sourcehosts/{host}",
            "/dmf/admin/api/v2/sources/CustomerX/sourcehosts/imap.host.1",
            409,
        ),
        row(Admin, "DELETE", "/dmf/admin/api/v2/targets/{target}", "/dmf/admin/api/v2/targets/default", 409),
        Row {
            body: json!({ "maxThreads": 3 }),
            ..row(
                Admin,
                "PUT",
                "/dmf/admin/api/v2/targets/{target}/backends/{name}",
                "/dmf/admin/api/v2/targets/default/backends/worker-1",
                200,
            )
        },
        row(
            Admin,
            "PUT",
            "/dmf/admin/api/v2/targets/{target}/backends/{name}/start",
            "/dmf/admin/api/v2/targets/default/backends/worker-1/start",
            200,
        ),
        row(
            Admin,
            "PUT",
            "/dmf/admin/api/v2/targets/{target}/backends/{name}/pause",
            "/dmf/admin/api/v2/targets/default/backends/worker-1/pause",
            200,
        ),
        row(
            Admin,
            "PUT",
            "/dmf/admin/api/v2/targets/{target}/backends/{name}/stop",
            "/dmf/admin/api/v2/targets/default/backends/worker-1/stop",
            200,
        ),
        row(
            Admin,
            "DELETE",
            "/dmf/admin/api/v2/targets/{target}/backends/{name}",
            "/dmf/admin/api/v2/targets/default/backends/worker-1",
            409,
        ),
        Row {
            body: json!({
                "sourceUid": "carol", "targetUid": "carol", "target": "default", "sourcehost": "imap.host.1",
            }),
            ..row(Customer, "POST", "/dmf/api/v2/users", "/dmf/api/v2/users", 201)
        },
        row(Customer, "GET", "/dmf/api/v2/users", "/dmf/api/v2/users", 200),
        row(Customer, "GET", "/dmf/api/v2/users/{source_uid}", "/dmf/api/v2/users/alice", 200),
        Row {
            body: json!({ "email": "alice@example.com" }),
            ..row(Customer, "PUT", "/dmf/api/v2/users/{source_uid}", "/dmf/api/v2/users/alice", 200)
        },
        row(Customer, "DELETE", "/dmf/api/v2/users/{source_uid}", "/dmf/api/v2/users/alice", 409),
        row(Customer, "GET", "/dmf/api/v2/users/migrations", "/dmf/api/v2/users/migrations", 200),
        row(
            Customer,
            "POST",
            "/dmf/api/v2/users/migrations/bulk",
            "/dmf/api/v2/users/migrations/bulk",
            415,
        ),
        row(
            Customer,
            "GET",
            "/dmf/api/v2/users/migrations/summary",
            "/dmf/api/v2/users/migrations/summary",
            200,
        ),
        Row {
            body: first("bob"),
            ..row(Customer, "POST", "/dmf/api/v2/users/migrations", "/dmf/api/v2/users/migrations", 201)
        },
        row(
            Customer,
            "GET",
            "/dmf/api/v2/users/{source_uid}/migrations",
            "/dmf/api/v2/users/alice/migrations",
            200,
        ),
        row(
            Customer,
            "GET",
            "/dmf/api/v2/users/{source_uid}/migrations/latest",
            "/dmf/api/v2/users/alice/migrations/latest",
            200,
        ),
        row(
            Customer,
            "GET",
            "/dmf/api/v2/users/{source_uid}/migrations/{id}",
            "/dmf/api/v2/users/alice/migrations/1",
            200,
        ),
        row(
            Customer,
            "PUT",
            "/dmf/api/v2/users/{source_uid}/migrations/close/latest/as/{status}",
            "/dmf/api/v2/users/alice/migrations/close/latest/as/ABORTED",
            200,
        ),
        Row {
            body: json!({ "priority": true }),
            ..row(
                Customer,
                "PUT",
                "/dmf/api/v2/users/{source_uid}/migrations/latest/priority",
                "/dmf/api/v2/users/bob/migrations/latest/priority",
                200,
            )
        },
        row(
            Customer,
            "POST",
            "/dmf/api/v2/users/{source_uid}/migrations/latest/cancel",
            "/dmf/api/v2/users/bob/migrations/latest/cancel",
            202,
        ),
    ]
}

#[test]
fn every_route_has_a_row() {
    let text = |access: Access, method: &str, route: &str| format!("{access:?} {method} {route}");
    let tested: BTreeSet<_> = rows().iter().map(|row| text(row.access, row.method, row.route)).collect();
    let there: BTreeSet<_> =
        routes().iter().map(|route| text(route.access, route.method.as_str(), route.path)).collect();
    assert_eq!(tested, there);
    assert_eq!(rows().len(), routes().len());
}

async fn status(api: &Api, row: &Row, method: &str, credentials: &[(&str, &str)]) -> u16 {
    let builder =
        credentials.iter().fold(request(method, row.path), |call, (name, value)| call.header(*name, *value));
    let answer = api.send(with_json(builder, &row.body)).await;
    if answer.status.as_u16() == 401 {
        assert_eq!(answer.errors(401), ["Valid credentials are required"]);
        assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Basic realm=\"dmf\"");
    }
    answer.status.as_u16()
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
            Access::Admin => (admin, Some(customer)),
            Access::Customer => (customer, Some(admin)),
            Access::Everybody => (("x-none", "x"), None),
        };
        let name = format!("{} {}", row.method, row.route);
        let refused = if row.access == Access::Everybody { 200 } else { 401 };
        for credentials in wrong.iter().cloned().chain(foreign.map(|foreign| vec![foreign])) {
            assert_eq!(status(&api, &row, row.method, &credentials).await, refused, "{name} {credentials:?}");
        }
        assert_eq!(status(&api, &row, row.method, &[right]).await, row.status, "{name}");
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
    for (method, path) in [
        ("GET", "/dmf/api/v2/users/alice/migrations"),
        ("GET", "/dmf/api/v2/users/alice/migrations/latest"),
        ("GET", "/dmf/api/v2/users/alice/migrations/1"),
        ("PUT", "/dmf/api/v2/users/alice/migrations/close/latest/as/ABORTED"),
        ("GET", "/dmf/api/v2/users/alice"),
        ("PUT", "/dmf/api/v2/users/alice"),
        ("DELETE", "/dmf/api/v2/users/alice"),
        ("PUT", "/dmf/api/v2/users/alice/migrations/latest/priority"),
        ("POST", "/dmf/api/v2/users/alice/migrations/latest/cancel"),
    ] {
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
