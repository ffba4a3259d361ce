use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::error::{Doing as _, Result};
use crate::home::Home;
use crate::ports::Port;
use crate::probe::Probe;
use crate::programs;
use crate::server::{Recipe, Server};

/// A Redis Sentinel on a loopback port, without password, that watches over one master and decides alone.
#[derive(Debug)]
pub struct Sentinel {
    pub(crate) server: Server,
    pub(crate) port: Port,
}

impl Sentinel {
    /// What it calls its master.
    pub const MASTER: &str = "dmf";

    /// Watches over the master at this address; takes it for gone after a second of silence.
    pub(crate) async fn launch(home: Arc<Home>, master: SocketAddr) -> Result<Self> {
        let dir = home.path().join("sentinel");
        fs::create_dir_all(&dir).doing(|| format!("create {}", dir.display()))?;
        let program = programs::REDIS_SERVER.locate()?;
        let conf = dir.join("sentinel.conf");
        let (server, port) = Server::launch_on_free_port(&home, |port| {
            let name = Self::MASTER;
            let text = format!(
                "port {port}
bind 127.0.0.1
dir {}
sentinel monitor {name} {} {} 1
sentinel down-after-milliseconds {name} 1000
sentinel failover-timeout {name} 5000
",
                dir.display(),
                master.ip(),
                master.port()
            );
            // It writes what it learns into its settings.
            fs::write(&conf, text).doing(|| format!("write {}", conf.display()))?;
            Ok(Recipe {
                name: "sentinel".into(),
                program: program.clone(),
                args: vec![conf.clone().into(), "--sentinel".into()],
                run_as: None,
                log: dir.join("server.log"),
                scratch: None,
                probe: Probe::Redis(port),
            })
        })
        .await?;
        Ok(Self { server, port })
    }
}
