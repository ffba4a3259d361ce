//! Sealing of user passwords, and API keys.

pub mod api_key;
mod jceks;
mod key_file;
pub mod key_ring;
mod keystore;
mod settings;

pub use api_key::{ApiKeyHash, equal_in_constant_time, generate_api_key, hash_api_key};
pub use key_file::KeyFile;
pub use key_ring::{Error, KeyRing, KeySpec};
