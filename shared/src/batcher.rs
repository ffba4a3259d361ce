//! Calls that come at the same time go together: while as many are under way as may be, those that come gather, and
//! the first of them takes the others along. A call that comes alone goes at once.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Semaphore, oneshot};

/// Most calls that go together.
const MOST: usize = 64;
/// How long a call waits for those before it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unjoined {
    /// Those before it took too long: it was not done, and will not be.
    NotDone,
    /// What it went along with broke off: it may be done or not.
    Unknown,
}

/// Where calls gather.
#[derive(Debug)]
pub struct Batcher<I, O> {
    gathered: Mutex<VecDeque<Waiting<I, O>>>,
    /// Whose turn it is.
    turns: Semaphore,
    next: AtomicU64,
}

#[derive(Debug)]
struct Waiting<I, O> {
    number: u64,
    item: I,
    tell: oneshot::Sender<O>,
}

impl<I, O> Default for Batcher<I, O> {
    /// One at a time.
    fn default() -> Self {
        Self::new(1)
    }
}

impl<I, O> Batcher<I, O> {
    /// So many may be under way at a time.
    pub fn new(turns: usize) -> Self {
        Self { gathered: Mutex::default(), turns: Semaphore::new(turns), next: AtomicU64::default() }
    }
}

impl<I: Send, O: Send> Batcher<I, O> {
    /// Has `item` done by `run`, of this call or of one before it, which gives an answer for each item in their
    /// order.
    pub async fn join<F, R>(&self, item: I, run: F) -> Result<O, Unjoined>
    where
        F: FnOnce(Vec<I>) -> R + Send,
        R: Future<Output = Vec<O>> + Send,
    {
        let (tell, mut told) = oneshot::channel();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.gathered().push_back(Waiting { number, item, tell });
        let place = Place { batcher: self, number };
        let turn = tokio::select! {
            biased;
            // One before it has taken it along.
            answer = &mut told => return answer.map_err(|_| Unjoined::Unknown),
            turn = tokio::time::timeout(PATIENCE, self.turns.acquire()) => turn,
        };
        let Ok(Ok(turn)) = turn else {
            // Somebody may have taken it along just now.
            return if place.leave() {
                Err(Unjoined::NotDone)
            } else {
                told.await.map_err(|_| Unjoined::Unknown)
            };
        };
        let Some(batch) = self.take_with(number) else {
            // Whoever has taken it along has a turn of its own.
            drop(turn);
            return told.await.map_err(|_| Unjoined::Unknown);
        };
        let (items, tells): (Vec<I>, Vec<_>) = batch.into_iter().map(|one| (one.item, one.tell)).unzip();
        for (tell, answer) in tells.into_iter().zip(run(items).await) {
            // Whoever does not wait any more does not need it.
            let _ = tell.send(answer);
        }
        told.try_recv().map_err(|_| Unjoined::Unknown)
    }

    /// This call and others, oldest first; `None` when it went along before.
    fn take_with(&self, number: u64) -> Option<Vec<Waiting<I, O>>> {
        let mut gathered = self.gathered();
        let own = gathered.iter().position(|one| one.number == number)?;
        let own = gathered.remove(own)?;
        let others = gathered.len().min(MOST - 1);
        Some(std::iter::once(own).chain(gathered.drain(..others)).collect())
    }
}

impl<I, O> Batcher<I, O> {
    fn gathered(&self) -> MutexGuard<'_, VecDeque<Waiting<I, O>>> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a call among those that wait. A call that is dropped is not taken along.
struct Place<'b, I, O> {
    batcher: &'b Batcher<I, O>,
    number: u64,
}

impl<I, O> Place<'_, I, O> {
    /// Says whether it waited there still.
    fn leave(&self) -> bool {
        let mut gathered = self.batcher.gathered();
        let own = gathered.iter().position(|one| one.number == self.number);
        own.and_then(|own| gathered.remove(own)).is_some()
    }
}

impl<I, O> Drop for Place<'_, I, O> {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    async fn double(gate: Arc<Semaphore>, runs: Arc<Mutex<Vec<usize>>>, items: Vec<u32>) -> Vec<u32> {
        runs.lock().unwrap().push(items.len());
        gate.acquire().await.unwrap().forget();
        items.into_iter().map(|item| item * 2).collect()
    }

    #[tokio::test]
    async fn what_comes_meanwhile_goes_together_within_bounds() {
        let (batcher, gate, runs) = (Batcher::default(), Arc::new(Semaphore::new(0)), Arc::default());
        let join = |item| batcher.join(item, |items| double(Arc::clone(&gate), Arc::clone(&runs), items));
        let open = async { gate.add_permits(10) };
        let (answers, ()) = tokio::join!(join_all((0..100).map(join)), open);
        assert_eq!(answers, (0..100).map(|item| Ok(item * 2)).collect::<Vec<_>>());
        assert_eq!(*runs.lock().unwrap(), [1, MOST, 99 - MOST]);
    }

    #[tokio::test]
    async fn one_that_goes_along_takes_no_turn() {
        let batcher = Batcher::new(2);
        let (hanging, passing) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let join = |item, gate: &Arc<Semaphore>| {
            let gate = Arc::clone(gate);
            batcher.join(item, move |items| double(gate, Arc::default(), items))
        };
        let (mut first, mut second) = (Box::pin(join(1, &passing)), Box::pin(join(2, &hanging)));
        assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
        // Both turns are taken: these gather, and the first of them takes the second along, and hangs.
        let (mut third, mut fourth) = (Box::pin(join(3, &hanging)), Box::pin(join(4, &hanging)));
        assert!(futures::poll!(&mut third).is_pending() && futures::poll!(&mut fourth).is_pending());
        passing.add_permits(1);
        assert_eq!(first.await, Ok(2));
        assert!(futures::poll!(&mut third).is_pending() && futures::poll!(&mut fourth).is_pending());
        hanging.add_permits(1);
        assert_eq!(second.await, Ok(4));
        assert!(futures::poll!(&mut fourth).is_pending());
        passing.add_permits(1);
        assert_eq!(join(5, &passing).await, Ok(10), "there is a turn, though the third hangs");
        hanging.add_permits(1);
        assert_eq!((third.await, fourth.await), (Ok(6), Ok(8)));
    }

    #[tokio::test]
    async fn nobody_waits_for_long_behind_one_that_hangs() {
        let (batcher, gate, runs) = (Batcher::default(), Arc::new(Semaphore::new(0)), Arc::default());
        let join = |item| batcher.join(item, |items| double(Arc::clone(&gate), Arc::clone(&runs), items));
        let mut first = Box::pin(join(1));
        assert!(futures::poll!(&mut first).is_pending());
        assert_eq!(join(2).await, Err(Unjoined::NotDone));
        gate.add_permits(1);
        assert_eq!(first.await, Ok(2));
        assert_eq!(*runs.lock().unwrap(), [1], "what has left is not done");
    }

    #[tokio::test]
    async fn a_batch_that_breaks_off_leaves_nobody_waiting() {
        let (batcher, gate, runs) = (Batcher::default(), Arc::new(Semaphore::new(0)), Arc::default());
        let join = |item| batcher.join(item, |items| double(Arc::clone(&gate), Arc::clone(&runs), items));
        let mut first = Box::pin(join(1));
        let (mut second, mut third) = (Box::pin(join(2)), Box::pin(join(3)));
        assert!(futures::poll!(&mut first).is_pending());
        assert!(futures::poll!(&mut second).is_pending() && futures::poll!(&mut third).is_pending());
        gate.add_permits(1);
        assert_eq!(first.await, Ok(2));
        // Takes the third along, and hangs.
        assert!(futures::poll!(&mut second).is_pending());
        drop(second);
        assert_eq!(third.await, Err(Unjoined::Unknown));
    }
}
