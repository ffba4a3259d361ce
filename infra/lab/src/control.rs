use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::dovecot::SourceDovecot;
use crate::error::Result;
use crate::mariadb::MariaDb;
use crate::postgres::Postgres;
use crate::redis::Redis;
use crate::sentinel::Sentinel;

/// What all servers with a port can be made to do.
macro_rules! controls {
    ($($server:ty),+) => {$(
        impl $server {
            /// The TCP port; it stays the same over restarts.
            pub fn port(&self) -> u16 {
                self.port.number()
            }

            /// Loopback address and port.
            pub fn addr(&self) -> SocketAddr {
                (Ipv4Addr::LOCALHOST, self.port()).into()
            }

            /// Starts the server again and waits until it serves; nothing happens when it runs.
            pub async fn start(&self) -> Result<()> {
                self.server.start().await
            }

            /// Stops the server as an administrator does (SIGTERM) and waits until it is gone.
            pub async fn stop(&self) -> Result<()> {
                self.server.stop().await
            }

            /// Stops and starts the server, on the same port and data.
            pub async fn restart(&self) -> Result<()> {
                self.server.restart().await
            }

            /// Kills the server and its children (SIGKILL).
            pub async fn kill(&self) -> Result<()> {
                self.server.kill().await
            }

            /// Freezes the server (SIGSTOP): connections open, nothing is answered.
            pub fn pause(&self) {
                self.server.pause();
            }

            /// Lets a frozen server go on.
            pub fn resume(&self) {
                self.server.resume();
            }

            /// Process group of the running server, `None` while it is stopped.
            pub fn process_group(&self) -> Option<i32> {
                self.server.group()
            }

            /// Where the server's standard output and error go.
            pub fn output_path(&self) -> &Path {
                self.server.log()
            }
        }
    )+};
}

controls!(MariaDb, Redis, Postgres, Sentinel, SourceDovecot);
