//! Compression of answers, for clients that ask for it.

use axum::{
    extract::Request,
    http::{Extensions, HeaderMap, HeaderValue, StatusCode, Version, header},
    middleware::Next,
    response::Response,
};
use tower_http::{
    CompressionLevel,
    compression::{
        CompressionLayer,
        predicate::{Predicate, SizeAbove},
    },
};

/// Shortest answer that is compressed, in bytes; one that fits into a packet gains nothing.
const SHORTEST: u64 = 1400;

/// gzip or zstd of long answers, as `Accept-Encoding` has it. The results of a bulk submit go as they are: each
/// line has to be there when it is written, not when a block is full.
pub fn compression() -> CompressionLayer<impl Predicate> {
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(SHORTEST).and(is_text))
}

/// Text, but for streams of lines.
#[allow(clippy::needless_pass_by_value, reason = "the signature that tower-http asks for")]
fn is_text(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    ["text/", "application/json", "application/yaml"].iter().any(|kind| media.starts_with(kind))
}

/// Middleware around the compression: an answer without it is always allowed. Otherwise a request that has
/// changed something already would be answered with 406.
pub async fn admit_plain(mut request: Request, next: Next) -> Response {
    let codings = codings(request.headers());
    let forbids = |(name, weight): &(&str, &str)| ["identity", "*"].contains(name) && is_zero(weight);
    if codings.iter().any(forbids) {
        let others: Vec<_> = codings.iter().filter(|coding| !forbids(coding)).collect();
        let others: Vec<_> = others.into_iter().map(|(name, weight)| format!("{name};{weight}")).collect();
        let value = HeaderValue::from_str(&others.join(", "));
        request.headers_mut().remove(header::ACCEPT_ENCODING);
        if let (false, Ok(value)) = (others.is_empty(), value) {
            request.headers_mut().insert(header::ACCEPT_ENCODING, value);
        }
    }
    next.run(request).await
}

/// Whether the client takes gzip.
pub fn takes_gzip(headers: &HeaderMap) -> bool {
    codings(headers).iter().any(|(name, weight)| ["gzip", "*"].contains(name) && !is_zero(weight))
}

/// The codings of `Accept-Encoding`, each with its weight as it is written.
fn codings(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let codings = values.flat_map(|value| value.split(','));
    codings
        .map(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
            (name.trim(), weight.trim())
        })
        .collect()
}

fn is_zero(weight: &str) -> bool {
    ["q=0", "q=0.", "q=0.0", "q=0.00", "q=0.000"].contains(&weight.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        let takes = |value: &str| {
            takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]))
        };
        assert!(takes("gzip") && takes("br, gzip;q=0.5") && takes("*"));
        assert!(!takes("br") && !takes("gzip;q=0") && !takes("gzip;Q=0.0") && !takes_gzip(&HeaderMap::new()));
    }
}
