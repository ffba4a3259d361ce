//! Rebuilding the queues after Redis has lost them.

use uuid::Uuid;

use super::{
    Error, Host, Job, Queue, Result,
    producer::{push_jobs, set_hosts},
    propose::read,
    scripts::{ABANDON_REBUILD, BEGIN_REBUILD, Call, END_REBUILD},
};

/// A rebuild that goes without a load for so many milliseconds may be taken over by somebody else.
const SILENCE_MS: u64 = 30_000;

/// The right to rebuild. Nobody else uses the queues until [`Rebuild::finish`]; somebody else may take over
/// after [`Rebuild::abandon`], and after [`SILENCE_MS`] when this is dropped.
#[derive(Debug)]
pub struct Rebuild {
    queue: Queue,
    token: String,
}

impl Queue {
    /// Takes the right to rebuild; `None` while the queues are fine or somebody else rebuilds them.
    pub async fn begin_rebuild(&self) -> Result<Option<Rebuild>> {
        let token = Uuid::new_v4().simple().to_string();
        let mut call = Call::new(&BEGIN_REBUILD, self);
        call.arg(&token).arg(SILENCE_MS);
        let mine: i64 = read(Some(call.run(self).await?))?;
        Ok((mine == 1).then(|| Rebuild { queue: self.clone(), token }))
    }
}

impl Rebuild {
    /// Loads source hosts. They come before the jobs, so that rings are right at once.
    /// `Rebuild` when somebody else has taken over.
    pub async fn load_hosts(&self, hosts: &[Host]) -> Result<()> {
        set_hosts(&self.queue, &self.token, hosts).await
    }

    /// Loads jobs.
    pub async fn load_jobs(&self, jobs: &[Job]) -> Result<()> {
        push_jobs(&self.queue, &self.token, jobs).await.map(|_| ())
    }

    /// Leaves the rebuild to somebody else.
    pub async fn abandon(self) -> Result<()> {
        let mut call = Call::new(&ABANDON_REBUILD, &self.queue);
        call.arg(&self.token).run(&self.queue).await.map(|_| ())
    }

    /// Opens the queues.
    pub async fn finish(self) -> Result<()> {
        let mut call = Call::new(&END_REBUILD, &self.queue);
        call.arg(&self.token).arg(Uuid::new_v4().simple().to_string());
        let mine: i64 = read(Some(call.run(&self.queue).await?))?;
        if mine == 1 { Ok(()) } else { Err(Error::Rebuild) }
    }
}
