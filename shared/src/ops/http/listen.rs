//! Where a process listens, with which certificate, and how much each client may take up.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use super::certificates::{self, Certificates};
use crate::config::Reader;

/// Bounds on connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most connections at a time; more wait until one ends.
    pub connections: usize,
    /// Most requests at a time on one connection of HTTP/2.
    pub streams: u32,
    /// Largest head of a request, in bytes; beyond it is answered with 431.
    pub header_bytes: u32,
    /// How long a connection may be without a whole head of a request: new, between two requests, or in
    /// the middle of one.
    pub idle: Duration,
    /// How long a client may take none of its answer.
    pub write_stall: Duration,
}

/// Everything about listening.
#[derive(Debug, Clone)]
pub struct ListenSettings {
    /// The address.
    pub address: SocketAddr,
    /// With TLS, where the certificate comes from.
    pub certificates: Option<Arc<Certificates>>,
    /// Bounds.
    pub limits: Limits,
}

/// The original's address and ports.
const UNSPECIFIED: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const PLAIN_PORT: u16 = 8080;
const TLS_PORT: u16 = 8443;

impl ListenSettings {
    /// Reads the certificate again, at each SIGHUP. Blocks.
    pub fn reload(&self) {
        let Some(certificates) = &self.certificates else {
            tracing::info!("TLS is off, so there is no certificate to read again");
            return;
        };
        match certificates.reload() {
            Ok(()) => tracing::info!("new connections get the certificate that was read"),
            Err(error) => tracing::error!(%error, "the certificate stays as it was"),
        }
    }

    /// Reads `micronaut.server.{host,port}`, `micronaut.ssl.*`, `micronaut.server.ssl.*` and
    /// `dmf.http.*`. With TLS only the port of `ssl` is heard.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let host = reader
            .parsed("micronaut.server.host", "an IP address or localhost", |text| match text.trim() {
                "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                text => text.parse().ok(),
            })
            .unwrap_or(UNSPECIFIED);
        reader.otherwise("micronaut.server.host", UNSPECIFIED);
        let plain_port = reader.port("micronaut.server.port", PLAIN_PORT);
        let tls_port = certificates::either(reader, "port");
        let tls_port = reader.port(&tls_port, TLS_PORT);
        let is_tls = certificates::is_enabled(reader);
        let certificates = certificates::read(reader, is_tls).map(Arc::new);
        if is_tls && reader.is_set("micronaut.server.port") {
            reader.warn("micronaut.server.port", "has no effect: TLS is on, and only its port is heard");
        }
        let port = if is_tls { tls_port } else { plain_port };
        Self { address: SocketAddr::new(host, port), certificates, limits: limits(reader) }
    }
}

fn limits(reader: &mut Reader<'_>) -> Limits {
    let secs = Duration::from_secs;
    let header_bytes = reader.size("dmf.http.max-header-size", 16 << 10, 4 << 10..=256 << 10);
    Limits {
        connections: reader.number("dmf.http.max-connections", 4096, 16..=1_000_000),
        streams: reader.number("dmf.http.max-streams", 100, 1..=10_000),
        header_bytes: u32::try_from(header_bytes).unwrap_or(u32::MAX),
        idle: reader.duration("dmf.http.idle-timeout", secs(30), secs(1)..=secs(3600)),
        write_stall: reader.duration("dmf.http.write-timeout", secs(60), secs(1)..=secs(3600)),
    }
}
