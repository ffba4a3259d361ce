//! What is in the packages, and how a program that looks for faults of packages sees it.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::package::Package;

/// Where a package may put something. Of the original's directories the manual says so.
const PLACES: [&str; 6] = [
    "/usr/bin/",
    "/lib/systemd/system/",
    "/usr/lib/systemd/system/",
    "/usr/share/doc/",
    "/opt/open-xchange/dmf/",
    "/opt/open-xchange/sbin/",
];
const EXECUTABLE: [&str; 4] = [
    "/usr/bin/dmf-scheduler",
    "/usr/bin/dmf-worker",
    "/usr/bin/dmf-guard",
    "/opt/open-xchange/sbin/dmf-scheduler-gen-certs",
];

struct Expected {
    package: Package,
    /// The settings file.
    settings: &'static str,
    depends: &'static [&'static str],
    files: &'static [&'static str],
}

fn scheduler() -> Result<Expected> {
    Ok(Expected {
        package: Package::scheduler()?,
        settings: "/opt/open-xchange/dmf/scheduler/etc/dmf-scheduler.yml",
        depends: &["passwd", "libc6"],
        files: &[
            "/usr/bin/dmf-scheduler",
            "/opt/open-xchange/sbin/dmf-scheduler-gen-certs",
            "/opt/open-xchange/dmf/certs/",
            "/usr/share/doc/dmf-scheduler/openapi.yml",
        ],
    })
}

fn worker() -> Result<Expected> {
    Ok(Expected {
        package: Package::worker()?,
        settings: "/opt/open-xchange/dmf/worker/etc/dmf-worker.yml",
        depends: &["dovecot-core", "libc6"],
        files: &["/usr/bin/dmf-worker", "/usr/bin/dmf-guard"],
    })
}

fn mode_of(path: &str, settings: &str) -> &'static str {
    match path {
        // They will hold passwords and keys.
        path if path == settings => "-rw-r-----",
        "/opt/open-xchange/dmf/certs/" => "drwxr-x---",
        path if path.ends_with('/') => "drwxr-xr-x",
        path if EXECUTABLE.contains(&path) => "-rwxr-xr-x",
        _ => "-rw-r--r--",
    }
}

fn expect(expected: &Expected) -> Result<()> {
    let Expected { package, settings, depends, files } = expected;
    let name = package.name;
    ensure!(package.field("Package")? == name);
    ensure!(package.field("Version")? == env!("CARGO_PKG_VERSION"));
    let depends_on = package.field("Depends")?;
    for dependency in *depends {
        ensure!(depends_on.split(", ").any(|on| on.split(' ').next() == Some(dependency)), "{depends_on}");
    }
    for field in ["Provides", "Conflicts", "Replaces"] {
        ensure!(package.field(field)? == format!("open-xchange-{name}"), "{field}");
    }
    let entries = package.entries()?;
    for (path, entry) in &entries {
        let is_in_place =
            PLACES.iter().any(|place| path.starts_with(place) || place.starts_with(path.as_str()));
        ensure!(is_in_place, "{path} is in no place for it");
        ensure!(entry.owner == "root/root", "{path} belongs to {}", entry.owner);
        let mode = mode_of(path, settings);
        ensure!(entry.mode == mode, "{path} has the mode {} instead of {mode}", entry.mode);
    }
    let doc = format!("/usr/share/doc/{name}");
    let documents = [
        format!("{doc}/copyright"),
        format!("{doc}/changelog.gz"),
        format!("{doc}/operating/install.md"),
        format!("{doc}/configuration.md"),
        format!("{doc}/examples/{name}.yml.example"),
    ];
    for path in documents.iter().map(String::as_str).chain(files.iter().copied()).chain([*settings]) {
        ensure!(entries.contains_key(path), "{path} is missing in {:?}", entries.keys());
    }
    let kept: BTreeSet<String> = package.control("conffiles")?.lines().map(str::to_owned).collect();
    ensure!(kept == BTreeSet::from([(*settings).to_owned()]), "{kept:?}");
    let digests = package.control("md5sums")?;
    ensure!(digests.contains(&format!("  usr/bin/{name}\n")), "{digests}");
    for script in ["postinst", "prerm", "postrm"] {
        ensure!(package.control(script)?.starts_with("#!/bin/sh\nset -e\n"), "{script}");
    }
    Ok(())
}

#[test]
fn the_schedulers_has_all_that_it_should_and_nothing_else() -> Result<()> {
    expect(&scheduler()?)
}

#[test]
fn the_workers_has_all_that_it_should_and_nothing_else() -> Result<()> {
    expect(&worker()?)
}

/// Two packages may not bring the same file.
#[test]
fn both_can_be_on_one_machine() -> Result<()> {
    let files = |package: &Package| -> Result<BTreeSet<String>> {
        Ok(package.entries()?.into_keys().filter(|path| !path.ends_with('/')).collect())
    };
    let (scheduler, worker) = (files(&Package::scheduler()?)?, files(&Package::worker()?)?);
    let common: Vec<_> = scheduler.intersection(&worker).collect();
    ensure!(common.is_empty(), "{common:?}");
    Ok(())
}
