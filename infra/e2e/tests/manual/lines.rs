//! Command lines of the form in which the original's manual prints them, with names of this test. Whoever has
//! the manual at hand can find each by its section: flags, headers, paths and fields are those of its line, so
//! that what an operator has in scripts goes on to work with another host and port.
//!
//! `@SCHEDULER`, `@HOST` and `@PORT` stand for the scheduler, the source host and the source host's port.

/// §3.6.1
pub(crate) const CREATE_SOURCE: &str = r#"curl -X 'POST' \
  'https://@SCHEDULER/dmf/admin/api/v2/sources' \
  -H 'accept: application/json' \
  -H 'Authorization: Basic YWRtaW46YWRtaW4tb2YtdGhlLWxhYg==' \
  -H 'Content-Type: application/json' \
  -d '{
    "name": "OldPlatform",
    "apiKey": "3f1d7a52-9c1e-4b7e-8a55-6d2f0c9be417"
  }'"#;

/// §3.6.2; the source host of a test has no port that doveadm would guess.
pub(crate) const CREATE_SOURCEHOST: &str = r#"curl -X 'POST' \
'https://@SCHEDULER/dmf/admin/api/v2/sources/OldPlatform/sourcehosts' \
-H 'accept: application/json' \
-H 'Authorization: Basic YWRtaW46YWRtaW4tb2YtdGhlLWxhYg==' \
-H 'Content-Type: application/json' \
-d '{
"name": "@HOST",
"maxConnections": 3,
"migrationCommand1": {
  "name": "doveadm",
  "options": [
    {
      "name": "imapc_user",
      "value": "%{mdb:ruid}"
    },
    {
      "name": "imapc_password",
      "value": "%{conf:imapc_master_password}"
    },
    {
      "name": "imapc_host",
      "value": "@HOST"
    },
    {
      "name": "imapc_port",
      "value": "@PORT"
    }
  ],
  "subCommand": {
    "name": "backup",
    "flags": [
      "-R"
    ],
    "options": [
      {
        "name": "-u",
        "value": "%{mdb:uid}"
      }
    ],
    "arguments": [
      "imapc:"
    ]
  }
}
}'"#;

/// §3.6.3
pub(crate) const CREATE_TARGET: &str = r#"curl -X 'POST' \
'https://@SCHEDULER/dmf/admin/api/v2/targets' \
-H 'accept: application/json' \
-H 'Authorization: Basic YWRtaW46YWRtaW4tb2YtdGhlLWxhYg==' \
-H 'Content-Type: application/json' \
-d '{
"name": "default"
}'"#;

/// §3.6.4, of a user whom the source host does not know.
pub(crate) const SUBMIT_UNKNOWN: &str = r#"curl -X 'POST' \
  'https://@SCHEDULER/dmf/api/v2/users/migrations' \
  -H 'accept: application/json' \
  -H 'X-API-KEY: 3f1d7a52-9c1e-4b7e-8a55-6d2f0c9be417' \
  -H 'Content-Type: application/json' \
  -d '{
    "sourceUid": "nobody",
    "phase": "PRE_SYNC",
    "priority": true,
    "targetUid": "nobody_new",
    "target": "default",
    "sourcehost": "@HOST"
  }'"#;

/// §2.4.1, with the port of the source host.
pub(crate) const SUBMIT: &str = r#"curl -X 'POST' \
  'https://@SCHEDULER/dmf/api/v2/users/migrations' \
  -H 'accept: application/json' \
  -H 'X-API-KEY: 3f1d7a52-9c1e-4b7e-8a55-6d2f0c9be417' \
  -H 'Content-Type: application/json' \
  -d '{"sourceUid": "jane_old",
     "targetUid": "jane_new",
     "phase": "PRE_SYNC",
     "priority": true,
     "target": "default",
     "sourcehost": "@HOST",
     "sourceport": @PORT
  }'"#;

/// §3.6.4 once more, with the two fields that it calls enough for a user who is known.
pub(crate) const SUBMIT_AGAIN: &str = r#"curl -X 'POST' \
  'https://@SCHEDULER/dmf/api/v2/users/migrations' \
  -H 'accept: application/json' \
  -H 'X-API-KEY: 3f1d7a52-9c1e-4b7e-8a55-6d2f0c9be417' \
  -H 'Content-Type: application/json' \
  -d '{
    "sourceUid": "jane_old",
    "phase": "CUTOVER"
  }'"#;

/// §3.6.5
pub(crate) const REVIEW: &str = r"curl -X 'GET' \
  'https://@SCHEDULER/dmf/api/v2/users/jane_old/migrations/latest' \
  -H 'accept: application/json' \
  -H 'X-API-KEY: 3f1d7a52-9c1e-4b7e-8a55-6d2f0c9be417'";

/// §3.6.6.2
pub(crate) const CLOSE: &str = r"curl -X 'PUT' \
  'https://@SCHEDULER/dmf/api/v2/users/jane_old/migrations/close/latest/as/ABORTED' \
  -H 'accept: */*' \
  -H 'X-API-KEY: 3f1d7a52-9c1e-4b7e-8a55-6d2f0c9be417' \
  -H 'Content-Type: application/json'";

/// §3.4.2
pub(crate) const READ_LOGGER: &str = "curl -u admin:admin-of-the-lab https://@SCHEDULER/loggers/dmf";

/// §3.4.2
pub(crate) const SET_LOGGER: &str = r#"curl -u admin:admin-of-the-lab -X POST -H "Content-Type: application/json" -d '{"configuredLevel": "WARN"}' https://@SCHEDULER/loggers/dmf"#;

/// §9.1
pub(crate) const HEALTH: &str = "curl https://@SCHEDULER/health";

/// §9.2
pub(crate) const HEALTH_IN_FULL: &str = "curl -u admin:admin-of-the-lab https://@SCHEDULER/health";

/// §10.1
pub(crate) const METRICS: &str = "curl -u admin:admin-of-the-lab https://@SCHEDULER/metrics";

/// §10.2
pub(crate) const METRIC: &str = "curl -u admin:admin-of-the-lab https://@SCHEDULER/metrics/process.uptime";

/// §10.3
pub(crate) const PROMETHEUS: &str = "curl -u admin:admin-of-the-lab https://@SCHEDULER/prometheus";
