//! The HTTP server: HTTP/1.1 and HTTP/2, with or without TLS, with bounds on everything that somebody
//! outside can take up. It drains: at the soft stop nobody new is heard, and what is being answered is.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;

use super::{Certificates, Limits, ListenSettings, connection::Connection};
use crate::ops::Lifecycle;

/// How long nothing is accepted after the system refused, which it does when descriptors run out.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);
/// Descriptors for everything but connections.
const OTHER_DESCRIPTORS: u64 = 512;

/// A socket that listens.
pub struct Server {
    listener: TcpListener,
    limits: Limits,
    tls: Option<TlsAcceptor>,
}

impl Server {
    /// Binds the address of the settings.
    pub async fn bind(settings: &ListenSettings) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.address).await?;
        let mut limits = settings.limits;
        limits.connections = limits.connections.min(descriptors(limits.connections));
        let tls = settings.certificates.as_ref().map(Certificates::acceptor);
        Ok(Self { listener, limits, tls })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts connections until the soft stop. Each connection is a task of the lifecycle, which waits
    /// for it; the hard stop ends them all.
    pub async fn serve(self, router: Router, lifecycle: Lifecycle) {
        let permits = Arc::new(Semaphore::new(self.limits.connections));
        let soft = lifecycle.soft().clone();
        loop {
            let next = async {
                // The semaphore is never closed. Who finds no room waits in the system's backlog.
                let permit = permits.clone().acquire_owned().await.ok();
                (permit, self.accept().await)
            };
            let Some((permit, (stream, peer))) = soft.run_until_cancelled(next).await else { return };
            let connection = Connection {
                router: router.clone(),
                peer,
                limits: self.limits,
                tls: self.tls.clone(),
                soft: soft.clone(),
            };
            let hard = lifecycle.hard().clone();
            lifecycle.spawn("connection", async move {
                hard.run_until_cancelled_owned(connection.serve(stream)).await;
                drop(permit);
            });
        }
    }

    async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be accepted");
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
            }
        }
    }
}

/// The other end went away before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// For how many connections there are file descriptors, once the process's limit is raised as far as it
/// may be and `wanted` needs.
fn descriptors(wanted: usize) -> usize {
    let needed = wanted as u64 + OTHER_DESCRIPTORS;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return wanted };
    let raised = needed.min(hard).max(soft);
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, raised, hard) {
        Ok(()) => raised,
        Err(_) => soft,
    };
    if limit >= needed {
        return wanted;
    }
    let room = usize::try_from(limit.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(wanted).max(64);
    tracing::warn!(limit, connections = room, "the limit of open files leaves room for fewer connections");
    room
}
