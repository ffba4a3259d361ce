//! An API of its own for each test, and requests as clients send them.

use std::{fs, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, HttpBody as _, to_bytes},
    http::{HeaderMap, Request, StatusCode, header, request},
};
use dmf_lab::Lab;
use dmf_scheduler::{
    api::{crowding::Room, limits::RateLimits},
    app::{self, App},
    health,
    schema::Schema,
    settings::Settings,
    submitter::Submitter,
    summaries::Summaries,
};
use dmf_shared::{
    config::{Environment, ProgramSettings as _, Sources},
    domain::ids::{JobId, JournalId},
    ops::{Telemetry, http::Readiness},
    queue::Queue,
    store::{BackendState, ClaimRequest, Claimed, Decision, Holder, Options, Registration, Source, Store},
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection, Row as _};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::contract::{self, Call};

/// How long a test waits for a state.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// `admin:password`, as the manual's examples have it.
pub(crate) const ADMIN: &str = "Basic YWRtaW46cGFzc3dvcmQ=";
/// The API key of the manual's examples.
pub(crate) const KEY: &str = "b270b24a-711d-47ee-8bdc-f59ad5c1abf2";
/// Header of the API key.
pub(crate) const KEY_HEADER: &str = "X-API-KEY";

/// A running API with its MariaDB and Redis.
pub(crate) struct Api {
    pub(crate) lab: Lab,
    pub(crate) app: App,
    router: Router,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// The body, which must be JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body, once the status is as expected.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self.json()
    }

    /// The texts of an error, once status and shape are as expected.
    #[track_caller]
    pub(crate) fn errors(&self, status: u16) -> Vec<String> {
        let body = self.expect(status);
        assert_eq!(body["message"], self.status.canonical_reason().unwrap());
        let errors = body["_embedded"]["errors"].as_array().unwrap();
        errors.iter().map(|error| error["message"].as_str().unwrap().to_owned()).collect()
    }
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// With more settings, as YAML.
    pub(crate) async fn start_with(more: &str) -> Self {
        let lab = Lab::builder().mariadb().redis().start().await.unwrap();
        Self::start_in(lab, more).await
    }

    /// With a key that seals passwords.
    pub(crate) async fn start_with_storage_key() -> Self {
        let lab = Lab::builder().mariadb().redis().start().await.unwrap();
        let file = lab.dir().join("storage.key");
        fs::write(&file, [7; 32]).unwrap();
        let more = format!("dmf.crypto.storage-key: {{alias: first, file: '{}'}}\n", file.display());
        Self::start_in(lab, &more).await
    }

    async fn start_in(lab: Lab, more: &str) -> Self {
        let settings = settings(&lab, more);
        let options = Options::from(&settings.database);
        Store::create_database(&options).await.unwrap();
        let store = Store::connect_lazily(&options);
        store.migrate().await.unwrap();
        let queue = Queue::connect_lazily(&settings.queue).unwrap();
        // Levels that nothing logs by: the log is the test runner's.
        let (_, telemetry) = Telemetry::layer(settings.telemetry.clone(), std::io::sink);
        let app = App {
            access: settings.access.clone().into(),
            management: health::management(
                &settings,
                &store,
                &Schema::ready(),
                &queue,
                Readiness::new(CancellationToken::new()),
                Some(telemetry),
            ),
            submitter: Submitter::new(store.clone(), Arc::default()).into(),
            summaries: Summaries::new(store.clone()).into(),
            store,
            schema: Schema::ready(),
            silence: settings.reaper.silence,
            queue,
            keys: settings.keys.into(),
            admin: settings.admin.map(Into::into),
            api_key_header: settings.api_key_header,
            ignore_unknown_fields: settings.ignore_unknown_fields,
            versioning: settings.versioning.into(),
            limits: RateLimits::new(settings.rate_limits).into(),
            room: Room::new(settings.room).into(),
            trusted_proxies: settings.trusted_proxies.into(),
            relay: Arc::default(),
            pages: settings.pages.into(),
        };
        Self { lab, router: app::router(app.clone()), app }
    }

    /// The same with another router.
    pub(crate) fn with_router(self, router: Router) -> Self {
        Self { router, ..self }
    }

    /// The router, for a server of its own.
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let call = Call::of(&request);
        let (request, given) = whole(request).await;
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 64 << 20).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let answer = Answer { status: parts.status, headers: parts.headers, text };
        let given = given.filter(|_| !self.app.ignore_unknown_fields);
        contract::check(&call, given.as_deref(), &answer);
        answer
    }

    /// A request of the admin, to a path below `/dmf/admin/api/v2`; null is no body.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: Value) -> Answer {
        let builder =
            request(method, &format!("/dmf/admin/api/v2{path}")).header(header::AUTHORIZATION, ADMIN);
        self.send(with_json(builder, &body)).await
    }

    /// A request of the customer whose key is [`KEY`], to a path below `/dmf/api/v2`; null is no body.
    pub(crate) async fn customer(&self, method: &str, path: &str, body: Value) -> Answer {
        let builder = request(method, &format!("/dmf/api/v2{path}")).header(KEY_HEADER, KEY);
        self.send(with_json(builder, &body)).await
    }

    /// The Source `CustomerX` with the key [`KEY`], its source host `imap.host.1`, the target `default`.
    pub(crate) async fn furnish(&self) -> Source {
        let source = self.furnish_source().await;
        self.admin("POST", "/targets", json!({ "name": "default" })).await.expect(201);
        source
    }

    /// The Source `CustomerX` with the key [`KEY`] and its source host `imap.host.1`.
    pub(crate) async fn furnish_source(&self) -> Source {
        self.admin("POST", "/sources", json!({ "name": "CustomerX", "apiKey": KEY })).await.expect(201);
        let host =
            json!({ "name": "imap.host.1", "maxConnections": 2, "migrationCommand1": { "name": "ignore" } });
        self.admin("POST", "/sources/CustomerX/sourcehosts", host).await.expect(201);
        self.app.store.source_by_name("CustomerX").await.unwrap().unwrap()
    }

    /// A connection of its own to the database, for a look behind the API.
    pub(crate) async fn database(&self) -> MySqlConnection {
        MySqlConnection::connect(&self.lab.mariadb().url("migration")).await.unwrap()
    }

    /// Submits a first `PRE_SYNC` of this user; its record.
    pub(crate) async fn submit(&self, source_uid: &str) -> Value {
        self.customer("POST", "/users/migrations", first(source_uid)).await.expect(201)
    }

    /// A worker `worker-1` of the target `default`.
    pub(crate) async fn register_worker(&self) -> Holder {
        let registration = Registration {
            target: "default".to_owned(),
            name: "worker-1".to_owned(),
            incarnation: Uuid::from_u128(7),
            machine: "machine-1".to_owned(),
            version: "1.2.3".to_owned(),
            initial_state: BackendState::Running,
            threads: 4,
            lease_deadline: Duration::from_secs(45),
        };
        let backend = self.app.store.register_backend(&registration, None).await.unwrap().unwrap();
        Holder {
            backend: backend.id,
            incarnation: backend.incarnation,
            target: backend.target_id,
            name: "default/worker-1".to_owned(),
        }
    }

    /// Claims this migration for `worker-1`, as the worker does.
    pub(crate) async fn claim(&self, source: &Source, record: &Value) -> Claimed {
        match self.try_claim(source, record).await {
            Decision::Granted(claimed) => *claimed,
            other @ Decision::Refused(..) => panic!("{other:?}"),
        }
    }

    /// What the claim of this migration for `worker-1` brings.
    pub(crate) async fn try_claim(&self, source: &Source, record: &Value) -> Decision {
        let holder = self.register_worker().await;
        let job = JobId { source: source.id, journal: JournalId(record["id"].as_u64().unwrap()) };
        let host = self.app.store.sourcehosts(source.id, None).await.unwrap()[0].host.id;
        let decisions = self.app.store.claim(&holder, &[ClaimRequest { job, host }]).await;
        decisions.unwrap().pop().unwrap()
    }
}

/// The request with its body, where that is there at once and not streamed.
async fn whole(request: Request<Body>) -> (Request<Body>, Option<Vec<u8>>) {
    if request.body().size_hint().exact().is_none() {
        return (request, None);
    }
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    (Request::from_parts(parts, Body::from(bytes.clone())), Some(bytes.to_vec()))
}

fn settings(lab: &Lab, more: &str) -> Settings {
    let mariadb = lab.mariadb();
    let text = format!(
        "http.admin: {{username: admin, password: password}}\n\
         datasources.default:\n  url: '{}?createDatabaseIfNotExist=true'\n  username: {}\n  password: {}\n  \
         maximum-pool-size: 8\n\
         redis: {{url: '{}', timeout: 1s}}\n\
         endpoints.health.disk-space.threshold: 0\n\
         {more}",
        mariadb.jdbc_url("migration"),
        mariadb.user(),
        mariadb.password(),
        lab.redis().url(),
    );
    let no_variables: [(&str, &str); 0] = [];
    let properties = Sources::default().load_text(&text, Environment::from_variables(no_variables)).unwrap();
    let (settings, warnings) = Settings::read(&properties).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    settings
}

/// The body of a user's first submit.
pub(crate) fn first(source_uid: &str) -> Value {
    json!({
        "sourceUid": source_uid,
        "phase": "PRE_SYNC",
        "targetUid": format!("new-{source_uid}"),
        "target": "default",
        "sourcehost": "imap.host.1",
    })
}

/// A request without credentials to this path.
pub(crate) fn request(method: &str, path: &str) -> request::Builder {
    Request::builder().method(method).uri(path)
}

/// The request with this body; null is none.
pub(crate) fn with_json(builder: request::Builder, body: &Value) -> Request<Body> {
    if body.is_null() {
        builder.body(Body::empty()).unwrap()
    } else {
        builder.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap()
    }
}

/// The object with `time` for every time, once each has the documented form: UTC, two fraction digits.
#[track_caller]
pub(crate) fn without_times(mut body: Value) -> Value {
    for (field, value) in body.as_object_mut().unwrap() {
        let is_time = ["created", "modified", "started", "stopped", "lastHeartbeat", "notBefore", "until"]
            .contains(&field.as_str());
        if is_time {
            let digits = value.as_str().unwrap().replace(|c: char| c.is_ascii_digit(), "0");
            assert_eq!(digits, "0000-00-00T00:00:00.00Z", "{field}");
            *value = json!("time");
        }
    }
    body
}

/// A counter of the database's server.
pub(crate) async fn server_status(database: &mut MySqlConnection, name: &str) -> u64 {
    let show = AssertSqlSafe(format!("SHOW GLOBAL STATUS LIKE '{name}'"));
    sqlx::raw_sql(show).fetch_one(database).await.unwrap().get::<String, _>(1).parse().unwrap()
}
