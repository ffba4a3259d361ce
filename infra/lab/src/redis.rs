use std::sync::Arc;

use crate::error::{Doing as _, Result};
use crate::home::Home;
use crate::ports::Port;
use crate::probe::Probe;
use crate::programs;
use crate::server::{Recipe, Server};

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
}

impl Redis {
    pub(crate) async fn launch(home: Arc<Home>, persistence: Persistence) -> Result<Self> {
        let dir = home.path().join("redis");
        std::fs::create_dir(&dir).doing(|| format!("create {}", dir.display()))?;
        let program = programs::REDIS_SERVER.locate()?;
        let append_only = if persistence == Persistence::AppendOnly { "yes" } else { "no" };
        let (server, port) = Server::launch_on_free_port(&home, |port| {
            let (port_text, dir_text) = (port.to_string(), dir.display().to_string());
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
            Ok(Recipe {
                name: "redis".into(),
                program: program.clone(),
                args: settings.as_flattened().iter().map(Into::into).collect(),
                run_as: None,
                log: dir.join("server.log"),
                scratch: None,
                probe: Probe::Redis(port),
            })
        })
        .await?;
        Ok(Self { server, port })
    }

    /// `redis://127.0.0.1:port/`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port())
    }
}
