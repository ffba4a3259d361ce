//! The end of the server.

use std::time::Duration;

use dmf_shared::ops::lifecycle::Ending;
use tokio::net::TcpStream;

use crate::{
    client::{Http2, Raw, text},
    support::{Running, soon},
};

#[tokio::test]
async fn what_is_being_answered_is_answered_and_nobody_new_is_heard() {
    let server = Running::start("").await;
    let mut idle = Raw::open(server.address).await;
    idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    idle.read_until("here").await;
    let mut slow = Raw::open(server.address).await;
    slow.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.asked.notified().await;
    let http2 = Http2::over(TcpStream::connect(server.address).await.unwrap()).await;
    let answer = http2.get("/slow");
    let stop = async {
        server.asked.notified().await;
        server.lifecycle.stop();
        assert_eq!(idle.read_to_end().await, "", "an idle connection ends");
        soon("the port is still open", async {
            while TcpStream::connect(server.address).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        server.release.notify_waiters();
    };
    let (answer, ()) = tokio::join!(answer, stop);
    assert_eq!(text(answer.unwrap()).await, "at last");
    let answer = slow.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("at last"), "{answer}");
    drop(http2);
    assert_eq!(server.lifecycle.shutdown(Duration::from_secs(20)).await, Ending::Drained);
}

#[tokio::test]
async fn the_hard_stop_ends_what_is_never_answered() {
    let server = Running::start("").await;
    let mut slow = Raw::open(server.address).await;
    slow.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.asked.notified().await;
    assert_eq!(server.lifecycle.shutdown(Duration::ZERO).await, Ending::Aborted);
    assert_eq!(slow.read_to_end().await, "");
}
