//! The life of the worker's package.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::Fleet;
use dmf_lab::{Folders, Lab, Seed, poll_until};
use reqwest::Method;

use crate::notify::Manager;
use crate::package::Package;
use crate::scheduler::fill_in;
use crate::service::Service;
use crate::tree::Tree;

const SETTINGS: &str = "/opt/open-xchange/dmf/worker/etc/dmf-worker.yml";
/// The package, and the unit.
const SERVICE: &str = "dmf-worker";
/// Where the unit has it write.
const STATE: &str = "/var/lib/dmf-worker";
const DEADLINE: Duration = Duration::from_secs(20);

/// What an administrator fills in; and where this test's tree and Dovecot are, which lie elsewhere than a machine's.
fn configure(tree: &Tree, lab: &Lab) -> Result<()> {
    let (mariadb, redis, target) = (lab.mariadb(), lab.redis(), lab.target());
    let mail_user = target.mail_user().map(|user| format!("  doveadm:\n    user: {user}\n"));
    let filled = [
        (
            "    url: jdbc:mariadb://localhost:3306/migration\n    username:\n    password:\n",
            format!(
                "    url: {}\n    username: {}\n    password: {}\n",
                mariadb.jdbc_url("migration"),
                mariadb.user(),
                mariadb.password()
            ),
        ),
        ("  url: redis://localhost:6379\n", format!("  url: {}\n", redis.url())),
        (
            "#  crypto:\n#    storage-key:\n#      alias: key-1\n#      file: /etc/dmf/storage.key\n",
            format!(
                "  crypto:\n    storage-key:\n      alias: lab\n      file: {}\n",
                lab.dir().join("fleet/storage.key").display()
            ),
        ),
        ("#  doveadm:\n#    user: vmail\n", mail_user.unwrap_or_default()),
    ];
    let elsewhere = format!(
        "---\ndmf.worker.state-dir: {}\ndmf.doveadm:\n  path: {}\n  config: {}\n",
        tree.path(STATE).display(),
        dmf_lab::programs::DOVEADM.locate()?.display(),
        target.conf_path().display(),
    );
    tree.edit(SETTINGS, |text| Ok(fill_in(text, &filled)? + &elsewhere))
}

/// Starts the unit's program, which needs more of a machine than the tree has.
fn start<'l>(tree: &Tree, package: &Package, lab: &'l Lab) -> Result<Service<'l>> {
    let program = tree.path(package.unit()?.value("ExecStart")?);
    let socket = tree.path("/run/notify");
    let mut command = std::process::Command::new(program);
    command
        .arg("--config")
        .arg(tree.path(SETTINGS))
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/");
    let manager = Manager::listen(&socket)?;
    Service::start(lab, command, manager, socket.to_str().context("a path in UTF-8")?)
}

/// The service takes its place in the fleet and moves a user.
async fn move_a_user(fleet: &Fleet, user: &str) -> Result<()> {
    let name =
        nix::unistd::gethostname()?.into_string().map_err(|name| anyhow::anyhow!("{}", name.display()))?;
    let path = format!("/targets/default/backends/{name}");
    poll_until("the worker did not register", DEADLINE, async || {
        match fleet.api().admin(Method::GET, &path, None).await {
            Ok(answer) if answer.body["state"] == "RUNNING" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let customer = fleet.create_source(&format!("Customer{user}")).await?;
    let host = fleet.add_host(&customer, 2).await?;
    let truth = fleet.add_user(user, "pw", &Seed::new(Folders::Normal, 10))?;
    customer.submit(&host.submission(user, "pw")).await?;
    let record = customer.wait_for(user, "SUCCESS").await?;
    ensure!(record["backend"] == format!("default/{name}"), "{record}");
    fleet.expect_mail(user, &truth).await
}

#[tokio::test]
async fn it_is_installed_moves_a_user_is_upgraded_removed_and_purged() -> Result<()> {
    let package = Package::worker()?;
    let tree = Tree::before(&package)?;
    let before = tree.contents()?;
    tree.install(&package)?;
    ensure!(tree.asked_policy()?.is_empty(), "a fresh installation was to be started");
    ensure!(tree.owner(SETTINGS)? == "640 root root", "{}", tree.owner(SETTINGS)?);
    std::fs::create_dir_all(tree.path(STATE))?;

    Fleet::builder()
        .workers(0)
        .run(async |fleet| {
            configure(&tree, fleet.lab())?;
            let settings = tree.read(SETTINGS)?;
            let mut service = start(&tree, &package, fleet.lab())?;
            service.wait_until_ready().await?;
            ensure!(!service.log().contains("guarded by"), "not by dmf-guard: {}", service.log());
            move_a_user(fleet, "first").await?;
            let status = service.stop().await?;
            ensure!(status.code() == Some(0), "{status}: {}", service.log());

            let dir = tempfile::tempdir()?;
            tree.install(&package.next("9.9.9", SETTINGS, dir.path())?)?;
            let asked = tree.asked_policy()?;
            ensure!(asked == ["dmf-worker.service try-restart"], "{asked:?}");
            ensure!(tree.read(SETTINGS)? == settings, "the settings were changed");
            let mut service = start(&tree, &package, fleet.lab())?;
            service.wait_until_ready().await?;
            ensure!(!service.log().contains("guarded by"), "not by dmf-guard: {}", service.log());
            move_a_user(fleet, "second").await?;
            let status = service.stop().await?;
            ensure!(status.code() == Some(0), "{status}: {}", service.log());
            Ok(())
        })
        .await?;

    tree.dpkg(&["--remove", SERVICE])?;
    ensure!(tree.asked_policy()? == ["dmf-worker.service stop"]);
    ensure!(tree.path(SETTINGS).exists() && tree.path(STATE).exists(), "a removal is no purge");
    tree.dpkg(&["--purge", SERVICE])?;
    let left: Vec<_> = tree.contents()?.symmetric_difference(&before).cloned().collect();
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}
