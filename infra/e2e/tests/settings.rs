//! Settings that are wrong end a process at once, with everything that is wrong in one output.

#![allow(clippy::disallowed_methods, reason = "the programs are started by hand, to see how they end")]

use std::path::Path;
use std::process::{Command, Output};

use anyhow::Result;
use dmf_e2e::Binaries;
use dmf_lab::Port;

/// `EX_CONFIG` of sysexits.h.
const WRONG_SETTINGS: i32 = 78;

fn run(program: &Path, settings: &str) -> Result<Output> {
    let name = program.file_name().unwrap_or_default().display();
    let dir = std::env::temp_dir().join(format!("dmf-e2e-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let file = dir.join("settings.yml");
    std::fs::write(&file, settings)?;
    let output = Command::new(program).arg("--config").arg(&file).env_clear().current_dir("/").output();
    std::fs::remove_dir_all(&dir)?;
    Ok(output?)
}

fn expect_faults(output: &Output, keys: &[&str], secrets: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(WRONG_SETTINGS), "{stderr}");
    for key in keys {
        let lines = stderr.lines().filter(|line| line.starts_with(key)).count();
        assert_eq!(lines, 1, "{key} stands on {lines} lines of:\n{stderr}");
    }
    for secret in secrets {
        assert!(!stderr.contains(secret), "{stderr}");
    }
}

#[test]
fn a_scheduler_reports_all_faults_and_binds_no_port() -> Result<()> {
    let port = Port::reserve()?;
    // Somebody else listens there: a scheduler that bound before it read would report that instead.
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port.number()))?;
    let settings = format!(
        "micronaut.server: {{ host: 127.0.0.1, port: {} }}
http.admin.username: admin
datasources.default.url: postgres://user:s3cret@localhost/x
redis.url: not-a-url-s3cret
dmf.scheduler.shutdown.grace: soon
dmf.crypto.storage-key: {{ alias: lab, file: /nowhere/at/all }}
",
        port.number()
    );
    let output = run(&Binaries::for_test()?.scheduler(), &settings)?;
    let keys = [
        "http.admin.password",
        "datasources.default.url",
        "redis.url",
        "dmf.scheduler.shutdown.grace",
        "dmf.crypto.storage-key",
    ];
    expect_faults(&output, &keys, &["s3cret"]);
    Ok(())
}

#[test]
fn a_worker_reports_all_faults() -> Result<()> {
    let settings = "
redis.url: not-a-url-s3cret
dmf.lease: { heartbeat: 10s, deadline: 20s }
dmf.worker:
  identity: { name: a/b, target: -x }
  command.logging.file.format: logs/%(user)
  policy: { diverged: retry, limited: accept, quota: backoff }
  hooks.source.CustomerX.cutover.post: { name: doveadm, subCommand: 7 }
  threads.max: many
  initial-state: ASLEEP
  sync.retry.attempts: 0
dmf.doveadm.source.default.command.migration1: { name: doveadm, subCommand: 7 }
";
    let output = run(&Binaries::for_test()?.worker(), settings)?;
    let keys = [
        "datasources.default.url",
        "redis.url",
        "dmf.lease.deadline",
        "dmf.worker.identity.name",
        "dmf.worker.identity.target",
        "dmf.worker.command.logging.file.format",
        "dmf.worker.policy.diverged",
        "dmf.worker.policy.limited",
        "dmf.worker.policy.quota",
        "dmf.worker.hooks.source.CustomerX.cutover.post",
        "dmf.worker.threads.max",
        "dmf.worker.initial-state",
        "dmf.worker.sync.retry.attempts",
        "dmf.doveadm.source.default.command.migration1",
    ];
    expect_faults(&output, &keys, &["s3cret"]);
    Ok(())
}

/// Nobody has heard of the worker then: there is not even a database.
#[test]
fn a_machine_that_can_not_run_doveadm_is_found_before_the_worker_registers() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let nowhere = Port::reserve()?;
    let settings = format!(
        "datasources.default: {{ url: 'jdbc:mariadb://127.0.0.1:{}/x', username: x, password: x }}
dmf.worker.state-dir: {}
dmf.doveadm.path: /nowhere/doveadm
",
        nowhere.number(),
        dir.path().display()
    );
    let output = run(&Binaries::for_test()?.worker(), &settings)?;
    let log = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(WRONG_SETTINGS), "{log}");
    assert!(log.contains("dmf.doveadm: doveadm can't be used: /nowhere/doveconf can't be run"), "{log}");
    Ok(())
}

/// Two documents, a secret from a file, one from the environment, and a key that is misspelled.
#[test]
fn check_config_prints_what_counts_and_ends() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (file, secret) = (dir.path().join("settings.yml"), dir.path().join("secret"));
    std::fs::write(&secret, "s3cret\n")?;
    std::fs::write(
        &file,
        "datasources.default:
  url: jdbc:mariadb://user:s3cret@db.example/x
  username: somebody
---
dmf.lease.heartbeat: 11s
dmf.lease.hartbeat: 9s
dmf.worker.threads.max: 3
redis.url: redis://:s3cret@cache.example/
jackson.serializationInclusion: ALWAYS
",
    )?;
    let binaries = Binaries::for_test()?;
    for program in [binaries.scheduler(), binaries.worker()] {
        let output = Command::new(&program)
            .args(["--check-config", "--config"])
            .arg(&file)
            .env_clear()
            .env("DATASOURCES_DEFAULT_PASSWORD_FILE", &secret)
            .env("DMF_LEASE_SILENCE", "70s")
            .current_dir("/")
            .output()?;
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        let (file, secret) = (file.display(), secret.display());
        for line in [
            format!("datasources.default.url: jdbc:mariadb://db.example:3306/x  # {file}:2"),
            format!("datasources.default.username: somebody  # {file}:3"),
            format!(
                "datasources.default.password: <hidden>  # {secret}, named by environment variable \
                 DATASOURCES_DEFAULT_PASSWORD_FILE"
            ),
            format!("dmf.lease.heartbeat: 11s  # {file}:5"),
            "dmf.lease.deadline: 45s  # built-in default".to_owned(),
            "dmf.lease.silence: 70s  # environment variable DMF_LEASE_SILENCE".to_owned(),
            format!("redis.url: <hidden>  # {file}:8"),
            format!("# jackson.serialization-inclusion: has no effect ({file}:9)"),
        ] {
            assert!(stdout.lines().any(|found| found == line), "{line} is not in:\n{stdout}");
        }
        let unknown = format!(
            "dmf.lease.hartbeat: unknown, has no effect; did you mean dmf.lease.heartbeat? ({file}:6)"
        );
        assert!(stderr.contains(&unknown), "{stderr}");
        assert!(!stdout.contains("s3cret") && !stderr.contains("s3cret"), "{stdout}{stderr}");
        // What it prints is a settings file itself, but for the secrets.
        std::fs::write(dir.path().join("again.yml"), stdout.as_bytes())?;
        let again = Command::new(&program)
            .args(["--check-config", "--config"])
            .arg(dir.path().join("again.yml"))
            .env_clear()
            .env("REDIS_URL", "redis://cache.example")
            .current_dir("/")
            .output()?;
        assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stderr));
    }
    Ok(())
}

#[test]
fn check_config_reports_all_faults() -> Result<()> {
    let binaries = Binaries::for_test()?;
    for program in [binaries.scheduler(), binaries.worker()] {
        let settings = "redis.timeout: soon\ndmf.lease.deadline: never\n";
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("settings.yml");
        std::fs::write(&file, settings)?;
        let output = Command::new(program)
            .args(["--check-config", "--config"])
            .arg(&file)
            .env_clear()
            .current_dir("/")
            .output()?;
        expect_faults(&output, &["redis.timeout", "dmf.lease.deadline", "datasources.default.url"], &[]);
        assert!(output.stdout.is_empty());
    }
    Ok(())
}

#[test]
fn a_file_that_is_not_there_is_named() -> Result<()> {
    let binaries = Binaries::for_test()?;
    for program in [binaries.scheduler(), binaries.worker()] {
        let output = Command::new(program).args(["--config", "/nowhere/dmf.yml"]).env_clear().output()?;
        expect_faults(&output, &["/nowhere/dmf.yml"], &[]);
    }
    Ok(())
}

/// What a command or a hook names has to be there before anybody is locked out by it.
#[test]
fn a_property_that_the_configuration_does_not_have_ends_a_worker() -> Result<()> {
    let settings = "
datasources.default: { url: 'jdbc:mariadb://127.0.0.1:1/x', username: x, password: x }
dmf.doveadm.source:
  default:
    imapc.host: h
    command:
      inject: { region: north, api-token: s3cret }
      status: { name: doveadm, options: { name: imapc_host, value: '%{conf:imapc_hots}' },
        sub-command: { name: mailbox, sub-command: { name: status,
          options: { name: -u, value: '%{mdb:uid}' }, arguments: [messages, '*'] } } }
  Special.command.inject.street: high
dmf.worker.hooks:
  pre-sync.pre: { name: lock, arguments: ['%{conf:region}', 'x-%{conf:regoin}'] }
  cutover.failure: { name: unlock, options: { name: --street, value: '%{conf:street}' } }
  source:
    Special.cutover.post: { name: flip, flags: ['%{conf:region}', '%{conf:street}', '%{conf:town}'] }
    Other.pre-sync.post: { name: tell, arguments: '%{conf:api-token}' }
";
    let output = run(&Binaries::for_test()?.worker(), settings)?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(WRONG_SETTINGS), "{said}");
    let there = "there are: imapc_host imapc_master_password imapc_master_user imapc_prefix imapc_port api-token region";
    for (key, fault) in [
        (
            "dmf.doveadm.source.default.command.status",
            format!("options[0].value: unknown property %{{conf:imapc_hots}}; {there}"),
        ),
        (
            "dmf.worker.hooks.pre-sync.pre",
            format!("arguments[1]: unknown property %{{conf:regoin}}; {there}"),
        ),
        (
            "dmf.worker.hooks.cutover.failure",
            format!("options[0].value: unknown property %{{conf:street}}; {there}"),
        ),
        (
            "dmf.worker.hooks.source.Special.cutover.post",
            format!("flags[2]: unknown property %{{conf:town}}; {there} street"),
        ),
        (
            "dmf.worker.hooks.source.Other.pre-sync.post",
            "arguments[0]: %{conf:api-token} counts as a password by its name".to_owned(),
        ),
    ] {
        let line = said.lines().find(|line| line.starts_with(key));
        assert!(line.is_some_and(|line| line.contains(&fault)), "{key}: {fault} is not in:\n{said}");
    }
    assert_eq!(said.lines().filter(|line| line.starts_with("dmf.")).count(), 5, "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    Ok(())
}
