//! The proxy counts what really happens, and every fault is seen by the client.

#![allow(clippy::disallowed_methods, reason = "a test's own server ends with its runtime")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, in its own functions too")]

mod support;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use dmf_lab::{EventKind, Lab, Proxy, poll_until};
use support::{DEADLINE, Imap};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const SHORT: Duration = Duration::from_millis(50);

/// A server that sends back what it gets, and ends its side when the client ends its own.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                drop(tokio::io::copy(&mut from, &mut to).await);
                drop(to.shutdown().await);
            });
        }
    });
    addr
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.addr()).await.unwrap()
}

async fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// Reads exactly this text.
async fn hear(stream: &mut TcpStream, text: &str) {
    let mut heard = vec![0; text.len()];
    timeout(DEADLINE, stream.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), text);
}

/// Nothing comes for a while.
async fn hear_nothing(stream: &mut TcpStream) {
    assert!(timeout(SHORT, stream.read_u8()).await.is_err());
}

/// The connection is reset.
async fn hear_reset(stream: &mut TcpStream) {
    let error = loop {
        match timeout(DEADLINE, stream.read(&mut [0; 1024])).await.unwrap() {
            Ok(0) => panic!("ended in order"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn bytes_pass_both_ways_also_when_one_is_ended() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = connect(&proxy).await;
    let (mut from, mut to) = stream.split();
    let sent: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let mut arrived = Vec::new();
    let speak = async {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let ((), outcome) = tokio::join!(speak, timeout(DEADLINE, from.read_to_end(&mut arrived)));
    outcome.unwrap().unwrap();
    assert!(sent == arrived);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_one_after_the_other_are_never_two() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    for _ in 0..300 {
        let mut stream = connect(&proxy).await;
        // Unread bytes hide the end of the stream from a reader.
        say(&mut stream, "a LOGIN alice pw\r\nmore and more\r\n").await;
    }
    poll_until("not all connections were counted", DEADLINE, async || {
        if proxy.total() == 300 && proxy.open() == 0 { Ok(()) } else { Err(proxy.total()) }
    })
    .await
    .unwrap();
    assert_eq!(proxy.max_open(), 1);
    assert_eq!(proxy.max_per_user(), [("alice".to_owned(), 1)].into());
}

#[tokio::test]
async fn connections_at_the_same_time_are_counted_by_user() {
    let lab = Lab::builder().source("old").start().await.unwrap();
    let old = lab.source("old");
    old.add_user("alice", "pw").unwrap();
    let proxy = Proxy::start_on([127, 0, 0, 2].into(), old.addr()).await.unwrap();
    let mut open = Vec::new();
    for command in ["LOGIN alice pw", "LOGIN alice*master masterpw", "LOGIN bob pw", "NOOP"] {
        let mut imap = Imap::connect(proxy.addr()).await;
        imap.command(command).await;
        open.push(imap);
    }
    assert_eq!((proxy.open(), proxy.max_open(), proxy.total()), (4, 4, 4));
    assert_eq!(proxy.max_per_user(), [("alice".to_owned(), 2), ("bob".to_owned(), 1)].into());
    assert_eq!(proxy.overlaps(), [("alice".to_owned(), 2)].into());
    drop(open);
    poll_until("not all connections were counted out", DEADLINE, async || {
        if proxy.open() == 0 { Ok(()) } else { Err(proxy.open()) }
    })
    .await
    .unwrap();
    assert_eq!(proxy.max_open(), 4);

    let events = proxy.events();
    let of = |kind| events.iter().filter(|e| e.kind == kind).count();
    assert_eq!((of(EventKind::Open), of(EventKind::User), of(EventKind::Close)), (4, 3, 4));
    assert_eq!(events.last().map(|e| e.open), Some(0));
    assert!(events.is_sorted_by_key(|e| e.at));
}

#[tokio::test]
async fn a_cut_line_resets_refuses_and_heals() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut streams = [connect(&proxy).await, connect(&proxy).await];
    for stream in &mut streams {
        say(stream, "x").await;
        hear(stream, "x").await;
    }
    proxy.cut().await.unwrap();
    for stream in &mut streams {
        hear_reset(stream).await;
    }
    assert_eq!(proxy.open(), 0);
    let refused = TcpStream::connect(proxy.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    proxy.heal().await.unwrap();
    let mut stream = connect(&proxy).await;
    say(&mut stream, "again").await;
    hear(&mut stream, "again").await;
}

#[tokio::test]
async fn a_stalled_line_keeps_everything_until_it_goes_on() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut old = connect(&proxy).await;
    say(&mut old, "before").await;
    hear(&mut old, "before").await;
    proxy.stall(true);
    let mut new = connect(&proxy).await;
    say(&mut old, "old").await;
    say(&mut new, "new").await;
    hear_nothing(&mut old).await;
    hear_nothing(&mut new).await;
    proxy.stall(false);
    hear(&mut old, "old").await;
    hear(&mut new, "new").await;
}

#[tokio::test]
async fn a_hanging_server_never_answers_those_who_came_then() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    proxy.hang(true);
    let mut hung = connect(&proxy).await;
    say(&mut hung, "anybody?").await;
    hear_nothing(&mut hung).await;
    proxy.heal().await.unwrap();
    let mut served = connect(&proxy).await;
    say(&mut served, "hello").await;
    hear(&mut served, "hello").await;
    hear_nothing(&mut hung).await;
}

#[tokio::test]
async fn a_connection_is_cut_after_so_many_bytes() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    proxy.cut_after_bytes(Some(5));
    let mut stream = connect(&proxy).await;
    say(&mut stream, "123").await;
    hear(&mut stream, "123").await;
    say(&mut stream, "456").await;
    hear_reset(&mut stream).await;
    proxy.cut_after_bytes(None);
    let mut stream = connect(&proxy).await;
    say(&mut stream, "123456").await;
    hear(&mut stream, "123456").await;
}

#[tokio::test]
async fn slow_lines_lose_nothing() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    proxy.set_latency(Duration::from_millis(20));
    proxy.set_rate(Some(200_000));
    let mut stream = connect(&proxy).await;
    let text = "0123456789".repeat(2_000);
    say(&mut stream, &text).await;
    hear(&mut stream, &text).await;
    // A change counts at once, also for what is on its way.
    proxy.set_latency(Duration::from_hours(1));
    say(&mut stream, "late").await;
    hear_nothing(&mut stream).await;
    proxy.heal().await.unwrap();
    hear(&mut stream, "late").await;
}

#[tokio::test]
async fn a_server_that_is_down_shows_as_a_reset() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxy = Proxy::start(nobody).await.unwrap();
    hear_reset(&mut connect(&proxy).await).await;
}

#[tokio::test]
async fn a_dropped_proxy_takes_its_connections_with_it() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = connect(&proxy).await;
    say(&mut stream, "x").await;
    hear(&mut stream, "x").await;
    drop(proxy);
    let end = timeout(DEADLINE, stream.read(&mut [0; 8])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)));
}
