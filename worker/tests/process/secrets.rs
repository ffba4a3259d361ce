//! Input, environment and privileges of a child; where secrets can be seen.

use std::fs;

use dmf_worker::process::{EnvVar, Error, LaunchStep, RunAs};
use nix::unistd::geteuid;
use secrecy::SecretSlice;

use crate::bench::{Bench, limits, sh, text, until};

const SECRET: &str = "only-the-child-knows";

#[tokio::test]
async fn the_input_can_be_opened_again_and_not_changed() {
    let bench = Bench::new();
    let mut spec = sh("cat; cat /proc/self/fd/0; stat -L -c '%a %u' /proc/self/fd/0; \
                       sh -c 'echo x >> /proc/self/fd/0' 2>/dev/null || cat /proc/self/fd/0");
    spec.stdin = Some(SecretSlice::from(b"one\n".to_vec()));
    let finished = bench.run(spec).await.unwrap();
    assert_eq!(text(&finished), format!("one\none\n400 {}\none\n", geteuid()));
}

#[tokio::test]
async fn a_large_input_arrives_whole() {
    let bench = Bench::new();
    let mut spec = sh("wc -c");
    spec.stdin = Some(SecretSlice::from(vec![7; 16 << 20]));
    assert_eq!(text(&bench.run(spec).await.unwrap()).trim(), (16 << 20).to_string());

    let mut spec = sh("wc -c");
    spec.stdin = Some(SecretSlice::from(vec![7; (16 << 20) + 1]));
    assert!(matches!(bench.run(spec).await, Err(Error::Description(_))));
}

#[tokio::test]
async fn without_input_there_is_none() {
    let bench = Bench::new();
    assert_eq!(bench.print("readlink /proc/self/fd/0; cat").await, "/dev/null\n");
    let mut spec = sh("readlink /proc/self/fd/0; cat");
    spec.stdin = Some(SecretSlice::from(Vec::new()));
    assert_eq!(text(&bench.run(spec).await.unwrap()), "/memfd:input (deleted)\n");
}

#[tokio::test]
async fn nothing_but_the_three_streams_is_inherited() {
    let bench = Bench::new();
    // One that a careless parent of the worker has left open.
    let careless = fs::File::open("/dev/zero").unwrap();
    nix::fcntl::fcntl(&careless, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    // The fourth is the directory that ls reads.
    assert_eq!(bench.print("ls /proc/self/fd").await, "0\n1\n2\n3\n");
}

#[tokio::test]
async fn the_environment_is_what_was_given_and_the_mark_of_the_guard() {
    let bench = Bench::new();
    let mut spec = sh("tr '\\0' '\\n' < /proc/$$/environ | sort; echo $PPID");
    spec.env.push(EnvVar::new("ODD", "a b\"$'\\ ü"));
    let printed = text(&bench.run(spec).await.unwrap());
    let (mark, rest) = printed.split_once('\n').unwrap();
    let (given, guard) = rest.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(given, "ODD=a b\"$'\\ ü\nPATH=/usr/bin:/bin");
    assert!(mark.starts_with(&format!("DMF_GUARD={guard}.")), "{printed}");
}

#[tokio::test]
async fn secrets_are_seen_by_the_child_alone() {
    let bench = Bench::new();
    let (_lease, limits) = limits();
    let mut spec = sh("cat >/dev/null; echo $PASSWORD; echo ready >&2; sleep 600");
    spec.env.push(EnvVar::new("PASSWORD", SECRET));
    spec.stdin = Some(SecretSlice::from(SECRET.as_bytes().to_vec()));
    assert!(!format!("{spec:?}").contains(SECRET));
    let cancel = limits.cancel.clone();
    let mut ready = false;
    let (seen, seen_by) = std::sync::mpsc::channel();
    let mut on_stderr = |_: &[u8]| {
        ready = true;
        let _ = seen.send(());
    };
    let (finished, ()) = tokio::join!(bench.supervisor.run(spec, limits, &mut on_stderr), async {
        let (guard, child) = bench.guard_and_child().await;
        until("the script", || seen_by.try_recv().ok()).await;
        let read = |pid: i32, file: &str| {
            String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{file}")).unwrap()).into_owned()
        };
        assert_eq!(read(guard, "cmdline"), "dmf-guard\0guard\0");
        assert_eq!(read(guard, "environ"), "");
        assert!(!read(child, "cmdline").contains(SECRET));
        assert!(read(child, "environ").contains(SECRET));
        let record = fs::read_to_string(bench.records().first().unwrap()).unwrap();
        assert!(!record.contains(SECRET) && !record.contains("PASSWORD"), "{record}");
        cancel.cancel();
    });
    assert_eq!(text(&finished.unwrap()), format!("{SECRET}\n"));
}

#[tokio::test]
async fn no_core_and_no_odd_signals_are_inherited() {
    let bench = Bench::new();
    assert_eq!(bench.print("ulimit -S -c; ulimit -H -c").await, "0\n0\n");
    let signals = bench.print("grep -E '^Sig(Blk|Ign)' /proc/self/status | cut -f 2").await;
    // Without 32 and 33, which belong to the C library.
    let odd = signals.lines().map(|set| u64::from_str_radix(set, 16).unwrap() & !(0b11 << 31));
    assert_eq!(odd.collect::<Vec<_>>(), [0, 0], "{signals}");
}

#[tokio::test]
async fn root_becomes_the_mail_user() {
    let bench = Bench::new();
    let mut spec = sh("id -u; id -g; id -G; stat -L -c '%a %u' /proc/self/fd/0; cat /proc/self/fd/0; \
                       echo out > /dev/stdout; echo err > /dev/stderr; grep CapEff /proc/self/status | cut -f 2");
    spec.run_as = Some(RunAs { uid: 65534, gid: 65533 });
    spec.stdin = Some(SecretSlice::from(b"in\n".to_vec()));
    let result = bench.run(spec).await;
    if geteuid().is_root() {
        let finished = result.unwrap();
        let expected = "65534\n65533\n65533\n400 65534\nin\nout\n0000000000000000\n";
        assert_eq!(text(&finished), expected);
        assert_eq!(finished.stderr_tail, b"err\n");
    } else {
        assert!(matches!(result, Err(Error::Start { step: LaunchStep::Privileges, .. })), "{result:?}");
    }
}

#[tokio::test]
async fn the_mail_user_s_child_dies_with_its_guard() {
    let bench = Bench::new();
    let (_lease, limits) = limits();
    let mut spec = sh("exec sleep 600");
    if geteuid().is_root() {
        spec.run_as = Some(RunAs { uid: 65534, gid: 65534 });
    }
    let (result, child) = tokio::join!(bench.run_within(spec, limits), async {
        let (guard, child) = bench.guard_and_child().await;
        let program =
            || fs::read_to_string(format!("/proc/{child}/comm")).ok().filter(|name| name == "sleep\n");
        until("the program", program).await;
        crate::bench::send(guard, nix::sys::signal::Signal::SIGKILL);
        child
    });
    assert!(matches!(result, Err(Error::GuardLost)), "{result:?}");
    assert!(!crate::bench::lives(child));
}
