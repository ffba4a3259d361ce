use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::dovecot::{SourceDovecot, Storage, TargetDovecot};
use crate::mariadb::MariaDb;
use crate::postgres::Postgres;
use crate::redis::Redis;

/// Where everything in a lab is. The passwords in it open nothing but the lab.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// The lab's directory.
    pub dir: PathBuf,
    /// URL of the MariaDB server, without a database.
    pub mariadb: Option<String>,
    /// URL of the Redis server.
    pub redis: Option<String>,
    /// URL of the PostgreSQL server's first database.
    pub postgres: Option<String>,
    /// All source Dovecots.
    pub sources: Vec<Source>,
    /// The target Dovecot.
    pub target: Option<Target>,
    /// Process groups of all running servers.
    pub process_groups: Vec<i32>,
}

/// Where a source Dovecot is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Its name in the lab.
    pub name: String,
    /// Address of its IMAP service.
    pub host: String,
    /// Port of its IMAP service, which is without TLS.
    pub port: u16,
    /// Who may open everybody's mail.
    pub master_user: String,
    /// The master user's password.
    pub master_password: String,
    /// Its log.
    pub log: PathBuf,
}

/// Where a target Dovecot is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Its configuration file, for `doveadm -c`.
    pub conf: PathBuf,
    /// The user that doveadm must run as; `null` for the one who started the lab.
    pub mail_user: Option<String>,
    /// How it stores mail.
    pub storage: Storage,
}

impl Description {
    pub(crate) fn new(
        dir: &Path,
        mariadb: Option<&MariaDb>,
        redis: Option<&Redis>,
        postgres: Option<&Postgres>,
        sources: &[SourceDovecot],
        target: Option<&TargetDovecot>,
    ) -> Self {
        let groups = [
            mariadb.and_then(MariaDb::process_group),
            redis.and_then(Redis::process_group),
            postgres.and_then(Postgres::process_group),
            target.and_then(TargetDovecot::process_group),
        ];
        let source_groups = sources.iter().filter_map(SourceDovecot::process_group);
        Self {
            dir: dir.to_path_buf(),
            mariadb: mariadb.map(|m| m.url("")),
            redis: redis.map(Redis::url),
            postgres: postgres.map(|p| p.url("postgres")),
            sources: sources.iter().map(Source::new).collect(),
            target: target.map(Target::new),
            process_groups: groups.into_iter().flatten().chain(source_groups).collect(),
        }
    }
}

impl Source {
    fn new(source: &SourceDovecot) -> Self {
        Self {
            name: source.name().into(),
            host: source.addr().ip().to_string(),
            port: source.port(),
            master_user: SourceDovecot::MASTER_USER.into(),
            master_password: SourceDovecot::MASTER_PASSWORD.into(),
            log: source.log_path(),
        }
    }
}

impl Target {
    fn new(target: &TargetDovecot) -> Self {
        Self {
            conf: target.conf_path().into(),
            mail_user: target.mail_user().map(Into::into),
            storage: target.storage(),
        }
    }
}
