//! The tools of operators, run as they run them.

#![allow(clippy::disallowed_methods, reason = "the program is run by hand, to see what it prints")]
#![allow(clippy::unwrap_used, reason = "what the tests share fails a test by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Files for one run.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn run(&self, words: &[&str], files: &[(&str, &Path)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dmf-worker"));
        command.env_clear().env("SECRET_OF_THE_ENVIRONMENT", "leaked").current_dir(self.0.path()).args(words);
        for (option, file) in files {
            command.arg(option).arg(file);
        }
        command.output().unwrap()
    }

    /// Renders for 2.3 without asking a doveadm.
    fn render(&self, command: &str, user: &str, config: &str, more: &[&str]) -> Output {
        let words = [&["command", "render", "--doveadm-version", "2.3.19.1"], more].concat();
        self.run(
            &words,
            &[
                ("--command", &self.file("command", command)),
                ("--user", &self.file("user", user)),
                ("--config", &self.file("config.yml", config)),
            ],
        )
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

const BACKUP: &str = r#"{"name": "doveadm", "options": [{"name": "imapc_port", "value": "%{mdb:sourceport}"},
    {"name": "imapc_password", "value": "%{mdb:sourcepasswd}"}, {"name": "-o", "value": "%{mdb:imapcoptions}"}],
    "subCommand": {"name": "backup", "flags": "-R", "options": [{"name": "-u", "value": "%{mdb:uid}"}],
    "arguments": ["%{mdb:exclude}", "imapc:"]}}"#;

#[test]
fn a_user_is_written_as_for_a_submit() {
    let bench = Bench::new();
    let user = "---\nsourceUid: a\ntargetUid: ${SECRET_OF_THE_ENVIRONMENT}\nsourceport: 993\npassword: 0123\n\
                imapcOptions: imapc_features=rfc822.size fetch-headers\nexcludeFolders: Old stuff\n\
                phase: CUTOVER\npriority: true\nforce: false\ntarget: t\nsource: s\n";
    let output = bench.render(BACKUP, user, "", &[]);
    let argv = lines(&output);
    let expected = [
        "/usr/bin/doveadm",
        "-o",
        "imapc_port=993",
        "-o",
        "imapc_password=<hidden>",
        "-o",
        "imapc_features=rfc822.size fetch-headers",
    ];
    assert_eq!(argv[..7], expected);
    assert_eq!(
        argv[13..],
        ["backup", "-R", "-u", "${SECRET_OF_THE_ENVIRONMENT}", "-x", "Old stuff", "imapc:"]
    );
    let json = r#"{"sourceUid": "a", "targetUid": "b\nc", "sourceport": "143", "password": "s3cret\"x", "excludeFolders": []}"#;
    let output =
        bench.render(BACKUP, json, "dmf.doveadm.config: /etc/other.conf", &["--mail-plugins", "quota"]);
    let argv = lines(&output);
    assert_eq!(argv[..3], ["/usr/bin/doveadm", "-c", "/etc/other.conf"]);
    assert!(argv.contains(&"mail_plugins=quota notify mail_log".to_owned()), "{argv:?}");
    assert!(argv.contains(&"b\\nc".to_owned()), "one item is one line: {argv:?}");
    assert!(!text(&output.stdout).contains("s3cret"));
}

#[test]
fn one_text_may_hold_several_options_of_a_user() {
    let bench = Bench::new();
    let user = r#"{"sourceUid": "a", "targetUid": "b", "sourceport": 1, "password": "x",
        "imapcOptions": "imapc_features=rfc822.size search imapc_cmd_timeout=60s"}"#;
    let argv = lines(&bench.render(BACKUP, user, "", &[]));
    assert_eq!(argv[5..9], ["-o", "imapc_features=rfc822.size search", "-o", "imapc_cmd_timeout=60s"]);
}

#[test]
fn faults_of_a_user_repeat_no_value() {
    let bench = Bench::new();
    for user in [
        r#"{"sourceUid": "a", "targetUid": "b", "password": ["s3cret"]}"#,
        r#"{"sourceUid": "a", "targetUid": "b", "password": 12.5}"#,
        r#"{"sourceUid": "a", "targetUid": "b", "sourceport": "s3cret"}"#,
        r#"{"sourceUid": "a", "targetUid": "b", "secret": "s3cret"}"#,
    ] {
        let output = bench.render(BACKUP, user, "", &[]);
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(!said.is_empty() && !said.contains("s3cret") && !said.contains("12.5"), "{said}");
    }
}

#[test]
fn where_a_command_comes_from_decides_what_it_may() {
    let bench = Bench::new();
    let hook = r#"{"name": "/opt/lock", "arguments": "%{mdb:uid}"}"#;
    let user = r#"{"sourceUid": "a", "targetUid": "b"}"#;
    let refused = bench.render(hook, user, "", &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("dmf.worker.command.allow"));
    assert_eq!(lines(&bench.render(hook, user, "", &["--origin", "worker"])), ["/opt/lock", "b"]);
    let placeholder = bench.render(r#"{"name": "ignore"}"#, user, "", &[]);
    assert!(text(&placeholder.stderr).contains("is a placeholder"));
}

#[test]
fn the_doveadm_of_this_machine_is_asked() {
    let bench = Bench::new();
    let files = |config: &str| {
        [
            ("--command", bench.file("command", BACKUP)),
            (
                "--user",
                bench.file(
                    "user",
                    r#"{"sourceUid": "a", "targetUid": "b", "sourceport": 1, "password": "x"}"#,
                ),
            ),
            ("--config", bench.file("config.yml", config)),
        ]
    };
    let dovecot = bench.file("dovecot.conf", "mail_plugins = quota\nssl = no\n");
    let own = files(&format!("dmf.doveadm.config: {}", dovecot.display()));
    let own = own.each_ref().map(|(option, file)| (*option, file.as_path()));
    let argv = lines(&bench.run(&["command", "render"], &own));
    assert!(argv.contains(&"mail_plugins=quota notify mail_log".to_owned()), "{argv:?}");
    let none = files("dmf.doveadm.path: /nonexistent/doveadm");
    let none = none.each_ref().map(|(option, file)| (*option, file.as_path()));
    let output = bench.run(&["command", "render"], &none);
    assert_eq!(lines(&output)[0], "/nonexistent/doveadm");
    assert!(text(&output.stderr).contains("there is no /nonexistent/doveadm"));
}

#[test]
fn commands_of_the_configuration_are_checked_as_a_whole() {
    let bench = Bench::new();
    let config = "
dmf.doveadm.source.a:
  imapc.host: h
  command:
    migration1: { name: doveadm, options: { name: imapc_host, value: '%{conf:hosst}' }, sub-command:
      { name: backup, flags: -R, options: { name: -u, value: '%{mdb:uid}' }, arguments: 'imapc:' } }
    status: { name: doveadm, sub-command: { name: backup, options: { name: -u, value: '%{mdb:uidd}' }, arguments: 'imapc:' } }
";
    let output = bench.render(BACKUP, r#"{"sourceUid": "a", "targetUid": "b"}"#, config, &[]);
    assert_eq!(output.status.code(), Some(78));
    let said = text(&output.stderr);
    for fault in [
        "dmf.doveadm.source.a.command.migration1",
        "unknown property %{conf:hosst}",
        "dmf.doveadm.source.a.command.status",
        "unknown property %{mdb:uidd}",
        "writes to the source",
    ] {
        assert!(said.contains(fault), "{fault} is not in:\n{said}");
    }
}

fn judged(exit: &str, stderr: &str, stdout: Option<&str>, more: &[&str]) -> Value {
    let bench = Bench::new();
    let words = [&["judge", "--exit", exit], more].concat();
    let stderr = bench.file("stderr", stderr);
    let stdout = stdout.map(|stdout| bench.file("stdout", stdout));
    let mut files = vec![("--stderr", stderr.as_path())];
    files.extend(stdout.as_deref().map(|stdout| ("--stdout", stdout)));
    let output = bench.run(&words, &files);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_run_is_judged_as_one_json_object() {
    let moved = "dsync(a): Info: imapc(h:1): Connected to 10.0.0.1:143\n\
                 dsync(a): Info: copy from INBOX: box=INBOX, uid=1\ndsync(a): Info: expunge: box=Old, uid=7\n";
    assert_eq!(
        judged("0", moved, None, &[]),
        json!({"outcome": "success", "policy": "accept", "message": "", "saved": {"INBOX": 1},
            "expunged": {"Old": 1}, "mailboxes": []})
    );
    let counted = judged("0", "", Some(r#"[{"mailbox":"INBOX","messages":"3","vsize":"40"}]"#), &[]);
    assert_eq!(counted["mailboxes"], json!([{"name": "INBOX", "messages": 3, "vsize": 40}]));
    let full = "doveadm(a): Error: mkdir(/mail/a) failed: Read-only file system\n";
    assert_eq!(judged("0", full, Some("[]"), &[])["outcome"], "backend");
    assert_eq!(judged("0", full, Some(""), &[])["outcome"], "backend");
}

#[test]
fn exit_codes_of_a_shell_are_signals() {
    let login = "dsync(a): Error: imapc(h:1): Authentication failed: [AUTHENTICATIONFAILED] x\n\
                 dsync(a): Error: Failed to initialize user: imapc: Login to h failed: Authentication failed: [AUTHENTICATIONFAILED] x\n\
                 dsync(a): Panic: file lib-event.c: line 506\n";
    let verdict = judged("134", login, None, &["--master-user", "--phase", "CUTOVER"]);
    assert_eq!((&verdict["outcome"], &verdict["policy"]), (&json!("authentication"), &json!("fail-user")));
    assert!(verdict["message"].as_str().unwrap().contains("master user"));
    assert_eq!(judged("137", "", None, &[])["outcome"], "killed");
    assert_eq!(judged("134", "", None, &[])["outcome"], "killed");
    let bench = Bench::new();
    let stderr = bench.file("stderr", login);
    let signal = bench.run(&["judge", "--signal", "6"], &[("--stderr", &stderr)]);
    assert!(text(&signal.stdout).contains("\"authentication\""));
    let phase = bench.run(&["judge", "--exit", "0", "--phase", "NONE"], &[("--stderr", &stderr)]);
    assert!(text(&phase.stderr).contains("PRE_SYNC or CUTOVER"));
}

/// A fenced block of the guide: what stands behind its opening fence, and its lines.
fn blocks(guide: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in guide.lines() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(""), Some(block)) => blocks.push(block),
            (Some(kind), _) => open = Some((kind.to_owned(), String::new())),
            (None, Some((kind, content))) => open = Some((kind, content + line + "\n")),
            (None, None) => {}
        }
    }
    blocks
}

#[test]
fn the_guide_shows_what_is_true() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
    let blocks = blocks(&fs::read_to_string(guide).unwrap());
    let find = |kind: &str| blocks.iter().find(|block| block.0 == kind).unwrap().1.clone();
    let (user, config) = (find("json user"), find("yaml config"));
    let bench = Bench::new();
    let mut tested = 0;
    for pair in blocks.windows(2) {
        let [(kind, command), (answer, expected)] = pair else { unreachable!("windows of two") };
        let origin = match kind.as_str() {
            "json command" | "yaml command" => "api",
            "yaml worker-command" => "worker",
            _ => continue,
        };
        let output = bench.render(command, &user, &config, &["--origin", origin]);
        let (success, said) = match answer.as_str() {
            "text argv" => (true, text(&output.stdout)),
            "text faults" => (false, text(&output.stderr)),
            other => panic!("a command is followed by {other}"),
        };
        assert_eq!(output.status.success(), success, "{command}\n{}", text(&output.stderr));
        assert_eq!(&said, expected, "{command}");
        tested += 1;
    }
    assert_eq!(tested, 8, "commands of the guide");
}
