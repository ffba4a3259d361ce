//! The scheduler's settings: which keys there are, what they default to, what they mean.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use axum::http::HeaderName;
use dmf_shared::{
    config::{DataSource, LeaseTimes, ProgramSettings, Reader, Sources},
    crypto::KeyRing,
    ops::{
        HealthSettings,
        http::{AccessRules, Admin, ListenSettings, TrustedProxies, guesses},
        telemetry::TelemetrySettings,
        traces::TraceSettings,
    },
    queue,
};

use crate::{
    api::{
        crowding, limits,
        pages::{Page, Pages},
        versioning::Versioning,
    },
    reaper, retention,
};

/// Where the settings are when no file is named: the manual's path, then the working directory.
const CANDIDATES: [&str; 2] = ["/opt/open-xchange/dmf/scheduler/etc/dmf-scheduler.yml", "dmf-scheduler.yml"];

/// Keys of the original's file that have no meaning here.
const WITHOUT_EFFECT: [&str; 8] = [
    "jackson.**",
    "liquibase.**",
    "endpoints.liquibase.**",
    "datasources.default.dialect",
    "datasources.default.driver-class-name",
    "micronaut.server.multipart.**",
    "micronaut.metrics.**",
    "micronaut.server.metrics.**",
];

/// Which of the pages that show the API are served; samples of the manual nest it in the other ways.
const STATIC_RESOURCES: [&str; 4] = [
    "micronaut.router.static-resources",
    "micronaut.server.router.static-resources",
    "micronaut.static-resources",
    "micronaut.server.static-resources",
];

/// Everything that the scheduler is told from outside.
#[derive(Debug)]
pub struct Settings {
    /// Where it listens, with which certificate and bounds.
    pub listen: ListenSettings,
    /// The admin's credentials; none answers every admin route with 401.
    pub admin: Option<Admin>,
    /// The header of the customers' API key.
    pub api_key_header: HeaderName,
    /// Unknown fields of a body are no fault; otherwise they are in v2.
    pub ignore_unknown_fields: bool,
    /// Where a request may say its version.
    pub versioning: Versioning,
    /// The pages that show the API.
    pub pages: Pages,
    /// How much each may ask.
    pub rate_limits: limits::Settings,
    /// How many requests may be answered at a time.
    pub room: crowding::Settings,
    /// Whose word on the client's address is taken.
    pub trusted_proxies: TrustedProxies,
    /// MariaDB.
    pub database: DataSource,
    /// Redis.
    pub queue: queue::Options,
    /// The key that seals users' passwords; none when not configured.
    pub keys: KeyRing,
    /// Who may see what.
    pub access: AccessRules,
    /// Which health indicators there are.
    pub health: HealthSettings,
    /// What takes back the leases of lost workers.
    pub reaper: reaper::Settings,
    /// What is thrown away when.
    pub retention: retention::Settings,
    /// Logging.
    pub telemetry: TelemetrySettings,
    /// Where traces go; none are exported otherwise.
    pub traces: Option<TraceSettings>,
    /// How long requests and duties may take to end after SIGTERM.
    pub grace: Duration,
}

impl ProgramSettings for Settings {
    fn sources(files: &[PathBuf]) -> Sources {
        Sources::default().files(files).candidates(CANDIDATES).verbatim(&["logger.levels.**"])
    }

    fn of(reader: &mut Reader<'_>) -> Option<Self> {
        for pattern in WITHOUT_EFFECT {
            reader.accept(pattern);
        }
        let listen = ListenSettings::read(reader);
        let admin = Admin::read(reader);
        let api_key_header = reader
            .parsed("http.headers.xapikey", "the name of an HTTP header", |text| text.trim().parse().ok())
            .unwrap_or_else(|| HeaderName::from_static("x-api-key"));
        reader.otherwise("http.headers.xapikey", "X-API-KEY");
        let ignore_unknown_fields =
            reader.choice("dmf.api.unknown-fields", &[("refuse", false), ("ignore", true)], false);
        let versioning = Versioning::read(reader);
        let pages = pages(reader);
        let rate_limits = rate_limits(reader);
        let room = crowding::Settings::read(reader);
        let trusted_proxies = TrustedProxies::read(reader);
        let database = DataSource::read(reader, "datasources.default");
        let queue = queue::Options::read(reader);
        let keys = KeyRing::read(reader);
        let access = AccessRules::read(reader);
        let health = HealthSettings::read(reader, "api");
        let reaper = reaper_settings(reader);
        let retention = retention::Settings::read(reader);
        let telemetry = TelemetrySettings::read(reader);
        let traces = TraceSettings::read(reader);
        let grace = reader.duration(
            "dmf.scheduler.shutdown.grace",
            Duration::from_secs(30),
            Duration::ZERO..=Duration::from_hours(1),
        );
        Some(Self {
            listen,
            admin,
            api_key_header,
            ignore_unknown_fields,
            versioning,
            pages,
            rate_limits,
            room,
            trusted_proxies,
            database: database?,
            queue,
            keys,
            access,
            health,
            reaper,
            retention,
            telemetry,
            traces,
            grace,
        })
    }
}

fn rate_limits(reader: &mut Reader<'_>) -> limits::Settings {
    let per_second = reader.number("dmf.http.rate-limit.requests-per-second", 0, 0..=1_000_000);
    limits::Settings {
        requests_per_second: NonZeroU32::new(per_second),
        wrong_per_minute: guesses::read_limit(reader),
    }
}

fn reaper_settings(reader: &mut Reader<'_>) -> reaper::Settings {
    let LeaseTimes { heartbeat, deadline, silence, max_losses } = LeaseTimes::read(reader);
    let secs = Duration::from_secs;
    // A beat may be as old as this when it is first seen.
    let longest = silence.saturating_sub(deadline + heartbeat).max(secs(1));
    reaper::Settings {
        poll: reader.duration("dmf.lease.poll", secs(5).min(longest), secs(1)..=longest),
        silence,
        heartbeat,
        max_losses,
    }
}
/// All pages, or, where any mapping is given, those with one; without those that are not enabled.
fn pages(reader: &mut Reader<'_>) -> Pages {
    let (mut mapped, mut disabled) = (Pages::new(), Pages::new());
    for (base, page) in STATIC_RESOURCES.into_iter().flat_map(|base| Page::ALL.map(|page| (base, page))) {
        let key = format!("{base}.{}", page.name());
        // The files are in the binary.
        reader.accept(&format!("{key}.paths"));
        if !reader.bool(&format!("{key}.enabled"), true) {
            disabled.insert(page);
        }
        if let Some(mapping) = reader.string(&format!("{key}.mapping")) {
            let standard = format!("/{}/**", page.name());
            if mapping != standard {
                let message = format!("must be {standard}; leave {key} out to serve nothing there");
                reader.reject(&format!("{key}.mapping"), &message);
            }
            mapped.insert(page);
        }
    }
    let named = if mapped.is_empty() { Page::ALL.into() } else { mapped };
    let pages: Pages = named.difference(&disabled).copied().collect();
    if !pages.is_empty() && !pages.contains(&Page::Document) {
        reader.warn(STATIC_RESOURCES[0], "lacks swagger, the document that the other pages show");
    }
    pages
}
