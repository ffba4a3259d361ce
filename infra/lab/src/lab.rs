use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::describe::Description;
use crate::dovecot::{Namespace, SourceDovecot, SourceOptions, Storage, TargetDovecot};
use crate::error::{Doing as _, Result};
use crate::home::Home;
use crate::mariadb::MariaDb;
use crate::postgres::Postgres;
use crate::redis::{Persistence, Redis};

/// Which servers a lab has. Made by [`Lab::builder`].
#[derive(Debug, Clone)]
#[must_use = "a lab starts with `start`"]
pub struct Builder {
    dir: Option<PathBuf>,
    mariadb: bool,
    mariadb_options: Vec<String>,
    redis: Option<Persistence>,
    postgres: bool,
    postgres_options: Vec<String>,
    sources: Vec<String>,
    source_options: SourceOptions,
    target: Option<Storage>,
}

/// Private servers in one directory. All of them end, and the directory goes, when this value is dropped, also by
/// a panic; when the whole process is killed, a watchdog does the same.
#[derive(Debug)]
pub struct Lab {
    mariadb: Option<MariaDb>,
    redis: Option<Redis>,
    postgres: Option<Postgres>,
    sources: Vec<SourceDovecot>,
    target: Option<TargetDovecot>,
    /// Last, so that the directory goes after those who write into it.
    home: Arc<Home>,
}

impl Builder {
    /// Uses this directory, which must be empty or absent, instead of one on tmpfs.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// With a MariaDB server.
    pub fn mariadb(mut self) -> Self {
        self.mariadb = true;
        self
    }

    /// Further options of the MariaDB server, such as `--innodb-buffer-pool-size=1G`; they win over the lab's own.
    pub fn mariadb_options(mut self, options: &[&str]) -> Self {
        self.mariadb_options.extend(options.iter().map(|option| (*option).to_owned()));
        self
    }

    /// With a Redis server that forgets everything when it stops.
    pub fn redis(self) -> Self {
        self.redis_with(Persistence::None)
    }

    /// With a Redis server.
    pub fn redis_with(mut self, persistence: Persistence) -> Self {
        self.redis = Some(persistence);
        self
    }

    /// With a PostgreSQL server.
    pub fn postgres(mut self) -> Self {
        self.postgres = true;
        self
    }

    /// Further settings of the PostgreSQL server, such as `shared_buffers=1GB`; they win over the lab's own.
    pub fn postgres_options(mut self, options: &[&str]) -> Self {
        self.postgres_options.extend(options.iter().map(|option| (*option).to_owned()));
        self
    }

    /// With a source Dovecot of this name; may be called several times.
    pub fn source(mut self, name: &str) -> Self {
        self.sources.push(name.into());
        self
    }

    /// How many connections each source allows for one user from one address; Dovecot's own limit is 10.
    pub fn max_userip_connections(mut self, limit: u32) -> Self {
        self.source_options.max_userip_connections = limit;
        self
    }

    /// What every mailbox of the sources but INBOX lies below, such as `INBOX.`, and how they separate a mailbox
    /// from those below it; nothing and `/` unless told.
    pub fn source_namespace(mut self, prefix: &str, separator: char) -> Self {
        self.source_options.namespace = Namespace { prefix: prefix.into(), separator };
        self
    }

    /// With a target Dovecot.
    pub fn target(mut self, storage: Storage) -> Self {
        self.target = Some(storage);
        self
    }

    /// Starts everything at the same time and waits until all of it serves.
    ///
    /// # Errors
    /// A program that is missing is named with its Debian package. When one server fails, the others are gone.
    pub async fn start(self) -> Result<Lab> {
        let home = Arc::new(Home::create(self.dir.as_deref())?);
        let (mariadb, redis, postgres, sources, target) = tokio::try_join!(
            async {
                if !self.mariadb {
                    return Ok(None);
                }
                MariaDb::launch(Arc::clone(&home), self.mariadb_options).await.map(Some)
            },
            async {
                match self.redis {
                    Some(persistence) => Redis::launch(Arc::clone(&home), persistence).await.map(Some),
                    None => Ok(None),
                }
            },
            async {
                if !self.postgres {
                    return Ok(None);
                }
                Postgres::launch(Arc::clone(&home), self.postgres_options).await.map(Some)
            },
            start_sources(&home, &self.sources, &self.source_options),
            async {
                match self.target {
                    Some(storage) => TargetDovecot::launch(Arc::clone(&home), storage).await.map(Some),
                    None => Ok(None),
                }
            },
        )?;
        Ok(Lab { mariadb, redis, postgres, sources, target, home })
    }
}

impl Lab {
    /// A lab without any server; add those that are wanted.
    pub fn builder() -> Builder {
        Builder {
            dir: None,
            mariadb: false,
            mariadb_options: Vec::new(),
            redis: None,
            postgres: false,
            postgres_options: Vec::new(),
            sources: Vec::new(),
            source_options: SourceOptions::default(),
            target: None,
        }
    }

    /// The directory of this lab, which [`Builder::start`] made.
    pub fn dir(&self) -> &Path {
        self.home.path()
    }

    /// The MariaDB server.
    ///
    /// # Panics
    /// When the lab was built without one.
    #[track_caller]
    pub fn mariadb(&self) -> &MariaDb {
        let Some(mariadb) = &self.mariadb else { panic!("this lab was built without MariaDB") };
        mariadb
    }

    /// The Redis server.
    ///
    /// # Panics
    /// When the lab was built without one.
    #[track_caller]
    pub fn redis(&self) -> &Redis {
        let Some(redis) = &self.redis else { panic!("this lab was built without Redis") };
        redis
    }

    /// The PostgreSQL server.
    ///
    /// # Panics
    /// When the lab was built without one.
    #[track_caller]
    pub fn postgres(&self) -> &Postgres {
        let Some(postgres) = &self.postgres else { panic!("this lab was built without PostgreSQL") };
        postgres
    }

    /// The source Dovecot of this name.
    ///
    /// # Panics
    /// When the lab was built without one.
    #[track_caller]
    pub fn source(&self, name: &str) -> &SourceDovecot {
        let source = self.sources.iter().find(|s| s.name() == name);
        let Some(source) = source else { panic!("this lab was built without the source {name:?}") };
        source
    }

    /// All source Dovecots, in the order in which they were asked for.
    pub fn sources(&self) -> &[SourceDovecot] {
        &self.sources
    }

    /// The target Dovecot.
    ///
    /// # Panics
    /// When the lab was built without one.
    #[track_caller]
    pub fn target(&self) -> &TargetDovecot {
        let Some(target) = &self.target else { panic!("this lab was built without a target") };
        target
    }

    /// Where everything is, for programs that are not in this process.
    pub fn describe(&self) -> Description {
        Description::new(
            self.dir(),
            self.mariadb.as_ref(),
            self.redis.as_ref(),
            self.postgres.as_ref(),
            &self.sources,
            self.target.as_ref(),
        )
    }

    /// Has a process group that the caller started die with this lab, however the lab's process ends. The caller
    /// kills it in the ordinary case, and calls [`Lab::release`] when it has.
    pub fn guard(&self, group: i32) -> Result<()> {
        self.home.guard(group)
    }

    /// Forgets a process group of [`Lab::guard`], whose number the system may give to others from now on.
    pub fn release(&self, group: i32) {
        self.home.release(group);
    }

    /// Leaves all servers running and all files in place when this process ends. Returns the directory; who
    /// wants them gone kills the process groups of [`Lab::describe`] and removes it.
    pub fn keep(self) -> PathBuf {
        self.home.keep();
        self.home.path().to_path_buf()
    }
}

async fn start_sources(
    home: &Arc<Home>,
    names: &[String],
    options: &SourceOptions,
) -> Result<Vec<SourceDovecot>> {
    let mut starting = JoinSet::new();
    for (place, name) in names.iter().cloned().enumerate() {
        let (home, options) = (Arc::clone(home), options.clone());
        starting.spawn(async move { (place, SourceDovecot::launch(home, &name, &options).await) });
    }
    let mut started = Vec::with_capacity(names.len());
    while let Some(outcome) = starting.join_next().await {
        let (place, source) = outcome.doing(|| "start a source".into())?;
        started.push((place, source?));
    }
    started.sort_by_key(|(place, _)| *place);
    Ok(started.into_iter().map(|(_, source)| source).collect())
}
