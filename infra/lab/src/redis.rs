use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Doing as _, Result};
use crate::home::Home;
use crate::ports::Port;
use crate::probe::Probe;
use crate::programs;
use crate::sentinel::Sentinel;
use crate::server::{Recipe, Server, empty};
use crate::template;

/// What a Redis server keeps over a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Persistence {
    /// Nothing: a restart is a loss of all data.
    #[default]
    None,
    /// An append-only file, written through at every command.
    AppendOnly,
}

/// A private Redis server on a loopback port, without password, with `maxmemory-policy noeviction`.
#[derive(Debug)]
pub struct Redis {
    pub(crate) server: Server,
    pub(crate) port: Port,
    data: PathBuf,
    persistence: Persistence,
    home: Arc<Home>,
}

/// What a Redis server had on its disk at a moment. Lies beside the server's data until the lab goes.
#[derive(Debug)]
pub struct DiskCopy(PathBuf);

impl Redis {
    pub(crate) async fn launch(home: Arc<Home>, persistence: Persistence) -> Result<Self> {
        Self::launch_as("redis", home, persistence, None).await
    }

    /// Starts a replica of whatever is at this address: of this server itself, or of a proxy before it. Not more
    /// than one for each server.
    pub async fn start_replica(&self, of: SocketAddr) -> Result<Self> {
        Self::launch_as("redis-replica", Arc::clone(&self.home), Persistence::None, Some(of)).await
    }

    /// Starts a Sentinel that watches over this server. Not more than one.
    pub async fn start_sentinel(&self) -> Result<Sentinel> {
        Sentinel::launch(Arc::clone(&self.home), self.addr()).await
    }

    async fn launch_as(
        name: &str,
        home: Arc<Home>,
        persistence: Persistence,
        master: Option<SocketAddr>,
    ) -> Result<Self> {
        let dir = home.path().join(name);
        let data = dir.join("data");
        fs::create_dir_all(&data).doing(|| format!("create {}", data.display()))?;
        let program = programs::REDIS_SERVER.locate()?;
        let append_only = if persistence == Persistence::AppendOnly { "yes" } else { "no" };
        let (server, port) = Server::launch_on_free_port(&home, |port| {
            let (port_text, dir_text) = (port.to_string(), data.display().to_string());
            let settings = [
                ["--port", &port_text],
                ["--bind", "127.0.0.1"],
                ["--dir", &dir_text],
                ["--save", ""],
                ["--appendonly", append_only],
                ["--appendfsync", "always"],
                ["--maxmemory-policy", "noeviction"],
                ["--daemonize", "no"],
            ];
            let mut args: Vec<OsString> = settings.as_flattened().iter().map(Into::into).collect();
            if let Some(master) = master {
                let place = format!("{} {}", master.ip(), master.port());
                args.extend(["--replicaof".into(), place.into()]);
            }
            Ok(Recipe {
                name: name.into(),
                program: program.clone(),
                args,
                run_as: None,
                log: dir.join("server.log"),
                scratch: None,
                probe: Probe::Redis(port),
            })
        })
        .await?;
        Ok(Self { server, port, data, persistence, home })
    }

    /// Copies what a start would load: the append-only file as it is, or what the last `SAVE` wrote. Done while
    /// nothing is written, or the copy may end within a command, which a start cuts off.
    pub fn copy_disk(&self) -> Result<DiskCopy> {
        let copies = self.data.with_file_name("copies");
        fs::create_dir_all(&copies).doing(|| format!("create {}", copies.display()))?;
        let number = fs::read_dir(&copies).doing(|| format!("list {}", copies.display()))?.count();
        let copy = copies.join(number.to_string());
        template::copy(&self.data, &copy)?;
        Ok(DiskCopy(copy))
    }

    /// Starts the stopped server with an old copy of its disk, as after a failover to a replica that lagged behind,
    /// or a restored backup. One that keeps nothing over a restart forgets the copy with the next one.
    pub async fn start_with(&self, old: &DiskCopy) -> Result<()> {
        fs::remove_dir_all(&self.data).doing(|| format!("remove {}", self.data.display()))?;
        template::copy(&old.0, &self.data)?;
        self.server.start().await?;
        if self.persistence == Persistence::None {
            empty(&self.data).doing(|| format!("empty {}", self.data.display()))?;
        }
        Ok(())
    }

    /// `redis://127.0.0.1:port/`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port())
    }
}
