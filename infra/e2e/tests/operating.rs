//! Every command of the operating guide, run as it stands there, in the order of a project.

#![allow(clippy::disallowed_methods, reason = "commands of the guide are run as an operator does")]

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::{ADMIN, ADMIN_PASSWORD, Binaries, Fleet, SourceHost};
use dmf_lab::{Folders, Seed};
use tokio::process::Command;

const KEY: &str = "b270b24a-711d-47ee-8bdc-f59ad5c1abf2";
/// Pages whose commands ask and change a running fleet, besides that of the project.
const PAGES: [&str; 4] = ["monitoring", "troubleshooting", "high-availability", "security"];

fn page(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/operating/{name}.md"));
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// The blocks of a page with these words behind their fence, in their order.
fn blocks(page: &str, words: &str) -> Vec<String> {
    let fenced = page.split("\n```").skip(1).step_by(2);
    fenced.filter_map(|block| block.strip_prefix(words)?.strip_prefix('\n').map(str::to_owned)).collect()
}

/// The blocks of a page that are commands.
fn commands(page: &str) -> Vec<String> {
    blocks(page, "sh")
}

struct Shell<'f> {
    fleet: &'f Fleet,
    host: SourceHost,
    dir: tempfile::TempDir,
}

impl Shell<'_> {
    async fn run(&self, script: &str) -> Result<String> {
        let output = Command::new("timeout")
            .args(["60", "bash", "-euo", "pipefail", "-c", script])
            .env("DMF", self.fleet.api().url())
            .env("ADMIN", format!("{ADMIN}:{ADMIN_PASSWORD}"))
            .env("KEY", KEY)
            .env("HOST", self.host.name())
            .env("PORT", self.host.proxy.port().to_string())
            .env("WORKER", self.fleet.workers()[0].name())
            .current_dir(self.dir.path())
            .output()
            .await?;
        let (out, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{script}\n{out}\n{errors}");
        Ok(out.into_owned())
    }
}

#[tokio::test]
async fn a_project_is_run_by_the_guide() -> Result<()> {
    Fleet::builder()
        .run(async |fleet| {
            let host = fleet.open_host(3).await?;
            let shell = Shell { fleet, host, dir: tempfile::tempdir()? };
            let seed = Seed::new(Folders::Normal, 10);
            let lara = fleet.add_user("lara@old.example", "larapw", &seed)?;
            fleet.add_user("olaf@old.example", "olafpw", &seed)?;

            let mut project = commands(&page("project")?);
            let end = project.pop().context("the project has an end")?;
            let mut said = String::new();
            for script in &project {
                said.push_str(&shell.run(script).await?);
            }
            for name in PAGES {
                let commands = commands(&page(name)?);
                ensure!(!commands.is_empty(), "{name} has no commands");
                for script in commands {
                    said.push_str(&shell.run(&script).await?);
                }
            }
            let done = fs::read_to_string(shell.dir.path().join("done.csv"))?;
            for user in ["lara@old.example", "olaf@old.example"] {
                ensure!(done.contains(user), "{done}");
            }
            ensure!(said.contains("authentication"), "the pilot's failure is not shown:\n{said}");
            ensure!(
                fleet.lab().target().mailboxes("lara").await? == lara.counts(),
                "lara's mail is not all there"
            );

            shell.run(&end).await?;
            let sources = fleet.api().admin(reqwest::Method::GET, "/sources", None).await?.expect(200)?;
            ensure!(sources.as_array().is_some_and(Vec::is_empty), "{sources}");
            Ok(())
        })
        .await
}

/// The least settings of the guide are enough, with the files that its commands make.
#[tokio::test]
async fn an_installation_is_made_by_the_guide() -> Result<()> {
    let (page, dir, binaries) = (page("install")?, tempfile::tempdir()?, Binaries::for_test()?);
    let programs = binaries.scheduler().parent().context("programs lie in a directory")?.to_owned();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display());
    let here = dir.path().display();
    for script in commands(&page) {
        if script.contains("--check-config") {
            let password = fs::read_to_string(dir.path().join("certs/keystore.password"))?;
            for name in ["scheduler", "worker"] {
                let settings = blocks(&page, &format!("yaml {name}")).concat();
                ensure!(!settings.is_empty(), "the guide has no settings for the {name}");
                let settings = settings
                    .replace(
                        "/opt/open-xchange/dmf/certs/keystore.p12",
                        &format!("{here}/certs/keystore.p12"),
                    )
                    .replace(
                        "PKCS12, password: change-me",
                        &format!("PKCS12, password: '{}'", password.trim()),
                    )
                    .replace("/opt/open-xchange/dmf/certs/storage.key", &format!("{here}/storage.key"))
                    .replace("/etc/dmf/storage.key", &format!("{here}/storage.key"));
                fs::write(dir.path().join(format!("dmf-{name}.yml")), settings)?;
            }
        }
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &script])
            .env_clear()
            .env("PATH", &path)
            .current_dir(dir.path())
            .output()
            .await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{script}\n{errors}");
        ensure!(!errors.contains("warning"), "{script}\n{errors}");
    }
    Ok(())
}

#[test]
fn commands_are_the_blocks_that_say_so() {
    let page =
        "a\n```sh\none\ntwo\n```\n\n```\nno\n```\n```sh host\nnot here\n```\n   text\n```sh\nthree\n```\n";
    assert_eq!(commands(page), ["one\ntwo", "three"]);
}
