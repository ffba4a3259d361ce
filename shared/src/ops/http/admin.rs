//! The admin, known by HTTP Basic.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::config::Reader;

/// The one admin. Without one, whatever asks for the admin answers 401.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Name.
    pub username: String,
    /// Password.
    pub password: SecretString,
}

impl Admin {
    /// Reads `http.admin.{username,password}`; with neither there is no admin.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let username = reader.string("http.admin.username").filter(|name| !name.is_empty());
        let password = reader.secret("http.admin.password").filter(|text| !text.expose_secret().is_empty());
        match (username, password) {
            (Some(username), Some(password)) => {
                if username.contains(':') {
                    reader.reject("http.admin.username", "must not hold a colon, which HTTP Basic splits at");
                }
                Some(Self { username, password })
            }
            (None, None) => {
                reader.warn("http.admin.username", "is not set, so whatever asks for the admin answers 401");
                None
            }
            (Some(_), None) => {
                reader.missing("http.admin.password");
                None
            }
            (None, Some(_)) => {
                reader.missing("http.admin.username");
                None
            }
        }
    }

    /// Whether the headers carry this admin's credentials. Compares in constant time.
    pub fn is_named_in(&self, headers: &HeaderMap) -> bool {
        basic_credentials(headers).is_some_and(|(username, password)| {
            is_equal(&username, &self.username) & is_equal(&password, self.password.expose_secret())
        })
    }
}

/// The value of a header that stands there once; two are no credentials, since others on the way may
/// have looked at the other one.
pub fn single_header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// User and password of an `Authorization: Basic` header.
fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = single_header(headers, &header::AUTHORIZATION)?;
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

/// Hashes first, so that the time tells nothing of the length either.
fn is_equal(given: &str, expected: &str) -> bool {
    Sha256::digest(given).ct_eq(&Sha256::digest(expected)).into()
}
