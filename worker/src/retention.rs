//! Deletes files of the command log that nobody has written to for long, where the settings want that.

use std::{ffi::OsStr, fs, io, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use dmf_shared::domain::clock::Clock;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::settings::{CommandLogSettings, PROPERTIES};

/// Time between two rounds.
const ROUND: Duration = Duration::from_hours(1);

/// Deletes what is old, now and every hour until `stop`.
pub async fn run(settings: CommandLogSettings, clock: Clock, stop: CancellationToken) {
    let CommandLogSettings::File { format, location, keep: Some(keep), .. } = settings else { return };
    loop {
        let oldest = clock.now() - keep;
        let (format, place) = (format.clone(), location.clone());
        match tokio::task::spawn_blocking(move || sweep(&place, &format, oldest)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(deleted)) => {
                metrics::counter!("dmf.retention.swept", "kind" => "command-log").increment(deleted as u64);
                tracing::info!(deleted, "old files of the command log were deleted");
            }
            // Nothing was logged yet.
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(Err(error)) => tracing::warn!(
                directory = %location.display(),
                error = &error as &dyn std::error::Error,
                "old files of the command log are not deleted"
            ),
            Err(error) => tracing::error!(%error, "old files of the command log are not deleted"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(ROUND)).await.is_none() {
            return;
        }
    }
}

/// Deletes this worker's files of that directory that were last written before `oldest`; how many. Whatever else
/// lies there stays: other names, files of other users, and what is no plain file.
fn sweep(directory: &Path, format: &str, oldest: OffsetDateTime) -> io::Result<usize> {
    let own = nix::unistd::geteuid().as_raw();
    let mut deleted = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let data = match entry.metadata() {
            Ok(data) => data,
            // It became another name meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let is_old = data.modified().is_ok_and(|time| OffsetDateTime::from(time) < oldest);
        if is_old && data.is_file() && data.uid() == own && is_named_by(format, &entry.file_name()) {
            match fs::remove_file(entry.path()) {
                Ok(()) => deleted += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(deleted)
}

/// Whether the format may have given this name, or that of the older file beside it.
fn is_named_by(format: &str, name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let literal = PROPERTIES
        .iter()
        .fold(format.to_owned(), |text, property| text.replace(&format!("%({property})"), "\0"));
    let parts: Vec<&str> = literal.split('\0').collect();
    [Some(name), name.strip_suffix(".1")].into_iter().flatten().any(|name| has_parts(name, &parts))
}

/// Whether the name begins with the first part, ends with the last, and has the others between, in order.
fn has_parts(name: &str, parts: &[&str]) -> bool {
    let [first, between @ .., last] = parts else { return parts == [name] };
    let Some(rest) = name.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else { return false };
    let found = between.iter().try_fold(rest, |rest, part| rest.split_once(part).map(|(_, behind)| behind));
    found.is_some()
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::symlink, time::SystemTime};

    use super::*;

    #[test]
    fn names_are_told_from_others() {
        let format = "%(source)-%(user)-user-migration.log";
        let of = |format: &str, name: &str| is_named_by(format, OsStr::new(name));
        for own in ["CustomerX-lara-user-migration.log", "CustomerX-lara@x-user-migration.log.1"] {
            assert!(of(format, own), "{own}");
        }
        for other in ["syslog", "CustomerX-lara-user-migration.log.2.gz", "lara.log", "x-user-migration.log2"]
        {
            assert!(!of(format, other), "{other}");
        }
        assert!(of("all.log", "all.log") && of("all.log", "all.log.1"));
        assert!(!of("all.log", "all.log.2") && !of("all.log", "xall.log"));
    }

    #[test]
    fn only_own_old_files_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let long_ago = OffsetDateTime::from_unix_timestamp(1_000_000_000).unwrap();
        for name in ["x-old.log", "x-old.log.1", "x-new.log", "other.txt"] {
            let file = File::create(path(name)).unwrap();
            if name != "x-new.log" {
                file.set_modified(SystemTime::from(long_ago)).unwrap();
            }
        }
        fs::create_dir(path("x-directory.log")).unwrap();
        symlink(path("other.txt"), path("x-link.log")).unwrap();
        let oldest = long_ago + Duration::from_secs(1);
        assert_eq!(sweep(dir.path(), "x-%(user).log", oldest).unwrap(), 2);
        let mut left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["other.txt", "x-directory.log", "x-link.log", "x-new.log"]);
        assert!(sweep(&path("nowhere"), "x", oldest).is_err());
    }
}
