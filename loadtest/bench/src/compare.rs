//! Both sides measured in turn: what the machine does besides changes from minute to minute.

use anyhow::Result;

use crate::rate::Samples;

/// One or the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The servers below, from a client that does nothing else.
    Bare,
    /// The schedulers.
    Api,
}

/// The goal: API over bare.
const GOAL: f64 = 0.7;
/// The head of a table of such rows, behind what tells them apart.
pub(crate) const HEAD: [&str; 4] = ["bare", "API", "API ÷ bare", "goal 0.70"];

/// Rates of several rounds.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    bare: Samples,
    api: Samples,
    ratio: Samples,
}

impl Compared {
    /// Has `measure` give the rate of each side once a round; who goes first changes.
    pub(crate) async fn over(
        rounds: usize,
        what: &str,
        measure: impl AsyncFn(Side, usize) -> Result<f64>,
    ) -> Result<Self> {
        let mut compared = Self::default();
        for round in 0..rounds {
            let bare_first = round % 2 == 0;
            let first = measure(if bare_first { Side::Bare } else { Side::Api }, round).await?;
            let second = measure(if bare_first { Side::Api } else { Side::Bare }, round).await?;
            let (bare, api) = if bare_first { (first, second) } else { (second, first) };
            println!("{what}, round {round}: bare {bare:.0} a second, API {api:.0}");
            compared.bare.add(bare);
            compared.api.add(api);
            compared.ratio.add(api / bare);
        }
        Ok(compared)
    }

    /// A row of a table below [`HEAD`].
    pub(crate) fn row(&self, name: usize) -> Vec<String> {
        let met = if self.ratio.median() >= GOAL { "met" } else { "**missed**" };
        vec![
            name.to_string(),
            self.bare.to_string(),
            self.api.to_string(),
            self.ratio.show(2),
            met.to_owned(),
        ]
    }
}
