//! The API behind the server that the scheduler has, on a real socket.

use dmf_lab::poll_until;
use dmf_shared::{
    config::{Environment, Reader, Sources},
    ops::{
        Lifecycle,
        http::{ListenSettings, Server},
    },
};
use reqwest::{Client, Version};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::support::{ADMIN, Api, KEY, KEY_HEADER, PATIENCE, first};

/// A server of an API, which ends with it.
pub(crate) struct Wire {
    pub(crate) base: String,
    lifecycle: Lifecycle,
}

impl Wire {
    /// With settings of the listener, as YAML.
    pub(crate) async fn start(api: &Api, yaml: &str) -> Self {
        let no_variables: [(&str, &str); 0] = [];
        let text = format!("micronaut.server.host: 127.0.0.1\n{yaml}");
        let properties =
            Sources::default().load_text(&text, Environment::from_variables(no_variables)).unwrap();
        let mut reader = Reader::new(&properties);
        let mut settings = ListenSettings::read(&mut reader);
        reader.finish().unwrap();
        settings.address.set_port(0);
        let server = Server::bind(&settings).await.unwrap();
        let base = format!("http://{}", server.local_addr().unwrap());
        let lifecycle = Lifecycle::new();
        lifecycle.spawn("http", server.serve(api.router(), lifecycle.clone()));
        Self { base, lifecycle }
    }

    /// A socket to it, on which a test writes what it likes.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.base.strip_prefix("http://").unwrap()).await.unwrap()
    }

    /// What comes back for these bytes until the connection ends.
    async fn exchange(&self, bytes: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        String::from_utf8(answer).unwrap()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.lifecycle.hard().cancel();
    }
}

/// A client of each version of HTTP, the second with prior knowledge.
fn clients() -> [(Client, Version); 2] {
    let second = Client::builder().http2_prior_knowledge().build().unwrap();
    [(Client::new(), Version::HTTP_11), (second, Version::HTTP_2)]
}

#[tokio::test]
async fn both_versions_of_http_are_spoken() {
    let api = Api::start().await;
    api.furnish().await;
    let wire = Wire::start(&api, "").await;
    for (number, (client, version)) in clients().into_iter().enumerate() {
        let submit = client.post(format!("{}/dmf/api/v2/users/migrations", wire.base));
        let submit = submit.header(KEY_HEADER, KEY).json(&first(&format!("user{number}")));
        let answer = submit.send().await.unwrap();
        assert_eq!((answer.version(), answer.status().as_u16()), (version, 201));
        let bulk = client.post(format!("{}/dmf/api/v2/users/migrations/bulk", wire.base));
        let bulk = bulk.header(KEY_HEADER, KEY).header("content-type", "application/x-ndjson");
        let answer = bulk.body(first(&format!("bulk{number}")).to_string()).send().await.unwrap();
        let line: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(line["status"], "CREATED");
    }
}

#[tokio::test]
async fn head_is_get_without_a_body_in_both_versions() {
    let api = Api::start().await;
    api.furnish().await;
    let wire = Wire::start(&api, "").await;
    for (client, _) in clients() {
        for path in ["/dmf/admin/api/v2/sources", "/dmf/admin/api/v2/sources/none", "/swagger-ui", "/health"]
        {
            let url = format!("{}{path}", wire.base);
            let get = client.get(&url).header("authorization", ADMIN).send().await.unwrap();
            let head = client.head(&url).header("authorization", ADMIN).send().await.unwrap();
            assert_eq!(head.status(), get.status(), "{path}");
            for header in ["content-type", "content-length"] {
                assert_eq!(head.headers().get(header), get.headers().get(header), "{header} of {path}");
            }
            assert_eq!(head.text().await.unwrap(), "", "{path}");
        }
    }
    let head = "HEAD /dmf/admin/api/v2/sources HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = wire.exchange(head).await;
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_uri_and_headers_have_their_longest() {
    let api = Api::start().await;
    let wire = Wire::start(&api, "").await;
    for (client, _) in clients() {
        let ask = async |path: String, header: String| {
            let call = client.get(format!("{}{path}", wire.base)).header("authorization", ADMIN);
            call.header("x-long", header).send().await.unwrap()
        };
        let fits = ask(format!("/{}", "x".repeat(8191)), String::new()).await;
        assert_eq!(fits.status().as_u16(), 404);
        let long = ask(format!("/?{}", "x".repeat(8191)), String::new()).await;
        assert_eq!(long.status().as_u16(), 414);
        let body: Value = long.json().await.unwrap();
        assert_eq!(
            (&body["message"], &body["_embedded"]["errors"][0]["message"]),
            (&json!("URI Too Long"), &json!("The URI must not exceed 8 KiB"))
        );
        assert_eq!(ask("/health".to_owned(), "x".repeat(20_000)).await.status().as_u16(), 431);
    }
}

/// A bulk submit whose client sends for as long as the server takes something, and never reads.
async fn send_without_reading(wire: &Wire) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = wire.base.strip_prefix("http://").unwrap().parse().unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let head = format!(
        "POST /dmf/api/v2/users/migrations/bulk HTTP/1.1\r\nHost: x\r\n{KEY_HEADER}: {KEY}\r\n\
         Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // A line is short, and its result long: everything is wrong with it.
    let wrong: serde_json::Map<_, _> = (0..99).map(|number| (format!("{number}"), json!(1))).collect();
    let lines = format!("{}\n", Value::Object(wrong)).repeat(50);
    let chunk = format!("{:x}\r\n{lines}\r\n", lines.len());
    // Each piece has its own time: a busy machine needs long until the buffers on the way are full.
    let send = async |stream: &mut TcpStream| {
        let sent = tokio::time::timeout(PATIENCE, stream.write_all(chunk.as_bytes())).await;
        sent.expect("the server neither reads nor ends the connection").is_ok()
    };
    while send(&mut stream).await {}
}

#[tokio::test]
async fn a_bulk_whose_results_nobody_reads_is_given_up_and_its_place_is_free() {
    let api = Api::start_with("dmf.http.max-bulk-requests: 1\n").await;
    api.furnish().await;
    let wire = Wire::start(&api, "dmf.http.write-timeout: 1s\n").await;
    send_without_reading(&wire).await;
    let client = Client::new();
    poll_until("the place of the bulk is not free", PATIENCE, async || {
        let bulk = client.post(format!("{}/dmf/api/v2/users/migrations/bulk", wire.base));
        let bulk = bulk.header(KEY_HEADER, KEY).header("content-type", "application/x-ndjson");
        let status = bulk.send().await.map_err(|error| error.to_string())?.status();
        if status == 200 { Ok(()) } else { Err(status.to_string()) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_bulk_that_breaks_off_leaves_whole_batches_and_a_repeat_completes_it() {
    let api = Api::start_with("dmf.http.max-bulk-requests: 1\n").await;
    api.furnish().await;
    let wire = Wire::start(&api, "").await;
    // One batch has 500 lines.
    let lines: Vec<_> = (0..600).map(|number| format!("{}\n", first(&format!("user{number}")))).collect();
    let lines = lines.concat();
    let head = format!(
        "POST /dmf/api/v2/users/migrations/bulk HTTP/1.1\r\nHost: x\r\n{KEY_HEADER}: {KEY}\r\n\
         Content-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n{lines}",
        lines.len() + 1000
    );
    let mut stream = wire.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    drop(stream);
    let client = Client::new();
    let submit = || {
        let bulk = client.post(format!("{}/dmf/api/v2/users/migrations/bulk", wire.base));
        bulk.header(KEY_HEADER, KEY).header("content-type", "application/x-ndjson")
    };
    // Its place is free once it has ended.
    poll_until("the bulk that broke off goes on", PATIENCE, async || {
        let status = submit().send().await.map_err(|error| error.to_string())?.status();
        if status == 200 { Ok(()) } else { Err(status.to_string()) }
    })
    .await
    .unwrap();
    let users = api.customer("GET", "/users?limit=1000", Value::Null).await.expect(200);
    let left = users["users"].as_array().unwrap().len();
    assert!([0, 500, 600].contains(&left), "{left}");
    let repeated = submit().body(lines).send().await.unwrap().text().await.unwrap();
    let count = |status: &str| repeated.lines().filter(|line| line.contains(status)).count();
    assert_eq!((count("EXISTS"), count("CREATED")), (left, 600 - left));
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_given_up() {
    let api = Api::start().await;
    let wire = Wire::start(&api, "").await;
    let stream = wire.connect().await;
    let (mut reader, mut writer) = stream.into_split();
    let head = format!(
        "POST /dmf/admin/api/v2/targets HTTP/1.1\r\nHost: x\r\nAuthorization: {ADMIN}\r\n\
         Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    );
    writer.write_all(head.as_bytes()).await.unwrap();
    let trickle = async {
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        std::future::pending::<()>().await;
    };
    let answer = async {
        let mut answer = Vec::new();
        // The connection ends with a reset when bytes come that nobody reads.
        let _ = reader.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    };
    let answer = tokio::time::timeout(PATIENCE, async {
        tokio::select! {
            answer = answer => answer,
            () = trickle => unreachable!(),
        }
    });
    assert!(answer.await.unwrap().starts_with("HTTP/1.1 408 "));
}
