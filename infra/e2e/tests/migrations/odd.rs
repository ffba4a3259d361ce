//! Fifty users with the oddest mailboxes: every folder is equal, message by message.

use anyhow::{Context as _, Result};
use dmf_e2e::Fleet;
use dmf_lab::{Folders, Seed, Seeded};

use crate::PASSWORD;

const USERS: u64 = 50;
/// What further mailboxes are called by, in pieces: what a shell, IMAP, a log line, JSON, a terminal or modified
/// UTF-7 might take for its own. Without what a maildir can't hold (`.`) and what every dsync complains of (`%`).
const PIECES: [&str; 24] = [
    "\"",
    "\\",
    "'",
    "`id`",
    "$(id)",
    "&",
    "&-",
    "+AGE-",
    "{1}",
    "(x)",
    "[y]",
    "<z>",
    "*",
    "?",
    "#",
    " ",
    "|",
    "!",
    ": box=",
    ", uid=1",
    "ß",
    "日本",
    "👩‍👩‍👧",
    "\u{202e}rtl",
];

/// A name that begins and ends with a letter, so that no storage trims it.
fn name(random: &mut fastrand::Rng) -> String {
    let pieces: Vec<&str> = (0..random.usize(1..6)).map(|_| PIECES[random.usize(..PIECES.len())]).collect();
    format!("a{}z", pieces.concat())
}

fn add_user(fleet: &Fleet, number: u64) -> Result<(String, Seeded)> {
    let user = format!("Odd_user-{number}@example.com");
    let mut random = fastrand::Rng::with_seed(number);
    let folders = if number.is_multiple_of(5) { Folders::Normal } else { Folders::Odd };
    let mut truth = fleet.add_user(&user, PASSWORD, &Seed::new(folders, number % 40).variant(number))?;
    for _ in 0..random.usize(1..6) {
        let mailbox = name(&mut random);
        truth.add(&mailbox, fleet.source().append(&user, &mailbox, random.u64(1..4))?);
    }
    Ok((user, truth))
}

#[tokio::test]
async fn fifty_users_with_the_oddest_mailboxes_are_moved_faithfully() -> Result<()> {
    Fleet::builder()
        .threads(8)
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let host = fleet.add_host(&customer, 8).await?;
            let users: Vec<_> = (0..USERS).map(|number| add_user(fleet, number)).collect::<Result<_>>()?;
            for (user, _) in &users {
                let mut body = host.submission(user, PASSWORD);
                // The comparison of source and target decides then.
                body["phase"] = "CUTOVER".into();
                customer.submit(&body).await?;
            }
            for (user, truth) in &users {
                let record = customer.wait_for(user, "SUCCESS").await?;
                anyhow::ensure!(record["verification"]["equal"] == true, "{record:#}");
                fleet.expect_mail(user, truth).await.with_context(|| user.clone())?;
            }
            Ok(())
        })
        .await
}
