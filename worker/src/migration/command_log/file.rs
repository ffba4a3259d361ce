//! One file of the command log: appended to, put aside when it gets too large.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use nix::fcntl::OFlag;
use sha2::{Digest as _, Sha256};

/// Longest value in a file name, in bytes, escaped; with all of them it fits what file systems take.
const MAX_VALUE: usize = 140;
/// How many bytes of the hash of a longer value stand for its end.
const HASH: usize = 8;

/// Several commands may write the same file, and only one of them may put it aside.
static WRITING: Mutex<()> = Mutex::new(());

/// A value as a part of a file name. Letters, digits and `@ . _ - + =` stay; every other byte, and a dot at
/// the beginning, is `%XX`, which can be read back. A value that is too long ends with `~` and its hash.
pub(super) fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for (at, byte) in value.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || b"@_-+=".contains(&byte) || (byte == b'.' && at > 0) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    if escaped.len() > MAX_VALUE {
        escaped.truncate(MAX_VALUE - 2 * HASH - 1);
        escaped.push('~');
        for byte in &Sha256::digest(value.as_bytes())[..HASH] {
            let _ = write!(escaped, "{byte:02x}");
        }
    }
    escaped
}

/// A file that is opened anew for each write, so that whoever moves it away or removes it does no harm.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    max_size: u64,
    waiting: String,
}

impl LogFile {
    pub(super) const fn new(path: PathBuf, max_size: u64) -> Self {
        Self { path, max_size, waiting: String::new() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds text that the next flush writes.
    pub(super) fn add(&mut self, text: &str) {
        self.waiting.push_str(text);
    }

    /// Writes what was added. What can't be written is dropped.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let text = std::mem::take(&mut self.waiting);
        if text.is_empty() {
            return Ok(());
        }
        let _one = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = self.open()?;
        let size = file.metadata()?.len();
        if size > 0 && size.saturating_add(text.len() as u64) > self.max_size {
            fs::rename(&self.path, self.older())?;
            file = self.open()?;
        }
        file.write_all(text.as_bytes())
    }

    /// Only its owner may read it; a link is not followed.
    fn open(&self) -> io::Result<File> {
        let mut options = File::options();
        options.create(true).append(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
        options.open(&self.path)
    }

    /// The one older file that is kept.
    fn older(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".1");
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn names_are_safe_and_can_be_read_back() {
        for (value, escaped) in [
            ("target_uid", "target_uid"),
            ("3@600", "3@600"),
            ("a.b+c=d-e", "a.b+c=d-e"),
            ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
            (".", "%2E"),
            ("a b%c(d)", "a%20b%25c%28d%29"),
            ("ü\n\0", "%C3%BC%0A%00"),
        ] {
            assert_eq!(escape(value), escaped);
        }
        let (one, other) = (format!("{}1", "ü".repeat(200)), format!("{}2", "ü".repeat(200)));
        assert!(escape(&one).len() <= MAX_VALUE && escape(&one) != escape(&other));
    }

    #[test]
    fn a_file_is_private_and_bounded_with_one_older_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut log = LogFile::new(path.clone(), 100);
        for number in 0..9 {
            log.add(&format!("{number}{}\n", "x".repeat(38)));
            log.flush().unwrap();
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::read_to_string(&path).unwrap().starts_with('8'));
        assert!(fs::read_to_string(dir.path().join("a.log.1")).unwrap().starts_with('6'));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (elsewhere, path) = (dir.path().join("elsewhere"), dir.path().join("a.log"));
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        let mut log = LogFile::new(path, 100);
        log.add("x\n");
        assert!(log.flush().is_err() && !elsewhere.exists());
    }
}
