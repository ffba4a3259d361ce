/// A small repeatable generator (`SplitMix64`). Mail must come out the same on every machine and in every year,
/// which no library promises of its generators.
#[derive(Debug)]
pub(super) struct Rng(u64);

impl Rng {
    /// One sequence for each pair of seed and label.
    pub(super) fn new(seed: u64, label: &str) -> Self {
        // FNV-1a spreads the label over all bits.
        let hash = label
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Self(hash ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which must not be 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// True in so many of a hundred cases.
    pub(super) fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    /// One of the items, of which there must be one at least.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        let len = items.len() as u64;
        items[usize::try_from(self.below(len)).unwrap_or(0)]
    }

    /// So many bytes of noise.
    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}
