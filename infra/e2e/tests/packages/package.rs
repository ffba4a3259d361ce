//! The packages, built by the one command that builds them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::{Binaries, once_per_run};

use crate::unit::Unit;

/// A package file.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
}

/// A file, directory or link in a package.
#[derive(Debug)]
pub(crate) struct Entry {
    /// As `ls -l` shows it, such as `drwxr-x---`.
    pub(crate) mode: String,
    /// Such as `root/root`.
    pub(crate) owner: String,
}

/// Standard output of a program that must succeed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}{errors}", String::from_utf8_lossy(&output.stdout));
    Ok(String::from_utf8(output.stdout)?)
}

impl Package {
    pub(crate) fn scheduler() -> Result<Self> {
        Self::built("dmf-scheduler")
    }

    pub(crate) fn worker() -> Result<Self> {
        Self::built("dmf-worker")
    }

    /// Of the programs that the tests run, once for all tests.
    fn built(name: &'static str) -> Result<Self> {
        let binaries = Binaries::for_test()?;
        let directory = binaries.directory().join("dmf-e2e-packages");
        once_per_run(&directory.with_extension("lock"), || {
            if directory.exists() {
                fs::remove_dir_all(&directory)?;
            }
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packages");
            let mut build = Command::new(script);
            build.args(["--profile", "dev", "--programs"]).arg(binaries.directory()).arg(&directory);
            output(&mut build).map(drop)
        })?;
        let version = env!("CARGO_PKG_VERSION");
        let architecture = output(Command::new("dpkg").arg("--print-architecture"))?;
        let path = directory.join(format!("{name}_{version}_{}.deb", architecture.trim()));
        ensure!(path.is_file(), "{} was not built", path.display());
        Ok(Self { name, path })
    }

    /// The same package of another version, with one more line in the settings file that it brings.
    pub(crate) fn next(&self, version: &str, settings: &str, directory: &Path) -> Result<Self> {
        let open = directory.join(self.name);
        output(Command::new("dpkg-deb").arg("--raw-extract").arg(&self.path).arg(&open))?;
        let edit = |path: PathBuf, change: &dyn Fn(String) -> String| -> Result<()> {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            Ok(fs::write(&path, change(text))?)
        };
        let own = format!("Version: {}\n", self.field("Version")?);
        edit(open.join("DEBIAN/control"), &|text| text.replace(&own, &format!("Version: {version}\n")))?;
        edit(open.join(settings.trim_start_matches('/')), &|text| format!("{text}# Another line.\n"))?;
        let path = directory.join(format!("{}_{version}.deb", self.name));
        let mut build = Command::new("dpkg-deb");
        build.args(["--root-owner-group", "-Znone", "--build"]).arg(&open).arg(&path);
        output(&mut build)?;
        Ok(Self { path, ..self.clone() })
    }

    /// A field of its control file.
    pub(crate) fn field(&self, name: &str) -> Result<String> {
        let text = output(Command::new("dpkg-deb").arg("--field").arg(&self.path).arg(name))?;
        Ok(text.trim().to_owned())
    }

    /// One of its control files.
    pub(crate) fn control(&self, name: &str) -> Result<String> {
        output(Command::new("dpkg-deb").arg("--info").arg(&self.path).arg(name))
    }

    /// What it brings, by absolute path.
    pub(crate) fn entries(&self) -> Result<BTreeMap<String, Entry>> {
        let listed = output(Command::new("dpkg-deb").arg("--contents").arg(&self.path))?;
        listed.lines().map(|line| entry(line).with_context(|| line.to_owned())).collect()
    }

    /// The unit that it brings.
    pub(crate) fn unit(&self) -> Result<Unit> {
        let end = format!("/systemd/system/{}.service", self.name);
        let path = self.entries()?.into_keys().find(|path| path.ends_with(&end)).context("no unit")?;
        let dir = tempfile::tempdir()?;
        output(Command::new("dpkg-deb").arg("--extract").arg(&self.path).arg(dir.path()))?;
        Ok(Unit(fs::read_to_string(dir.path().join(path.trim_start_matches('/')))?))
    }
}

/// A line such as `-rw-r--r-- root/root  1312 2026-01-31 12:00 ./lib/x`.
fn entry(line: &str) -> Option<(String, Entry)> {
    let mut words = line.split_whitespace();
    let (mode, owner) = (words.next()?.to_owned(), words.next()?.to_owned());
    let path = words.nth(3)?.strip_prefix('.')?;
    Some((path.to_owned(), Entry { mode, owner }))
}
