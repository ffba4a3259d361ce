//! Lengths of migrations: a bounded Pareto distribution. Most are short, a few are long, none is endless.

/// How heavy the tail is: the less, the heavier.
const ALPHA: f64 = 1.1;
/// Halvings in the search for the bounds that give the wanted mean: more than a double has digits.
const HALVINGS: u32 = 100;

/// Lengths in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Lengths {
    shortest: f64,
    /// The longest over the shortest.
    spread: f64,
}

impl Lengths {
    /// With this mean and at most `longest`, which is the mean at least.
    pub(super) fn new(mean: f64, longest: f64) -> Self {
        let wanted = (longest / mean).max(1.0);
        // By logarithms: the spread may be anything.
        let (mut low, mut high) = (1e-9_f64, 50.0_f64);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            let spread = middle.exp();
            if spread / mean_of(spread) < wanted { low = middle } else { high = middle }
        }
        let spread = low.exp();
        Self { shortest: mean / mean_of(spread), spread }
    }

    /// The length that this part of all lengths, from 0 to 1, stays below.
    pub(super) fn quantile(self, part: f64) -> f64 {
        let kept = 1.0 - part * (1.0 - self.spread.powf(-ALPHA));
        self.shortest * kept.powf(-1.0 / ALPHA)
    }
}

/// The mean over the shortest.
fn mean_of(spread: f64) -> f64 {
    ALPHA / (ALPHA - 1.0) * (1.0 - spread.powf(1.0 - ALPHA)) / (1.0 - spread.powf(-ALPHA))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(lengths: Lengths) -> f64 {
        let count = 200_000;
        (0..count).map(|n| lengths.quantile((f64::from(n) + 0.5) / f64::from(count))).sum::<f64>()
            / f64::from(count)
    }

    #[test]
    fn the_mean_is_the_wanted_one_and_nothing_is_longer_than_the_longest() {
        for (wanted, longest) in [(10.0, 30.0), (1.5, 3.0), (10.0, 300.0)] {
            let lengths = Lengths::new(wanted, longest);
            assert!((mean(lengths) / wanted - 1.0).abs() < 0.01, "{lengths:?}");
            assert!((lengths.quantile(1.0) / longest - 1.0).abs() < 0.01, "{lengths:?}");
            assert!(lengths.quantile(0.5) < wanted, "the middle one is shorter than the mean: {lengths:?}");
        }
    }

    #[test]
    fn where_none_may_be_longer_than_the_mean_all_are_equal() {
        let lengths = Lengths::new(2.0, 1.0);
        assert!((lengths.quantile(0.0) - 2.0).abs() < 1e-3 && (lengths.quantile(1.0) - 2.0).abs() < 1e-3);
    }
}
