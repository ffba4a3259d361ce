use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Doing as _, Result};
use crate::home::Home;
use crate::ports::Port;
use crate::probe::Probe;
use crate::programs;
use crate::server::{Recipe, Server};
use crate::template;

/// Name of the MariaDB account that the lab's template has.
const USER: &str = "dmf";
/// Its password.
const PASSWORD: &str = "dmf-lab";

/// Commits are as durable as in production; all else is as small and quick to start as it can be.
const SETTINGS: [&str; 16] = [
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--max-connections=500",
    "--performance-schema=OFF",
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_general_ci",
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-buffer-pool-size=64M",
    "--innodb-temp-data-file-path=ibtmp1:2M:autoextend",
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
    "--innodb-buffer-pool-load-at-startup=OFF",
    "--innodb-fast-shutdown=1",
    "--aria-pagecache-buffer-size=8M",
    "--key-buffer-size=1M",
    "--thread-cache-size=16",
];

/// A private MariaDB server on a loopback port. It holds no database of its own making.
#[derive(Debug)]
pub struct MariaDb {
    pub(crate) server: Server,
    pub(crate) port: Port,
}

impl MariaDb {
    pub(crate) async fn launch(home: Arc<Home>, options: Vec<String>) -> Result<Self> {
        let dir = home.path().join("mariadb");
        let data = dir.join("data");
        let (program, to) = (programs::MARIADBD.locate()?, data.clone());
        tokio::task::spawn_blocking(move || template::copy(&template::find_or_make(&accounts_sql())?, &to))
            .await
            .doing(|| "copy MariaDB's template".into())??;
        let (server, port) = Server::launch_on_free_port(&home, |port| {
            Ok(Recipe {
                name: "mariadb".into(),
                program: program.clone(),
                args: arguments(&dir, &data, port, &options),
                run_as: None,
                log: dir.join("server.log"),
                scratch: None,
                probe: Probe::MariaDb(port),
            })
        })
        .await?;
        Ok(Self { server, port })
    }

    /// `mysql://user:password@127.0.0.1:port/db`. The database need not exist; an empty name connects to none.
    pub fn url(&self, db: &str) -> String {
        format!("mysql://{USER}:{PASSWORD}@127.0.0.1:{}/{db}", self.port())
    }

    /// `jdbc:mariadb://127.0.0.1:port/db`, without credentials: they are [`MariaDb::user`] and
    /// [`MariaDb::password`].
    pub fn jdbc_url(&self, db: &str) -> String {
        format!("jdbc:mariadb://127.0.0.1:{}/{db}", self.port())
    }

    /// An account that may do everything, over TCP from 127.0.0.1.
    pub fn user(&self) -> &'static str {
        USER
    }

    /// The password of [`MariaDb::user`].
    pub fn password(&self) -> &'static str {
        PASSWORD
    }
}

fn arguments(dir: &Path, data: &Path, port: u16, options: &[String]) -> Vec<OsString> {
    let own = [
        format!("--datadir={}", data.display()),
        format!("--socket={}", dir.join("socket").display()),
        format!("--pid-file={}", dir.join("pid").display()),
        format!("--tmpdir={}", dir.display()),
        format!("--port={port}"),
    ];
    // `--no-defaults` counts only as the first argument.
    let fixed = template::LAYOUT.into_iter().chain(template::user_argument()).chain(SETTINGS);
    fixed
        .map(OsString::from)
        .chain(own.map(OsString::from))
        .chain(options.iter().map(OsString::from))
        .collect()
}

fn accounts_sql() -> String {
    let grant = |host: &str| {
        format!(
            "CREATE USER '{USER}'@'{host}' IDENTIFIED BY '{PASSWORD}';\n\
             GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'{host}' WITH GRANT OPTION;\n"
        )
    };
    // A bootstrapping server knows no accounts until it is told to read them.
    ["FLUSH PRIVILEGES;\n", &grant("127.0.0.1"), &grant("localhost"), "DROP DATABASE IF EXISTS sys;\n"]
        .concat()
}
