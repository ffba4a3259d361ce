//! Health: indicators, each with a deadline, and the tree that they make up.
//!
//! The shape is the original's: every node is `{name, status, details}`, `name` being the application's,
//! and the details of a composite are its parts by their own names.

use std::{fmt, future::Future, path::PathBuf, sync::Arc, time::Duration};

use futures::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use nix::sys::statvfs::statvfs;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{DiskSpace, HealthSettings};

/// Longest time for one indicator.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(3);
/// For how long an answer is given again, so that many askers don't wear out the stores.
const FRESH: Duration = Duration::from_millis(500);
/// The same for one that is down: who waits for a process to get ready is not to wait for that.
const FRESH_DOWN: Duration = Duration::from_millis(50);

/// Whether something works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// It does.
    Up,
    /// It does not.
    Down,
}

/// What one indicator found.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    status: Status,
    details: Details,
}

#[derive(Debug, Clone, PartialEq)]
enum Details {
    None,
    Facts(Value),
    Parts(Vec<(String, Report)>),
}

impl Report {
    /// It works; nothing to tell.
    pub fn up() -> Self {
        Self { status: Status::Up, details: Details::None }
    }

    /// It does not work, for this reason. It is shown to whoever has credentials: no secret, no SQL.
    pub fn down(reason: &str) -> Self {
        Self { status: Status::Down, details: Details::Facts(json!({ "error": reason })) }
    }

    /// Adds facts (a JSON object) to show instead of those so far.
    #[must_use]
    pub fn with_facts(self, facts: Value) -> Self {
        Self { details: Details::Facts(facts), ..self }
    }

    /// Several parts under names of their own; up if all are.
    pub fn composite(parts: Vec<(String, Self)>) -> Self {
        let all_up = parts.iter().all(|(_, part)| part.status == Status::Up);
        let status = if all_up { Status::Up } else { Status::Down };
        Self { status, details: Details::Parts(parts) }
    }

    /// MariaDB, shown under its URL without credentials: its version, or why it does not answer.
    pub fn database(url: String, version: Result<String, impl fmt::Display>) -> Self {
        let report = match version {
            Ok(version) => Self::up().with_facts(json!({ "database": "MariaDB", "version": version })),
            Err(error) => Self::down(&error.to_string()),
        };
        Self::composite(vec![(url, report)])
    }

    /// Redis: its version and eviction policy, or why it does not answer. Any policy but one would throw
    /// jobs away when its memory is full.
    pub fn redis(found: Result<(String, String), impl fmt::Display>) -> Self {
        match found {
            Ok((version, policy)) if policy == "noeviction" => {
                Self::up().with_facts(json!({ "version": version }))
            }
            Ok(_) => Self::down("maxmemory-policy must be noeviction"),
            Err(error) => Self::down(&error.to_string()),
        }
    }

    /// Whether it works.
    pub fn status(&self) -> Status {
        self.status
    }

    /// For how long it may be given again.
    const fn is_fresh_for(&self) -> Duration {
        match self.status {
            Status::Up => FRESH,
            Status::Down => FRESH_DOWN,
        }
    }

    /// The report of one part of a composite.
    pub fn part(&self, name: &str) -> Option<&Self> {
        let Details::Parts(parts) = &self.details else { return None };
        parts.iter().find(|(own, _)| own == name).map(|(_, part)| part)
    }

    /// `{name, status, details}`, `application` being the name of every node.
    pub fn to_json(&self, application: &str) -> Value {
        let details = match &self.details {
            Details::None => Value::Null,
            Details::Facts(facts) => facts.clone(),
            Details::Parts(parts) => {
                let parts = parts.iter().map(|(name, part)| (name.clone(), part.to_json(application)));
                Value::Object(parts.collect::<Map<_, _>>())
            }
        };
        json!({ "name": application, "status": self.status, "details": details })
    }
}

type Check = Box<dyn Fn() -> BoxFuture<'static, Report> + Send + Sync>;

struct Indicator {
    name: &'static str,
    check: Check,
}

/// All indicators of a process. Clones are the same.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    application: String,
    deadline: Duration,
    indicators: Vec<Indicator>,
    last: Mutex<Option<(Instant, Report)>>,
}

/// Builds a [`Health`].
pub struct HealthBuilder {
    application: String,
    deadline: Duration,
    indicators: Vec<Indicator>,
}

impl Health {
    /// Health of the application of that name (`micronaut.application.name`).
    pub fn builder(application: &str) -> HealthBuilder {
        HealthBuilder {
            application: application.to_owned(),
            deadline: DEFAULT_DEADLINE,
            indicators: Vec::new(),
        }
    }

    /// Asks all indicators at the same time; an answer of the last moments is given again.
    pub async fn check(&self) -> Report {
        // Askers wait for each other here, so that one asks the indicators for all of them.
        let mut last = self.0.last.lock().await;
        if let Some((at, report)) = last.as_ref()
            && at.elapsed() < report.is_fresh_for()
        {
            return report.clone();
        }
        let parts = join_all(self.0.indicators.iter().map(|indicator| self.ask(indicator))).await;
        let report = Report::composite(parts);
        *last = Some((Instant::now(), report.clone()));
        report
    }

    async fn ask(&self, indicator: &Indicator) -> (String, Report) {
        let report = timeout(self.0.deadline, (indicator.check)()).await.unwrap_or_else(|_| {
            Report::down(&format!("no answer within {} ms", self.0.deadline.as_millis()))
        });
        (indicator.name.to_owned(), report)
    }

    /// The report as the endpoint shows it: with its details, or the status alone.
    pub fn to_json(&self, report: &Report, with_details: bool) -> Value {
        if with_details { report.to_json(&self.0.application) } else { json!({ "status": report.status }) }
    }
}

impl HealthBuilder {
    /// Another deadline for each indicator.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Adds an indicator; its future is dropped at the deadline.
    #[must_use]
    pub fn indicator<F>(mut self, name: &'static str, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Report> + Send + 'static,
    {
        self.indicators.push(Indicator { name, check: Box::new(move || check().boxed()) });
        self
    }

    /// Adds `diskSpace`: down when less than `threshold_bytes` are free where `path` lies.
    #[must_use]
    pub fn disk_space(self, path: PathBuf, threshold_bytes: u64) -> Self {
        self.indicator("diskSpace", move || {
            let path = path.clone();
            // A file system on the net may hang: the deadline leaves such a thread behind.
            let look = tokio::task::spawn_blocking(move || disk_space(&path, threshold_bytes));
            async move { look.await.unwrap_or_else(|_| Report::down("could not look")) }
        })
    }

    /// Adds what both processes have in common, as far as it is switched on: `compositeDiscoveryClient()`,
    /// `service` and `diskSpace`.
    #[must_use]
    pub fn common(mut self, on: &HealthSettings) -> Self {
        if on.discovery_client {
            self = self.indicator("compositeDiscoveryClient()", || async {
                Report::up().with_facts(json!({ "services": {} }))
            });
        }
        if on.service {
            self = self.indicator("service", || async { Report::up() });
        }
        match &on.disk_space {
            Some(DiskSpace { path, threshold_bytes }) => self.disk_space(path.clone(), *threshold_bytes),
            None => self,
        }
    }

    /// Done.
    pub fn build(self) -> Health {
        Health(Arc::new(Inner {
            application: self.application,
            deadline: self.deadline,
            indicators: self.indicators,
            last: Mutex::new(None),
        }))
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.indicators.iter().map(|indicator| indicator.name);
        f.debug_list().entries(names).finish()
    }
}

fn disk_space(path: &std::path::Path, threshold_bytes: u64) -> Report {
    let stat = match statvfs(path) {
        Ok(stat) => stat,
        Err(error) => return Report::down(error.desc()),
    };
    let total = stat.blocks().saturating_mul(stat.fragment_size());
    let free = stat.blocks_available().saturating_mul(stat.fragment_size());
    let status = if free >= threshold_bytes { Status::Up } else { Status::Down };
    let facts = json!({
        "total": total,
        "free": free,
        "threshold": threshold_bytes,
        "path": path.display().to_string(),
    });
    Report { status, details: Details::Facts(facts) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn the_tree_is_the_originals() {
        let health = Health::builder("api")
            .indicator("jdbc", async || {
                let facts = json!({ "database": "MariaDB", "version": "10.11" });
                Report::composite(vec![("jdbc:mysql://db:3306/m".into(), Report::up().with_facts(facts))])
            })
            .indicator("service", async || Report::up())
            .build();
        let report = health.check().await;
        assert_eq!(
            health.to_json(&report, true),
            json!({ "name": "api", "status": "UP", "details": {
                "jdbc": { "name": "api", "status": "UP", "details": {
                    "jdbc:mysql://db:3306/m": { "name": "api", "status": "UP", "details":
                        { "database": "MariaDB", "version": "10.11" } } } },
                "service": { "name": "api", "status": "UP", "details": null },
            } })
        );
        assert_eq!(health.to_json(&report, false), json!({ "status": "UP" }));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_is_down_and_holds_up_nobody() {
        let health = Health::builder("api")
            .indicator("redis", std::future::pending)
            .indicator("jdbc", async || Report::up())
            .build();
        let report = health.check().await;
        assert_eq!(report.status(), Status::Down);
        assert_eq!(report.part("jdbc").unwrap().status(), Status::Up);
        let redis = report.part("redis").unwrap().to_json("api");
        assert_eq!(redis["details"]["error"], "no answer within 3000 ms");
    }

    #[tokio::test(start_paused = true)]
    async fn many_askers_are_one() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let health = Health::builder("api")
            .indicator("jdbc", move || {
                count.fetch_add(1, Ordering::Relaxed);
                async { Report::up() }
            })
            .build();
        join_all((0..20).map(|_| health.check())).await;
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        tokio::time::advance(FRESH).await;
        health.check().await;
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_down_is_soon_asked_again() {
        let is_up = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let state = Arc::clone(&is_up);
        let health = Health::builder("worker")
            .indicator("backend", move || {
                let report =
                    if state.load(Ordering::Relaxed) { Report::up() } else { Report::down("starting") };
                async move { report }
            })
            .build();
        assert_eq!(health.check().await.status(), Status::Down);
        is_up.store(true, Ordering::Relaxed);
        assert_eq!(health.check().await.status(), Status::Down, "many askers are one here, too");
        tokio::time::advance(FRESH_DOWN).await;
        assert_eq!(health.check().await.status(), Status::Up);
    }

    #[tokio::test]
    async fn disk_space_is_measured() {
        let dir = tempfile::tempdir().unwrap();
        let health = |threshold| Health::builder("api").disk_space(dir.path().to_owned(), threshold).build();
        let report = health(0).check().await;
        assert_eq!(report.status(), Status::Up);
        let details = &report.part("diskSpace").unwrap().to_json("api")["details"];
        assert!(details["total"].as_u64() >= details["free"].as_u64());
        assert_eq!(health(u64::MAX).check().await.status(), Status::Down);
        let missing = Health::builder("api").disk_space(dir.path().join("none"), 0).build();
        assert_eq!(missing.check().await.status(), Status::Down);
    }
}
