//! The example files hold every setting that their program knows, none besides, and its defaults.

#![allow(clippy::disallowed_methods, reason = "the programs are started by hand, to see how they end")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::Binaries;
use tempfile::TempDir;

/// What `--check-config` says: values and origins by key; `None` for one that has no value.
type Settings = BTreeMap<String, Option<(String, String)>>;

/// Without these no program has settings.
const DATABASE: [(&str, &str); 2] =
    [("DATASOURCES_DEFAULT_URL", "jdbc:mariadb://db/x"), ("DATASOURCES_DEFAULT_USERNAME", "x")];

/// Other spellings of keys that the example has, and one that is the machine's.
const ELSEWHERE: [&str; 6] = [
    "micronaut.server.ssl.",
    "micronaut.server.router.static-resources.",
    "micronaut.static-resources.",
    "micronaut.server.static-resources.",
    "dmf.worker.hooks.source.",
    "dmf.worker.identity.name",
];

struct Example {
    program: PathBuf,
    text: String,
    dir: TempDir,
}

impl Example {
    fn of(program: PathBuf, name: &str) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging");
        let path = root.join(name).join(format!("dmf-{name}.yml.example"));
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(Self { program, text, dir: tempfile::tempdir()? })
    }

    /// The settings out of this text, and what is warned about.
    fn check(&self, text: &str, environment: &[(&str, &str)]) -> Result<(Settings, String)> {
        let file = self.dir.path().join("settings.yml");
        fs::write(&file, text)?;
        let output = Command::new(&self.program)
            .args(["--check-config", "--config"])
            .arg(&file)
            .env_clear()
            .envs(environment.iter().copied())
            .current_dir("/")
            .output()?;
        let warnings = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{}: {warnings}", output.status);
        Ok((settings(&String::from_utf8_lossy(&output.stdout)), warnings))
    }

    /// Everything set: what it names is there, and the keys that open it.
    fn check_in_full(&self, binaries: &Binaries) -> Result<(Settings, String)> {
        let certificates = self.dir.path().join("certs");
        let made =
            Command::new(binaries.scheduler()).args(["gen-certs", "-d"]).arg(&certificates).output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let (password, keystore) =
            (certificates.join("keystore.password"), certificates.join("keystore.p12").display().to_string());
        let password = fs::read_to_string(password)?;
        let [first, second] =
            [1_u8, 2].map(|number| (self.dir.path().join(format!("{number}.key")), [number; 32]));
        fs::write(&first.0, first.1)?;
        fs::write(&second.0, second.1)?;
        // Files that are there: what is in them matters with TLS alone.
        let pem = certificates.join("scheduler.pem").display().to_string();
        let (first, second) = (first.0.display().to_string(), second.0.display().to_string());
        let environment = [
            ("MICRONAUT_SSL_ENABLED", "true"),
            ("MICRONAUT_SSL_KEY_STORE_PATH", keystore.as_str()),
            ("MICRONAUT_SSL_KEY_STORE_PASSWORD", password.trim()),
            ("MICRONAUT_SSL_KEY_ALIAS", "scheduler"),
            ("DMF_CRYPTO_STORAGE_KEY_FILE", first.as_str()),
            ("DMF_CRYPTO_STORAGE_KEYS_0_FILE", second.as_str()),
            ("REDIS_TLS_CA", pem.as_str()),
            ("REDIS_TLS_CERTIFICATE", pem.as_str()),
            ("REDIS_TLS_KEY", pem.as_str()),
            // Whoever runs this test, this user there is.
            ("DMF_DOVEADM_USER", "root"),
        ];
        let environment: Vec<_> = environment
            .into_iter()
            .filter(|(name, _)| !name.contains("DOVEADM") || self.text.contains("dmf.doveadm.user"))
            .collect();
        self.check(&uncommented(&self.text), &environment)
    }
}

/// What is behind a `#`: settings, but not the texts, which begin with a blank and no more than one.
fn uncommented(text: &str) -> String {
    let is_setting =
        |rest: &str| !rest.is_empty() && (!rest.starts_with([' ', '#']) || rest.starts_with("  "));
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if is_setting(rest) => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

fn settings(output: &str) -> Settings {
    let line = |line: &str| {
        if let Some(rest) = line.strip_prefix("# ") {
            return rest.strip_suffix(": not set").map(|key| (key.to_owned(), None));
        }
        let (key, rest) = line.split_once(": ")?;
        let (value, origin) = rest.rsplit_once("  # ")?;
        Some((key.to_owned(), Some((value.to_owned(), origin.to_owned()))))
    };
    output.lines().filter_map(line).collect()
}

fn expect_complete(example: &Example, binaries: &Binaries) -> Result<()> {
    let (least, _) = example.check("", &DATABASE)?;
    let (untouched, _) = example.check(&example.text, &DATABASE)?;
    ensure!(untouched == least, "the example sets something as it stands");

    let (full, warnings) = example.check_in_full(binaries)?;
    ensure!(!warnings.contains("unknown"), "{warnings}");
    let known =
        least.keys().chain(full.keys()).filter(|key| !ELSEWHERE.iter().any(|other| key.starts_with(other)));
    // The parts of a list stand for it.
    let is_list = |key: &str| full.keys().any(|part| part.starts_with(&format!("{key}[")));
    for key in known.filter(|key| !is_list(key)) {
        let given = full.get(key).with_context(|| format!("{key} is not in the example"))?;
        let (value, origin) = given.as_ref().with_context(|| format!("{key} is not in the example"))?;
        ensure!(origin != "built-in default", "{key} is not in the example");
        let is_default =
            |(value, origin): &&(String, String)| origin == "built-in default" && !value.is_empty();
        let default = least.get(key).and_then(Option::as_ref).filter(is_default);
        // A secret is not shown, and what the environment sets is this test's.
        if let Some((default, _)) =
            default.filter(|_| value != "<hidden>" && !origin.starts_with("environment"))
        {
            ensure!(value == default, "{key} is {value} in the example, and {default} by default");
        }
    }
    Ok(())
}

#[test]
fn that_of_the_scheduler_is_complete() -> Result<()> {
    let binaries = Binaries::for_test()?;
    expect_complete(&Example::of(binaries.scheduler(), "scheduler")?, &binaries)
}

#[test]
fn that_of_the_worker_is_complete() -> Result<()> {
    let binaries = Binaries::for_test()?;
    expect_complete(&Example::of(binaries.worker(), "worker")?, &binaries)
}

#[test]
fn texts_stay_comments() {
    let text = "# A text.\n\n### Title\n#a.b:\n#  - c\n#\nd: 1\n";
    assert_eq!(uncommented(text), "# A text.\n\n### Title\na.b:\n  - c\n#\nd: 1\n");
}
