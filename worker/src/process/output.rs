//! What a child writes: read as fast as it comes, kept with bounds.

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{ChildStderr, ChildStdout},
};

/// As much as a pipe holds by default.
const CHUNK: usize = 64 << 10;

/// The first bytes of a stream.
pub(super) struct Head {
    pub(super) kept: Vec<u8>,
    limit: usize,
    pub(super) truncated: bool,
}

impl Head {
    pub(super) fn new(limit: usize) -> Self {
        Self { kept: Vec::new(), limit, truncated: false }
    }

    fn take(&mut self, chunk: &[u8]) {
        let room = self.limit.saturating_sub(self.kept.len());
        let fits = chunk.get(..room).unwrap_or(chunk);
        self.kept.extend_from_slice(fits);
        self.truncated |= fits.len() < chunk.len();
    }
}

/// The last bytes of a stream.
pub(super) struct Tail {
    kept: Vec<u8>,
    limit: usize,
}

impl Tail {
    pub(super) fn new(limit: usize) -> Self {
        Self { kept: Vec::new(), limit }
    }

    /// Lets the buffer grow to twice the bound, so that bytes are moved rarely.
    fn take(&mut self, chunk: &[u8]) {
        let newest = chunk.get(chunk.len().saturating_sub(self.limit)..).unwrap_or_default();
        self.kept.extend_from_slice(newest);
        if self.kept.len() > self.limit.saturating_mul(2) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let surplus = self.kept.len().saturating_sub(self.limit);
        self.kept.drain(..surplus);
    }

    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.cut();
        self.kept
    }
}

/// Reads both streams to their ends, which come when the last process that holds them is gone.
pub(super) async fn drain(
    (stdout, stderr): (Option<ChildStdout>, Option<ChildStderr>),
    head: &mut Head,
    tail: &mut Tail,
    on_stderr: &mut (dyn FnMut(&[u8]) + Send),
) {
    let out = read_to_end(stdout, |chunk| head.take(chunk));
    let err = read_to_end(stderr, |chunk| {
        on_stderr(chunk);
        tail.take(chunk);
    });
    tokio::join!(out, err);
}

async fn read_to_end(stream: Option<impl AsyncRead + Unpin>, mut take: impl FnMut(&[u8])) {
    let Some(mut stream) = stream else { return };
    let mut chunk = vec![0; CHUNK];
    // An error of a pipe is as final as its end.
    while let Ok(count @ 1..) = stream.read(&mut chunk).await {
        take(chunk.get(..count).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn head_and_tail_keep_their_bounds(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20),
            limit in 0_usize..100,
        ) {
            let (mut head, mut tail) = (Head::new(limit), Tail::new(limit));
            for chunk in &chunks {
                head.take(chunk);
                tail.take(chunk);
                prop_assert!(head.kept.len() <= limit && tail.kept.len() <= 2 * limit);
            }
            let all = chunks.concat();
            prop_assert_eq!(&head.kept, &all[..all.len().min(limit)]);
            prop_assert_eq!(head.truncated, all.len() > limit);
            prop_assert_eq!(tail.into_bytes(), &all[all.len().saturating_sub(limit)..]);
        }
    }
}
