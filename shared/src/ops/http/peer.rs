//! Who is at the other end of the connection, also behind a load balancer.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};

use crate::config::Reader;

/// The address of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Networks whose `X-Forwarded-For` is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<(IpAddr, u8)>);

impl TrustedProxies {
    /// Reads `dmf.http.trusted-proxies`.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let key = "dmf.http.trusted-proxies";
        let networks = reader.list(key).unwrap_or_default();
        Self::parse(&networks).unwrap_or_else(|wrong| {
            reader.reject(key, &format!("{wrong:?} is neither an address nor a network such as 10.0.0.0/8"));
            Self::default()
        })
    }

    /// Addresses, or networks such as `10.0.0.0/8`; `Err` is the first that is none.
    pub fn parse(networks: &[String]) -> Result<Self, String> {
        networks
            .iter()
            .map(|text| parse(text).ok_or_else(|| text.clone()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn holds(&self, address: IpAddr) -> bool {
        self.0.iter().any(|(network, prefix)| is_within(address.to_canonical(), *network, *prefix))
    }

    /// The client behind trusted proxies: the last address in the header that none of them has. What stands
    /// before it, the client itself may have written.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        let hops = lines.iter().rev().filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(','));
        for hop in hops {
            if !self.holds(client) {
                break;
            }
            let Some(address) = address(hop.trim()) else { break };
            client = address.to_canonical();
        }
        client
    }
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

fn parse(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = text.trim().split_once('/').map_or((text.trim(), None), |(a, p)| (a, Some(p)));
    let address: IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.map_or(Some(bits), |prefix| prefix.parse().ok())?;
    (prefix <= bits).then_some((address.to_canonical(), prefix))
}

fn is_within(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}

/// Middleware around everything: finds out who the client is.
pub async fn identify(
    State(trusted): State<Arc<TrustedProxies>>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(ConnectInfo(address)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let client = trusted.client(address.ip(), request.headers());
        request.extensions_mut().insert(Peer(client));
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let trusted: Vec<String> = trusted.iter().map(ToString::to_string).collect();
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        TrustedProxies::parse(&trusted).unwrap().client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(client(&[], "10.0.0.1", &["1.2.3.4"]), "10.0.0.1");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["9.9.9.9, 1.2.3.4"]), "1.2.3.4");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["9.9.9.9", "1.2.3.4, 10.3.3.3"]), "1.2.3.4");
        assert_eq!(client(&["10.0.0.1"], "::ffff:10.0.0.1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(client(&["2001:db8::/32"], "2001:db8::7", &["unknown"]), "2001:db8::7");
        assert_eq!(client(&["0.0.0.0/0"], "10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
    }

    #[test]
    fn networks() {
        for bad in ["", "x", "10.0.0.0/33", "::/129", "10.0.0.0/x", "10.0.0/8"] {
            assert_eq!(TrustedProxies::parse(&[bad.to_owned()]).unwrap_err(), bad);
        }
    }
}
