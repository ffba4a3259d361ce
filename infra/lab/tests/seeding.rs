//! Seeded mail is what the lab says it is, and real doveadm carries all of it over.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its own functions too")]

mod support;

use dmf_lab::{Count, Folders, Lab, Proxy, Seed, SourceDovecot, Storage, TargetDovecot, poll_until};
use support::DEADLINE;

/// `backup -R` from a proxy in front of the source.
async fn migrate(target: &TargetDovecot, from: &Proxy, user: &str) {
    let (port, as_user) = (format!("imapc_port={}", from.port()), format!("imapc_user={user}"));
    let password = format!("imapc_password={}", SourceDovecot::MASTER_PASSWORD);
    let master = format!("imapc_master_user={}", SourceDovecot::MASTER_USER);
    let settings = ["imapc_host=127.0.0.1", &port, &as_user, &master, &password];
    let mut args: Vec<&str> = settings.iter().flat_map(|s| ["-o", *s]).collect();
    args.extend(["backup", "-R", "-u", user, "imapc:"]);
    let output = target.doveadm(&args).await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
}

#[tokio::test]
async fn the_source_counts_what_was_seeded() {
    let lab = Lab::builder().source("old").start().await.unwrap();
    let old = lab.source("old");
    for (user, folders, mailboxes) in
        [("inbox", Folders::Inbox, 1), ("normal", Folders::Normal, 11), ("odd@example.com", Folders::Odd, 29)]
    {
        let mut truth = old.seed(user, &Seed::new(folders, 400)).unwrap();
        old.add_user(user, "pw").unwrap();
        assert_eq!((truth.mailboxes.len(), truth.messages()), (mailboxes, 400));
        assert_eq!(old.mailboxes(user).await.unwrap(), truth.counts());

        truth.add("INBOX", old.append(user, "INBOX", 7).unwrap());
        truth.add("New box", old.append(user, "New box", 2).unwrap());
        assert_eq!(truth.messages(), 409);
        assert_eq!(old.mailboxes(user).await.unwrap(), truth.counts());
    }
}

#[tokio::test]
async fn seeds_repeat_themselves() {
    let lab = Lab::builder().source("one").source("two").start().await.unwrap();
    let seed = Seed::new(Folders::Normal, 100).large_attachments();
    let (one, two) = (lab.source("one"), lab.source("two"));
    let first = one.seed("alice", &seed).unwrap();
    assert_eq!(first, two.seed("alice", &seed).unwrap());
    assert_ne!(first.mailboxes, two.seed("bob", &seed).unwrap().mailboxes);
    assert_ne!(first.mailboxes, two.seed("alice2", &seed.variant(2)).unwrap().mailboxes);
}

#[tokio::test]
async fn names_that_no_file_can_hold_are_refused() {
    let lab = Lab::builder().source("old").start().await.unwrap();
    let old = lab.source("old");
    for user in ["", "../up", "a/b", "a:b", "line\nbreak", ".hidden"] {
        assert!(old.add_user(user, "pw").is_err(), "{user:?}");
        assert!(old.seed(user, &Seed::new(Folders::Inbox, 1)).is_err(), "{user:?}");
    }
    assert!(old.append("alice", "dots.in.it", 1).is_err());
}

async fn all_mail_arrives(storage: Storage) {
    let lab = Lab::builder().source("old").target(storage).start().await.unwrap();
    let (old, target, user) = (lab.source("old"), lab.target(), "odd@example.com");
    old.add_user(user, "pw").unwrap();
    let mut truth = old.seed(user, &Seed::new(Folders::Odd, 600)).unwrap();
    let proxy = Proxy::start(old.addr()).await.unwrap();

    assert!(target.mailboxes(user).await.unwrap().is_empty());
    migrate(target, &proxy, user).await;
    assert_eq!(target.mailboxes(user).await.unwrap(), truth.counts());

    truth.add("Archive/Old", old.append(user, "Archive/Old", 3).unwrap());
    migrate(target, &proxy, user).await;
    assert_eq!(target.mailboxes(user).await.unwrap(), truth.counts());

    assert_eq!((proxy.total(), proxy.max_open()), (2, 1));
    assert_eq!(proxy.max_per_user(), [(user.to_owned(), 1)].into());
    assert!(proxy.overlaps().is_empty());
    poll_until("the source did not log two logins", DEADLINE, async || {
        let logins = old.logins().unwrap();
        if logins.len() == 2 { Ok(()) } else { Err(format!("{logins:?}")) }
    })
    .await
    .unwrap();

    target.forget(user).unwrap();
    assert!(target.mailboxes(user).await.unwrap().values().all(|c| *c == Count::default()));
}

#[tokio::test]
async fn all_mail_arrives_in_mdbox() {
    all_mail_arrives(Storage::Mdbox).await;
}

#[tokio::test]
async fn all_mail_arrives_in_sdbox() {
    all_mail_arrives(Storage::Sdbox).await;
}

#[tokio::test]
async fn all_mail_arrives_in_maildir() {
    all_mail_arrives(Storage::Maildir).await;
}
