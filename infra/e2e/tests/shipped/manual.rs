//! What the manual shows, in the order of its chapters.

use anyhow::Result;
use serde_json::{Value, json};

use crate::scheduler::{PASSWORD, Scheduler};

fn credentials() -> String {
    format!("admin:{PASSWORD}")
}

#[tokio::test]
async fn the_shipped_file_starts_a_scheduler_that_answers_as_the_manual_shows() -> Result<()> {
    let scheduler = Scheduler::start(&[]).await?;
    scheduler.wait_until_up().await?;
    let curl = &scheduler.curl;
    let credentials = credentials();
    let admin = ["-u", credentials.as_str()];
    assert!(!scheduler.log().contains("unknown, has no effect"), "{}", scheduler.log());

    // 3.4.2: log levels by HTTP.
    let level = |configured: &str, effective: &str| json!({ "configuredLevel": configured, "effectiveLevel": effective });
    assert_eq!(curl.get(&admin, "/loggers/dmf")?.json(200), level("NOT_SPECIFIED", "INFO"));
    let body = r#"{"configuredLevel": "DEBUG"}"#;
    let set = ["-X", "POST", "-H", "Content-Type: application/json", "-d", body];
    assert_eq!(curl.get(&set, "/loggers/dmf")?.status, 401);
    assert_eq!(curl.get(&[admin.as_slice(), &set].concat(), "/loggers/dmf")?.status, 200);
    assert_eq!(curl.get(&admin, "/loggers/dmf")?.json(200), level("DEBUG", "DEBUG"));
    assert!(curl.get(&admin, "/loggers")?.json(200)["loggers"]["dmf"].is_object());

    // 3.6: the admin API, with the header that the manual writes out.
    let source = [
        "-X",
        "POST",
        "-H",
        "accept: application/json",
        "-u",
        &credentials,
        "-H",
        "Content-Type: application/json",
        "-d",
        r#"{"name": "CustomerX", "apiKey": "b270b24a-711d-47ee-8bdc-f59ad5c1abf2"}"#,
    ];
    assert_eq!(curl.get(&source, "/dmf/admin/api/v2/sources")?.json(201)["name"], "CustomerX");
    let key = ["-H", "X-API-KEY: b270b24a-711d-47ee-8bdc-f59ad5c1abf2"];
    assert_eq!(curl.get(&key, "/dmf/api/v2/users/nobody/migrations/latest")?.status, 404);

    // 4.2.2: the pages are for everybody, the endpoints are not.
    for page in ["/swagger-ui", "/rapidoc", "/redoc"] {
        let answer = curl.get(&["-L"], page)?;
        assert_eq!(answer.status, 200, "{page}");
        assert!(answer.text.contains("<html"), "{page}");
    }
    for endpoint in ["/health", "/info", "/loggers", "/metrics", "/metrics/process.uptime", "/prometheus"] {
        assert_eq!(curl.get(&[], endpoint)?.status, 401, "{endpoint}");
        assert_eq!(curl.get(&admin, endpoint)?.status, 200, "{endpoint}");
        assert_eq!(curl.get(&["-u", "admin:wrong"], endpoint)?.status, 401, "{endpoint}");
    }

    // 9: health with all details.
    let health = curl.get(&admin, "/health")?.json(200);
    assert_eq!((&health["name"], &health["status"]), (&json!("api"), &json!("UP")));
    let details = &health["details"];
    let of_database = details["jdbc"]["details"].as_object().into_iter().flatten().next();
    let Some((url, database)) = of_database else { panic!("{health:#}") };
    assert!(
        url.starts_with("jdbc:mariadb://127.0.0.1:") && url.ends_with("?createDatabaseIfNotExist=true"),
        "{url}"
    );
    assert_eq!(database["details"]["database"], "MariaDB");
    assert_eq!(details["compositeDiscoveryClient()"]["details"], json!({ "services": {} }));
    assert_eq!(details["service"]["details"], Value::Null);
    assert_eq!(details["diskSpace"]["details"]["threshold"], 10_485_760);

    // 10: metrics as a list, one of them, and for Prometheus.
    let names = curl.get(&admin, "/metrics")?.json(200)["names"].clone();
    let names: Vec<&str> = names.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert!(names.is_sorted(), "{names:?}");
    for name in
        ["http.server.requests", "logback.events", "process.start.time", "process.uptime", "system.cpu.count"]
    {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    let uptime = curl.get(&admin, "/metrics/process.uptime")?.json(200);
    assert_eq!(uptime["name"], "process.uptime");
    assert_eq!(uptime["measurements"][0]["statistic"], "VALUE");
    assert!(uptime["measurements"][0]["value"].as_f64().is_some_and(|seconds| seconds > 0.0), "{uptime}");
    assert!(uptime["availableTags"].as_array().is_some_and(Vec::is_empty), "{uptime}");
    let text = curl.get(&admin, "/prometheus")?.text;
    assert!(text.contains("# HELP ") && text.contains("# TYPE "), "{text}");
    Ok(())
}

/// 9.1, 9.3 and 10: settings that the manual names, given by environment.
#[tokio::test]
async fn endpoints_are_opened_and_switched_off_as_the_manual_says() -> Result<()> {
    let scheduler = Scheduler::start(&[
        ("ENDPOINTS_HEALTH_SENSITIVE", "false"),
        ("ENDPOINTS_HEALTH_DISK_SPACE_ENABLED", "false"),
        ("ENDPOINTS_METRICS_SENSITIVE", "false"),
        ("ENDPOINTS_PROMETHEUS_ENABLED", "false"),
        ("HTTP_ADMIN_USERNAME", "root"),
    ])
    .await?;
    let curl = &scheduler.curl;
    let root = format!("root:{PASSWORD}");
    dmf_lab::poll_until("it did not get UP", std::time::Duration::from_secs(40), async || {
        match curl.get(&[], "/health") {
            Ok(answer) if answer.status == 200 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    assert_eq!(curl.get(&[], "/health")?.json(200), json!({ "status": "UP" }));
    let health = curl.get(&["-u", &root], "/health")?.json(200);
    assert!(health["details"]["jdbc"].is_object() && health["details"]["diskSpace"].is_null(), "{health:#}");
    assert_eq!(curl.get(&[], "/metrics")?.status, 200);
    assert_eq!(curl.get(&[], "/info")?.status, 401);
    assert_eq!(curl.get(&["-u", &root], "/prometheus")?.status, 404);
    assert_eq!(curl.get(&["-u", &credentials()], "/info")?.status, 401, "the environment wins over the file");
    Ok(())
}
