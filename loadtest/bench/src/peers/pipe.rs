//! The pipe of the records, read by a thread of its own so that no worker waits for the runner.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::protocol::Record;

/// Bytes that wait in the pipe at most: what a system allows to everybody.
const PIPE_BYTES: i32 = 1 << 20;
/// Tells the reader that whatever was written before has been read.
const MARK: u64 = u64::MAX;
/// Ends the reader.
const END: u64 = u64::MAX - 1;
/// How long the reader may take to come to a mark.
const MARK_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Read {
    records: Vec<Record>,
    marks: u64,
}

#[derive(Debug, Default)]
struct Shared {
    read: Mutex<Read>,
    more: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Read> {
        // Each use leaves it whole.
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reading end.
#[derive(Debug)]
pub(crate) struct Pipe {
    path: PathBuf,
    own: File,
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

impl Pipe {
    /// Makes the pipe in this directory.
    pub(crate) fn create(directory: &Path) -> Result<Self> {
        let path = directory.join("records");
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).with_context(|| path.display().to_string())?;
        // Held open for writing, too, so that it never ends between two workers.
        let own = File::options().read(true).write(true).open(&path).context("the pipe")?;
        fcntl(&own, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES)).context("the size of the pipe")?;
        let shared = Arc::new(Shared::default());
        let (mut from, to) = (own.try_clone()?, Arc::clone(&shared));
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; Record::BYTES];
            while from.read_exact(&mut bytes).is_ok() {
                let record = Record::from_bytes(&bytes);
                let mut read = to.lock();
                match record.id {
                    END => return,
                    MARK => read.marks += 1,
                    _ => read.records.push(record),
                }
                drop(read);
                to.more.notify_one();
            }
        });
        Ok(Self { path, own, shared, reader: Some(reader) })
    }

    /// Where workers find it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Forgets all records, those on their way included. No worker may run.
    pub(crate) fn clear(&self) -> Result<()> {
        let wanted = self.shared.lock().marks + 1;
        self.send(MARK)?;
        let read = self.shared.lock();
        let (mut read, late) = self
            .shared
            .more
            .wait_timeout_while(read, MARK_LIMIT, |read| read.marks < wanted)
            .unwrap_or_else(PoisonError::into_inner);
        ensure!(!late.timed_out(), "the pipe of the records is not read");
        read.records.clear();
        Ok(())
    }

    /// Waits until `done` says so, for `limit` at most, and gives the records until then.
    pub(crate) fn wait(&self, limit: Duration, mut done: impl FnMut(&[Record]) -> bool) -> Vec<Record> {
        let deadline = Instant::now() + limit;
        let mut read = self.shared.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || done(&read.records) {
                return read.records.clone();
            }
            (read, _) = self.shared.more.wait_timeout(read, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn send(&self, id: u64) -> Result<()> {
        (&self.own).write_all(&Record { id, start: 0, end: 0 }.to_bytes()).context("the pipe")
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if self.send(END).is_ok()
            && let Some(reader) = self.reader.take()
        {
            // It has nothing to say at its end.
            drop(reader.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::protocol::Recorder;

    #[test]
    fn records_of_all_writers_arrive_until_they_are_cleared() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = Pipe::create(directory.path()).unwrap();
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let path = pipe.path().to_owned();
                std::thread::spawn(move || {
                    let recorder = Recorder::open(&path).unwrap();
                    for n in 0..5_000 {
                        recorder.write(Record { id: writer * 5_000 + n, start: n, end: n + 1 }).unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        let mut records = pipe.wait(Duration::from_secs(20), |records| records.len() == 20_000);
        records.sort_unstable_by_key(|record| record.id);
        assert!(records.iter().map(|record| record.id).eq(0..20_000));
        pipe.clear().unwrap();
        assert!(pipe.wait(Duration::ZERO, |_| true).is_empty());
    }
}
