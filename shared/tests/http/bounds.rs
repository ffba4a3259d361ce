//! What a single client can take up.

use axum::body::Body;
use hyper::{Request, client::conn::http2};
use hyper_util::rt::TokioExecutor;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    client::{Http2, Raw, text},
    support::{Running, soon},
};

const SHORT: &str = "dmf.http: {idle-timeout: 1s, max-header-size: 4KB}\n";

#[tokio::test]
async fn who_sends_a_head_byte_by_byte_is_cut_off() {
    let server = Running::start(SHORT).await;
    let (mut reader, mut writer) = TcpStream::connect(server.address).await.unwrap().into_split();
    writer.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ").await.unwrap();
    let trickle = async {
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let ended = async {
        let mut bytes = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut bytes).await;
        bytes
    };
    let answer = soon("the server waits for ever", async {
        tokio::select! {
            () = trickle => Vec::new(),
            bytes = ended => bytes,
        }
    })
    .await;
    assert!(!String::from_utf8_lossy(&answer).contains("200"), "{answer:?}");
}

#[tokio::test]
async fn sockets_that_say_nothing_are_closed() {
    let server = Running::start(SHORT).await;
    let mut silent = Raw::open(server.address).await;
    let mut undecided = Raw::open(server.address).await;
    undecided.send("PRI * HT").await;
    let mut kept = Raw::open(server.address).await;
    kept.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(silent.read_to_end().await, "");
    assert_eq!(undecided.read_to_end().await, "");
    let answer = kept.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("here"), "{answer}");
}

#[tokio::test]
async fn an_idle_connection_of_http2_is_closed_and_a_busy_one_is_not() {
    let server = Running::start(SHORT).await;
    let idle = Http2::over(TcpStream::connect(server.address).await.unwrap()).await;
    assert_eq!(text(idle.get("/").await.unwrap()).await, "here");
    let busy = Http2::over(TcpStream::connect(server.address).await.unwrap()).await;
    let answer = busy.get("/slow");
    let release = async {
        server.asked.notified().await;
        idle.ended().await;
        server.release.notify_one();
    };
    let (answer, ()) = tokio::join!(answer, release);
    assert_eq!(text(answer.unwrap()).await, "at last");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431_in_both_versions() {
    let server = Running::start(SHORT).await;
    let large = "x".repeat(5000);
    let mut raw = Raw::open(server.address).await;
    raw.send(&format!("GET / HTTP/1.1\r\nHost: x\r\nX-Large: {large}\r\n\r\n")).await;
    assert!(raw.read_to_end().await.starts_with("HTTP/1.1 431 "));
    let http2 = Http2::over(TcpStream::connect(server.address).await.unwrap()).await;
    let request = Request::get("http://localhost/").header("x-large", large).body(Body::empty()).unwrap();
    assert_eq!(http2.send(request).await.unwrap().status(), 431);
}

#[tokio::test]
async fn beyond_the_most_connections_the_next_waits_for_one_to_end() {
    let server = Running::start("dmf.http.max-connections: 16\n").await;
    let mut taken = Vec::new();
    for _ in 0..16 {
        let mut raw = Raw::open(server.address).await;
        raw.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(raw.read_until("here").await.starts_with("HTTP/1.1 200"));
        taken.push(raw);
    }
    let mut next = Raw::open(server.address).await;
    next.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut byte = [0];
    assert!(next.0.try_read(&mut byte).is_err(), "answered beyond the limit");
    drop(taken.pop());
    assert!(next.read_until("here").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_that_never_reads_is_given_up() {
    let server = Running::start("dmf.http.write-timeout: 1s\n").await;
    let mut raw = Raw::open(server.address).await;
    // Answers pile up in the buffers of both sides until the server can write no more, and then it reads no more.
    let request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    // Each piece has its own time: a busy machine needs long until the buffers are full.
    let what = "the server neither reads nor ends the connection";
    while soon(what, raw.0.write_all(request.as_bytes())).await.is_ok() {}
}

#[tokio::test]
async fn so_is_one_of_http2_that_makes_no_room_for_its_answer() {
    let server = Running::start("dmf.http.write-timeout: 1s\n").await;
    let mut settings = http2::Builder::new(TokioExecutor::new());
    settings.initial_stream_window_size(0);
    let stream = TcpStream::connect(server.address).await.unwrap();
    let client = Http2::with(stream, &settings).await;
    let answer = client.get("/").await.unwrap();
    assert_eq!(answer.status(), 200);
    client.ended().await;
    drop(answer);
}

#[tokio::test]
async fn head_is_answered_without_a_body_in_both_versions() {
    let server = Running::start("").await;
    for (path, length) in [("/", "4"), ("/nothing", "7")] {
        let mut raw = Raw::open(server.address).await;
        raw.send(&format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
        let answer = raw.read_to_end().await.to_lowercase();
        assert!(answer.contains(&format!("content-length: {length}\r\n")), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        let http2 = Http2::over(TcpStream::connect(server.address).await.unwrap()).await;
        let request = Request::head(format!("http://localhost{path}")).body(Body::empty()).unwrap();
        let answer = http2.send(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-length"], length);
        assert_eq!(text(answer).await, "");
    }
}
