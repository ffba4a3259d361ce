use std::time::Duration;

use anyhow::Result;
use dmf_lab::poll_until;

use super::{Books, Children, Keys, Witness};

/// Longest time until the last repair: reapers, reconcilers and visibility times have done their work by then.
const DEADLINE: Duration = Duration::from_secs(75);

/// Waits until nothing is open, running or waiting anywhere: rows, leases, outbox, queue, processes.
///
/// # Errors
/// What is left at the deadline.
pub async fn expect_quiet(books: &Books, keys: &Keys, children: &Children, witness: &Witness) -> Result<()> {
    poll_until("the fleet did not come to rest", DEADLINE, async || {
        match leftovers(books, keys, children, witness).await {
            Ok(left) if left.is_empty() => Ok(()),
            Ok(left) => Err(left.join("\n")),
            Err(error) => Err(format!("{error:#}")),
        }
    })
    .await?;
    Ok(())
}

async fn leftovers(
    books: &Books,
    keys: &Keys,
    children: &Children,
    witness: &Witness,
) -> Result<Vec<String>> {
    let rows = books.rows().await?.into_iter().filter(|row| !row.is_terminal());
    let mut left: Vec<String> = rows.map(|row| format!("{row:?}")).collect();
    left.extend(books.leases().await?.iter().map(|lease| format!("{lease:?}")));
    let outbox = books.outbox().await?;
    if outbox > 0 {
        left.push(format!("{outbox} entries of the outbox"));
    }
    left.extend(keys.leftovers().await?.into_iter().map(|key| format!("Redis {key}")));
    let there = books.usage().await?;
    let gone = keys.hosts().await?.into_iter().filter(|id| there.iter().all(|usage| usage.host != *id));
    left.extend(gone.map(|id| format!("Redis knows source host {id}, which was deleted")));
    left.extend(children.doveadms());
    left.extend(witness.survivors());
    left.extend(children.recorded().into_iter().map(|child| format!("record of {child:?}")));
    Ok(left)
}
