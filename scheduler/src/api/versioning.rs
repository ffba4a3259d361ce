//! Which version of the API a request is for when its path does not say.

use axum::http::{HeaderMap, HeaderName};
use dmf_shared::config::Reader;

use super::error::{ApiError, Result};

/// A version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The deprecated one.
    One,
    /// That of the handlers.
    Two,
}

/// Where a request may say its version, and which one it has otherwise: the keys of the original's framework.
#[derive(Debug, Clone)]
pub struct Versioning {
    /// The version of requests that say none.
    pub default: Version,
    /// Headers that may say one; the first that is there counts.
    pub headers: Vec<HeaderName>,
    /// Parameters of the query that may say one, when no header does.
    pub parameters: Vec<String>,
}

impl Default for Versioning {
    fn default() -> Self {
        let headers = ["x-api-version", "accept-version"].map(HeaderName::from_static);
        Self { default: Version::One, headers: headers.into(), parameters: Vec::new() }
    }
}

impl Versioning {
    /// Reads `micronaut.router.versioning`, or `micronaut.server.router.versioning`, where the original's own
    /// file has it.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let key = |end: &str| {
            ["micronaut.router", "micronaut.server.router"].map(|start| format!("{start}.versioning.{end}"))
        };
        let pick = |end: &str| {
            let [first, second] = key(end);
            if reader.is_set(&second) && !reader.is_set(&first) { second } else { first }
        };
        let (default, enabled) = (pick("default-version"), pick("enabled"));
        let (headers_on, header_names) = (pick("header.enabled"), pick("header.names"));
        let (parameters_on, parameter_names) = (pick("parameter.enabled"), pick("parameter.names"));
        let versions = [("v1", Version::One), ("1", Version::One), ("v2", Version::Two), ("2", Version::Two)];
        let mut versioning = Self::default();
        versioning.default = reader.choice(&default, &versions, versioning.default);
        let names = reader.list_or(&header_names, &["X-API-VERSION", "Accept-Version"]);
        if reader.bool(&headers_on, true) {
            versioning.headers = names
                .iter()
                .filter_map(|name| {
                    let parsed = name.trim().parse().ok();
                    if parsed.is_none() {
                        reader.reject(&header_names, "must be names of HTTP headers");
                    }
                    parsed
                })
                .collect();
        } else {
            versioning.headers.clear();
        }
        let parameters = reader.list_or(&parameter_names, &["api-version"]);
        if reader.bool(&parameters_on, false) {
            versioning.parameters = parameters.iter().map(|name| name.trim().to_owned()).collect();
        }
        if !reader.bool(&enabled, true) {
            versioning.headers.clear();
            versioning.parameters.clear();
        }
        versioning
    }

    /// The version that a request asks for. 400 for one that there is not.
    pub fn of(&self, headers: &HeaderMap, query: Option<&str>) -> Result<Version> {
        let header = self.headers.iter().find_map(|name| headers.get(name));
        let parameter = || pairs(query).find(|(name, _)| self.is_parameter(name)).map(|(_, value)| value);
        let asked = match header {
            Some(value) => Some(value.to_str().unwrap_or("?")),
            None => parameter(),
        };
        match asked.map(|version| version.trim().to_ascii_lowercase()).as_deref() {
            None | Some("") => Ok(self.default),
            Some("1" | "v1") => Ok(Version::One),
            Some("2" | "v2") => Ok(Version::Two),
            Some(_) => Err(ApiError::bad_request(format!("{}: must be v1 or v2", self.names()))),
        }
    }

    /// The query without what says the version.
    pub fn strip(&self, query: &str) -> String {
        let others =
            query.split('&').filter(|pair| !self.is_parameter(pair.split('=').next().unwrap_or_default()));
        others.collect::<Vec<_>>().join("&")
    }

    fn is_parameter(&self, name: &str) -> bool {
        self.parameters.iter().any(|parameter| parameter == name)
    }

    fn names(&self) -> String {
        let headers = self.headers.iter().map(|name| match name.as_str() {
            "x-api-version" => "X-API-VERSION",
            "accept-version" => "Accept-Version",
            other => other,
        });
        headers.chain(self.parameters.iter().map(String::as_str)).collect::<Vec<_>>().join(", ")
    }
}

fn pairs(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

#[cfg(test)]
mod tests {
    use dmf_shared::config::{Environment, Sources};

    use super::*;

    fn read(text: &str) -> Versioning {
        let no_variables: [(&str, &str); 0] = [];
        let properties =
            Sources::default().load_text(text, Environment::from_variables(no_variables)).unwrap();
        let mut reader = Reader::new(&properties);
        let versioning = Versioning::read(&mut reader);
        reader.finish().unwrap();
        versioning
    }

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn without_settings_two_headers_may_say_it() {
        let versioning = read("a: 1");
        assert_eq!(versioning.of(&HeaderMap::new(), Some("api-version=2")).unwrap(), Version::One);
        for (name, value, version) in [
            ("x-api-version", "v2", Version::Two),
            ("accept-version", " V2 ", Version::Two),
            ("accept-version", "1", Version::One),
            ("x-api-version", "", Version::One),
        ] {
            assert_eq!(versioning.of(&headers(name, value), None).unwrap(), version);
        }
        let error = versioning.of(&headers("accept-version", "3"), None).unwrap_err();
        assert_eq!(error.errors(), ["X-API-VERSION, Accept-Version: must be v1 or v2"]);
    }

    #[test]
    fn it_is_asked_where_the_settings_say() {
        let text = "micronaut.router.versioning: {default-version: 2, header: {enabled: true, names: X-V}, \
                    parameter: {enabled: true, names: 'v,api-version'}}";
        let versioning = read(text);
        assert_eq!(versioning.of(&headers("x-api-version", "1"), None).unwrap(), Version::Two);
        assert_eq!(versioning.of(&headers("x-v", "1"), Some("v=2")).unwrap(), Version::One);
        assert_eq!(versioning.of(&HeaderMap::new(), Some("a=b&v=1")).unwrap(), Version::One);
        assert_eq!(versioning.strip("a=b&v=1&api-version&c=v"), "a=b&c=v");
        for off in ["header.enabled", "enabled"] {
            let off = read(&format!("micronaut.server.router.versioning.{off}: false"));
            assert_eq!(off.of(&headers("x-api-version", "2"), None).unwrap(), Version::One);
        }
    }
}
