//! The scheduler's settings: which keys there are, what they default to, what they mean.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use axum::http::HeaderName;
use dmf_shared::{
    config::{DataSource, Environment, Errors, LeaseTimes, Properties, Reader, Sources, Warning},
    crypto::KeyRing,
    ops::{http::ListenSettings, telemetry::TelemetrySettings},
    queue,
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    api::{auth::Admin, limits, peer::TrustedProxies, versioning::Versioning},
    reaper,
};

/// Where the settings are when no file is named: the manual's path, then the working directory.
const CANDIDATES: [&str; 2] = ["/opt/open-xchange/dmf/scheduler/etc/dmf-scheduler.yml", "dmf-scheduler.yml"];

/// Keys of the original's file that have no meaning here.
const WITHOUT_EFFECT: [&str; 11] = [
    "jackson.**",
    "liquibase.**",
    "endpoints.liquibase.**",
    "datasources.default.dialect",
    "datasources.default.driver-class-name",
    "micronaut.server.multipart.**",
    "micronaut.router.**",
    "micronaut.security.**",
    "micronaut.application.name",
    "micronaut.metrics.**",
    "endpoints.all.**",
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
    /// How much each may ask.
    pub rate_limits: limits::Settings,
    /// Whose word on the client's address is taken.
    pub trusted_proxies: TrustedProxies,
    /// MariaDB.
    pub database: DataSource,
    /// Redis.
    pub queue: queue::Options,
    /// The key that seals users' passwords; none when not configured.
    pub keys: KeyRing,
    /// What the disk space indicator of the health report looks at.
    pub disk_space: DiskSpace,
    /// What takes back the leases of lost workers.
    pub reaper: reaper::Settings,
    /// Logging.
    pub telemetry: TelemetrySettings,
    /// How long requests and duties may take to end after SIGTERM.
    pub grace: Duration,
}

/// The disk space indicator.
#[derive(Debug)]
pub struct DiskSpace {
    /// Any path on the file system.
    pub path: PathBuf,
    /// Fewer free bytes than this are DOWN.
    pub threshold_bytes: u64,
}

impl Settings {
    /// Reads files and environment; either everything that is wrong or the settings with warnings.
    pub fn load(files: &[PathBuf], environment: Environment) -> Result<(Self, Vec<Warning>), Errors> {
        Self::read(&Sources::default().files(files).candidates(CANDIDATES).load(environment)?)
    }

    /// Reads settings from properties that are loaded already.
    pub fn read(properties: &Properties) -> Result<(Self, Vec<Warning>), Errors> {
        let mut reader = Reader::new(properties);
        for pattern in WITHOUT_EFFECT {
            reader.accept(pattern);
        }
        let listen = ListenSettings::read(&mut reader);
        let admin = admin(&mut reader);
        let api_key_header = reader
            .parsed("http.headers.xapikey", "the name of an HTTP header", |text| text.trim().parse().ok())
            .unwrap_or_else(|| HeaderName::from_static("x-api-key"));
        let ignore_unknown_fields =
            reader.choice("dmf.api.unknown-fields", &[("refuse", false), ("ignore", true)], false);
        let versioning = Versioning::read(&mut reader);
        let rate_limits = rate_limits(&mut reader);
        let trusted_proxies = trusted_proxies(&mut reader);
        let database = DataSource::read(&mut reader, "datasources.default");
        let queue = queue::Options::read(&mut reader);
        let keys = KeyRing::read(&mut reader);
        let disk_space = DiskSpace {
            path: reader.path("endpoints.health.disk-space.path").unwrap_or_else(|| PathBuf::from(".")),
            threshold_bytes: reader.size("endpoints.health.disk-space.threshold", 10 << 20, 0..=u64::MAX),
        };
        let reaper = reaper_settings(&mut reader);
        let telemetry = TelemetrySettings::read(&mut reader);
        let grace = reader.duration(
            "dmf.scheduler.shutdown.grace",
            Duration::from_secs(30),
            Duration::ZERO..=Duration::from_hours(1),
        );
        let warnings = reader.finish()?;
        // A missing data source is a fault, so it is there once nothing was wrong.
        let Some(database) = database else { return Err(Errors(Vec::new())) };
        Ok((
            Self {
                listen,
                admin,
                api_key_header,
                ignore_unknown_fields,
                versioning,
                rate_limits,
                trusted_proxies,
                database,
                queue,
                keys,
                disk_space,
                reaper,
                telemetry,
                grace,
            },
            warnings,
        ))
    }
}

fn rate_limits(reader: &mut Reader<'_>) -> limits::Settings {
    let mut limit = |key: &str, default: u32| NonZeroU32::new(reader.number(key, default, 0..=1_000_000));
    limits::Settings {
        requests_per_second: limit("dmf.http.rate-limit.requests-per-second", 0),
        wrong_per_minute: limit("dmf.http.rate-limit.wrong-credentials-per-minute", 30),
    }
}

fn trusted_proxies(reader: &mut Reader<'_>) -> TrustedProxies {
    let key = "dmf.http.trusted-proxies";
    let networks = reader.list(key).unwrap_or_default();
    TrustedProxies::parse(&networks).unwrap_or_else(|wrong| {
        reader.reject(key, &format!("{wrong:?} is neither an address nor a network such as 10.0.0.0/8"));
        TrustedProxies::default()
    })
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

fn admin(reader: &mut Reader<'_>) -> Option<Admin> {
    let username = reader.string("http.admin.username").filter(|name| !name.is_empty());
    let password: Option<SecretString> =
        reader.secret("http.admin.password").filter(|password| !password.expose_secret().is_empty());
    match (username, password) {
        (Some(username), Some(password)) => {
            if username.contains(':') {
                reader.reject("http.admin.username", "must not hold a colon, which HTTP Basic splits at");
            }
            Some(Admin { username, password })
        }
        (None, None) => {
            reader.warn("http.admin.username", "is not set, so every admin route answers 401");
            None
        }
        (Some(_), None) => {
            reader.missing("http.admin.password");
            None
        }
        (None, Some(_)) => {
            reader.missing("http.admin.username");
            None
        }
    }
}
