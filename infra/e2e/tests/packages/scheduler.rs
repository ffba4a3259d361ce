//! The life of the scheduler's package.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Result, ensure};
use dmf_e2e::{ADMIN, ADMIN_PASSWORD, Management};
use dmf_lab::{Lab, Port};

use crate::notify::Manager;
use crate::package::{Package, output};
use crate::service::Service;
use crate::tree::Tree;

const SETTINGS: &str = "/opt/open-xchange/dmf/scheduler/etc/dmf-scheduler.yml";
const CERTIFICATES: &str = "/opt/open-xchange/dmf/certs";
/// Its account, and the unit.
const SERVICE: &str = "dmf-scheduler";
const SOCKET: &str = "/run/notify";
/// What is wrong with settings ends it so.
const WRONG_SETTINGS: i32 = 78;

fn installed(tree: &Tree, package: &Package) -> Result<()> {
    let account = tree.account("etc/passwd", SERVICE)?.unwrap_or_default();
    ensure!(account.ends_with("::/nonexistent:/usr/sbin/nologin"), "{account}");
    ensure!(tree.owner(SETTINGS)? == "640 root dmf-scheduler", "{}", tree.owner(SETTINGS)?);
    ensure!(tree.owner(CERTIFICATES)? == "2750 root dmf-scheduler", "{}", tree.owner(CERTIFICATES)?);
    // It has no credentials yet: whoever enters them starts it.
    ensure!(tree.asked_policy()?.is_empty(), "a fresh installation was to be started");
    tree.copy_libraries(&tree.path(package.unit()?.value("ExecStart")?))
}

/// The command of the unit, as the user of the unit.
fn command(tree: &Tree, package: &Package) -> Result<Command> {
    let unit = package.unit()?;
    tree.inside_as(unit.value("User")?, unit.value("ExecStart")?)
}

/// An administrator's first steps, in the manual's words.
fn configure(tree: &Tree, lab: &Lab, port: &Port) -> Result<()> {
    let mut gen_certs = tree.inside("/opt/open-xchange/sbin/dmf-scheduler-gen-certs");
    output(gen_certs.args(["-d", CERTIFICATES, "--host", "scheduler.example"]))?;
    let key = tree.path(CERTIFICATES).join("storage.key");
    fs::write(&key, [7; 32])?;
    fs::set_permissions(&key, Permissions::from_mode(0o640))?;
    let password = tree.read(&format!("{CERTIFICATES}/keystore.password"))?;
    let (mariadb, redis) = (lab.mariadb(), lab.redis());
    let filled = [
        (
            "  admin:\n    username:\n    password:\n",
            format!("  admin:\n    username: {ADMIN}\n    password: {ADMIN_PASSWORD}\n"),
        ),
        ("micronaut:\n", "micronaut:\n  server:\n    host: 127.0.0.1\n".to_owned()),
        ("    port: 8443\n", format!("    port: {}\n", port.number())),
        (
            "      type: PKCS12\n      password:\n",
            format!("      type: PKCS12\n      password: '{}'\n", password.trim()),
        ),
        (
            "    url: jdbc:mariadb://localhost:3306/migration\n    username:\n    password:\n",
            format!(
                "    url: {}?createDatabaseIfNotExist=true\n    username: {}\n    password: {}\n",
                mariadb.jdbc_url("migration"),
                mariadb.user(),
                mariadb.password()
            ),
        ),
        ("  url: redis://localhost:6379\n", format!("  url: {}\n", redis.url())),
        ("#dmf:\n#  crypto:\n#    storage-key:\n", "dmf:\n  crypto:\n    storage-key:\n".to_owned()),
        ("#      alias: key-1\n#      file: ", "      alias: key-1\n      file: ".to_owned()),
    ];
    tree.edit(SETTINGS, |text| fill_in(text, &filled))
}

/// Puts a value in the place of each blank, which must be there once.
pub(crate) fn fill_in(text: String, filled: &[(&str, String)]) -> Result<String> {
    filled.iter().try_fold(text, |text, (blank, value)| {
        ensure!(text.matches(blank).count() == 1, "{blank:?} is not in the settings file once:\n{text}");
        Ok(text.replace(blank, value))
    })
}

/// The service serves as its user, with what root has made.
async fn serve(tree: &Tree, package: &Package, lab: &Lab, port: &Port) -> Result<()> {
    let manager = Manager::listen(&tree.path(SOCKET))?;
    let mut service = Service::start(lab, command(tree, package)?, manager, SOCKET)?;
    service.wait_until_ready().await?;
    let management = Management::at(format!("https://localhost:{}", port.number()))
        .trusting(tree.path(CERTIFICATES).join("scheduler.pem"));
    let health = management.admin("/health").await?;
    ensure!(health.contains("\"UP\""), "{health}");
    let status = service.stop().await?;
    ensure!(status.code() == Some(0), "{status}: {}", service.log());
    Ok(())
}

/// Another version comes with another settings file: that of the site stays, and so do owner and mode.
fn upgrade(tree: &Tree, package: &Package) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (settings, owner) = (tree.read(SETTINGS)?, tree.owner(SETTINGS)?);
    let next = package.next("9.9.9", SETTINGS, dir.path())?;
    tree.install(&next)?;
    ensure!(tree.dpkg(&["--status", SERVICE])?.contains("\nVersion: 9.9.9\n"));
    ensure!(tree.read(SETTINGS)? == settings, "the settings were changed");
    ensure!(tree.owner(SETTINGS)? == owner, "{} instead of {owner}", tree.owner(SETTINGS)?);
    let beside = tree.read(&format!("{SETTINGS}.dpkg-dist"))?;
    ensure!(beside.ends_with("# Another line.\n"), "the new settings file does not lie beside it");
    let asked = tree.asked_policy()?;
    ensure!(asked == ["dmf-scheduler.service try-restart"], "{asked:?}");
    Ok(())
}

fn remove(tree: &Tree, package: &Package) -> Result<()> {
    let settings = tree.read(SETTINGS)?;
    tree.dpkg(&["--remove", SERVICE])?;
    let asked = tree.asked_policy()?;
    ensure!(asked == ["dmf-scheduler.service stop"], "{asked:?}");
    ensure!(!tree.path(package.unit()?.value("ExecStart")?).exists(), "the program is still there");
    ensure!(tree.read(SETTINGS)? == settings, "the settings are gone");
    Ok(())
}

#[tokio::test]
async fn it_is_installed_serves_is_upgraded_removed_and_purged() -> Result<()> {
    let package = Package::scheduler()?;
    let tree = Tree::before(&package)?;
    tree.install(&package)?;
    installed(&tree, &package)?;

    let unconfigured = command(&tree, &package)?.output()?;
    let errors = String::from_utf8_lossy(&unconfigured.stderr);
    ensure!(unconfigured.status.code() == Some(WRONG_SETTINGS), "{}: {errors}", unconfigured.status);
    ensure!(errors.contains("datasources.default.username"), "{errors}");

    let lab = Lab::builder().mariadb().redis().start().await?;
    let port = Port::reserve()?;
    configure(&tree, &lab, &port)?;
    serve(&tree, &package, &lab, &port).await?;
    upgrade(&tree, &package)?;
    serve(&tree, &package, &lab, &port).await?;
    remove(&tree, &package)?;

    tree.dpkg(&["--purge", SERVICE])?;
    ensure!(!tree.path(SETTINGS).exists(), "the settings are still there");
    ensure!(tree.account("etc/passwd", SERVICE)?.is_none(), "the user is still there");
    ensure!(tree.account("etc/group", SERVICE)?.is_none(), "the group is still there");
    // Without the key, what the database holds of passwords is lost. Nobody else may read it.
    ensure!(tree.path(CERTIFICATES).join("storage.key").exists(), "the key is gone");
    ensure!(tree.owner(CERTIFICATES)? == "2700 root root", "{}", tree.owner(CERTIFICATES)?);
    Ok(())
}

#[test]
fn a_purge_leaves_nothing_where_nothing_was_made() -> Result<()> {
    let package = Package::scheduler()?;
    let tree = Tree::before(&package)?;
    let before = tree.contents()?;
    tree.install(&package)?;
    ensure!(tree.contents()?.len() > before.len());
    tree.dpkg(&["--purge", SERVICE])?;
    let after = tree.contents()?;
    let left: Vec<_> = after.symmetric_difference(&before).collect();
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}
