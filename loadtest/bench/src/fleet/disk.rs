//! How often a second the disk can be waited for.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::rate::per_second;

/// How long it is tried.
const TIME: Duration = Duration::from_secs(2);
/// What a small commit writes.
const BLOCK: [u8; 512] = [b'x'; 512];

/// Small writes a second that a directory takes when each is waited for (`fdatasync`) before the next.
pub(super) async fn flushes_a_second(directory: &Path) -> Result<f64> {
    let path = directory.join("flushes");
    tokio::task::spawn_blocking(move || measure(&path)).await?
}

fn measure(path: &Path) -> Result<f64> {
    let mut file = File::create(path).with_context(|| path.display().to_string())?;
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < TIME {
        file.write_all(&BLOCK).and_then(|()| file.sync_data()).with_context(|| path.display().to_string())?;
        count += 1;
    }
    let rate = per_second(count, begun.elapsed());
    std::fs::remove_file(path).with_context(|| path.display().to_string())?;
    Ok(rate)
}
