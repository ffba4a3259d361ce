//! How far a running migration has come stands in its record while it runs, and nothing depends on it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use dmf_e2e::{Customer, Fleet};
use dmf_lab::programs::DOVEADM;
use dmf_lab::{Folders, Seed};

use crate::{PASSWORD, wait_for};

const USER: &str = "alice";
const MAILS: u64 = 5;

/// A doveadm that says that it saved a mail each time that it is told to, and really copies in the end.
struct Told {
    dir: tempfile::TempDir,
    program: PathBuf,
}

impl Told {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let (program, real) = (dir.path().join("doveadm"), DOVEADM.locate()?);
        let script = format!(
            r#"#!/bin/sh
for arg in "$@"; do [ "$arg" = backup ] && copies=yes; done
said=0
while [ "$copies" ] && [ ! -e {dir}/end ]; do
    next=$((said + 1))
    if [ -e {dir}/$next ]; then
        said=$next
        echo "dsync({USER}): Info: copy from Box $said: box=Box $said, uid=$said" >&2
    else
        sleep 0.01
    fi
done
exec {real} "$@"
"#,
            dir = dir.path().display(),
            real = real.display(),
        );
        fs::write(&program, script)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        symlink(real.with_file_name("doveconf"), dir.path().join("doveconf"))?;
        Ok(Self { dir, program })
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Has it say that it saved mail number `mail`.
    fn save(&self, mail: u64) -> Result<()> {
        Ok(fs::write(self.path().join(mail.to_string()), "")?)
    }

    /// Has it go on as the real one.
    fn end(&self) -> Result<()> {
        Ok(fs::write(self.path().join("end"), "")?)
    }
}

/// Waits until the record shows so many saved mails, and says how long that took.
async fn shown(customer: &Customer, mail: u64) -> Result<Duration> {
    let since = Instant::now();
    let record =
        wait_for(customer, USER, "shows other progress", |record| record["progress"]["saved"] == mail)
            .await?;
    let progress = &record["progress"];
    ensure!(record["status"] == "SYNC" && progress["step"] == "dsync", "{record:#}");
    ensure!(progress["mailbox"] == format!("Box {mail}") && progress["expunged"] == 0, "{progress:#}");
    Ok(since.elapsed())
}

#[tokio::test]
async fn is_readable_within_two_seconds() -> Result<()> {
    let told = Told::new()?;
    Fleet::builder()
        .doveadm(told.program.clone())
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let host = fleet.add_host(&customer, 2).await?;
            fleet.add_user(USER, PASSWORD, &Seed::new(Folders::Inbox, 3))?;
            customer.submit(&host.submission(USER, PASSWORD)).await?;
            let mut taken = Vec::new();
            for mail in 1..=MAILS {
                told.save(mail)?;
                taken.push(shown(&customer, mail).await?);
            }
            // The first one waits for the migration's start. The machine may be busy at some others.
            let shortest = taken.iter().skip(1).min();
            ensure!(shortest.is_some_and(|taken| *taken < Duration::from_secs(2)), "{taken:?}");
            told.end()?;
            let record = customer.wait_for(USER, "SUCCESS").await?;
            ensure!(record.get("progress").is_none(), "{record:#}");
            ensure!(record["syncMessageCount"] == MAILS + 3, "{record:#}");
            Ok(())
        })
        .await
}

/// Without Redis a record is shown without it, at once and as usual; the migration runs to its end, and the worker
/// has nothing to complain of as an error.
#[tokio::test]
async fn is_missed_by_nobody_while_redis_is_away() -> Result<()> {
    let told = Told::new()?;
    Fleet::builder()
        .doveadm(told.program.clone())
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let host = fleet.add_host(&customer, 2).await?;
            fleet.add_user(USER, PASSWORD, &Seed::new(Folders::Inbox, 3))?;
            customer.submit(&host.submission(USER, PASSWORD)).await?;
            told.save(1)?;
            shown(&customer, 1).await?;
            fleet.lab().redis().stop().await?;
            told.save(2)?;
            let record = customer.latest(USER).await?;
            ensure!(record["status"] == "SYNC" && record.get("progress").is_none(), "{record:#}");
            fleet.lab().redis().start().await?;
            shown(&customer, 2).await?;
            fleet.lab().redis().stop().await?;
            told.end()?;
            let record = customer.wait_for(USER, "SUCCESS").await?;
            ensure!(record["attempt"] == 1 && record["syncMessageCount"] == 2 + 3, "{record:#}");
            let log = fleet.workers()[0].log();
            ensure!(!log.contains("ERROR"), "{log}");
            fleet.lab().redis().start().await?;
            Ok(())
        })
        .await
}
