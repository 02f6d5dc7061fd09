//! The examples of the client's documentation, as written there. Each is compiled with
//! its own URLs and run against an embedded server: only the URL is an argument.

#![cfg_attr(rustfmt, rustfmt_skip)]
#![allow(clippy::print_stdout, clippy::single_component_path_imports, clippy::use_self, dead_code, unused_imports)]

use durable_streams::{Offset, testing::TestServer};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

macro_rules! quick_start {
    ($url:expr) => {{
        use durable_streams::{Client, Offset};
        // Create client
        let client = Client::new();
        let stream = client.stream($url);
        // Create stream
        stream.create().await?;
        // Append data
        stream.append(b"{\"message\":\"hello\"}").await?;
        // Read with iterator
        let mut reader = stream.read()
            .offset(Offset::Beginning)
            .live_mode(durable_streams::LiveMode::LongPoll)
            .build()?;
        while let Some(chunk) = reader.next_chunk().await? {
            println!("Got {} bytes", chunk.data.len());
        }
        Ok(())
    }};
}

macro_rules! client_builder {
    ($url:expr) => {{
        use durable_streams::Client;
        use std::time::Duration;
        let client = Client::builder()
            .base_url($url)
            .timeout(Duration::from_secs(30))
            .header("Authorization", "Bearer token")
            .build()?;
        client
    }};
}

macro_rules! create_with_options {
    ($stream:ident) => {{
        use durable_streams::CreateOptions;
        use std::time::Duration;
        $stream.create_with_options(
            CreateOptions::new()
                .content_type("application/json")
                .ttl(Duration::from_secs(86400))
        ).await?;
    }};
}

macro_rules! append_json_and_bytes {
    ($stream:ident) => {{
        let stream = $stream;
        // JSON stream - serialize first
        use serde_json::json;
        let message = json!({"message": "hello"});
        let json = serde_json::to_vec(&message)?;
        let response = stream.append(&json).await?;
        println!("Offset: {:?}", response.next_offset);
        response
    }};
}

macro_rules! read_from_a_checkpoint {
    ($stream:ident, $last_offset:ident, $save_offset:ident) => {{
        let (stream, last_offset, save_offset) = ($stream, $last_offset, $save_offset);
        use durable_streams::{Offset, LiveMode};
        let mut reader = stream.read()
            .offset(last_offset)
            .live_mode(LiveMode::LongPoll)
            .build()?;
        while let Some(chunk) = reader.next_chunk().await? {
            println!("Got {} bytes at offset {:?}", chunk.data.len(), chunk.offset);
            // Save checkpoint
            save_offset(&chunk.offset).await?;
        }
    }};
}

macro_rules! producer {
    ($url:expr) => {{
        use durable_streams::{Producer, ProducerBuilder};
        let producer = Producer::builder()
            .url($url)
            .producer_id("order-service-1")
            .epoch(0)
            .auto_claim(true)
            .max_batch_bytes(1024 * 1024)
            .build()?;
        // Fire-and-forget writes
        producer.append(b"{\"orderId\":\"123\"}").await?;
        producer.append(b"{\"orderId\":\"456\"}").await?;
        // Ensure delivery
        producer.flush().await?;
        producer.close().await?;
        Ok(())
    }};
}

macro_rules! error_handling {
    ($stream:ident, $data:ident) => {{
        let (stream, data) = ($stream, $data);
        use durable_streams::StreamError;
        match stream.append(data).await {
            Ok(response) => println!("Appended at {:?}", response.next_offset),
            Err(StreamError::NotFound) => eprintln!("Stream not found"),
            Err(StreamError::Closed) => eprintln!("Stream is closed"),
            Err(StreamError::Conflict) => eprintln!("Conflict"),
            Err(e) => eprintln!("Error: {}", e),
        }
    }};
}

macro_rules! custom_http_client {
    () => {{
        use durable_streams::Client;
        use reqwest::Client as HttpClient;
        use std::time::Duration;
        let http_client = HttpClient::builder()
            .timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(10)
            .build()?;
        let client = Client::builder()
            .http_client(http_client)
            .build()?;
        client
    }};
}

mod serde_integration {
    use serde::{Deserialize, Serialize};
    use serde_json;

    #[derive(Debug, Serialize, Deserialize)]
    struct Event {
        id: String,
        event_type: String,
        data: serde_json::Value,
    }

    pub(crate) async fn run(stream: durable_streams::DurableStream) -> super::Result<()> {
        // Serialize and append
        let event = Event {
            id: "123".to_string(),
            event_type: "order.created".to_string(),
            data: serde_json::json!({"orderId": "456"}),
        };
        let json = serde_json::to_vec(&event)?;
        stream.append(&json).await?;
        // Read and deserialize
        let mut reader = stream.read().build()?;
        while let Some(chunk) = reader.next_chunk().await? {
            // Parse JSON array
            let events: Vec<Event> = serde_json::from_slice(&chunk.data)?;
            for event in events {
                println!("Event {}: {}", event.id, event.event_type);
            }
        }
        Ok(())
    }
}

mod tokio_streams {
    use futures::StreamExt;

    pub(crate) async fn run(stream: durable_streams::DurableStream) -> super::Result<()> {
        let mut reader = stream.read().build()?;
        while let Some(result) = reader.next_chunk().await.transpose() {
            match result {
                Ok(chunk) => {
                    // Process chunk
                    println!("Got {} bytes", chunk.data.len());
                }
                Err(e) => {
                    eprintln!("Error: {}", e);
                    break;
                }
            }
        }
        Ok(())
    }
}

mod error_context {
    pub(crate) async fn run(stream: durable_streams::DurableStream, data: &[u8]) -> anyhow::Result<()> {
        use anyhow::Context;
        stream.append(data).await
            .context("Failed to append to stream")?;
        Ok(())
    }
}

// Compiled as written, never run: nothing answers at these URLs.
async fn as_written() -> Result<()> {
    async fn quick_start() -> Result<()> {
        quick_start!("https://streams.example.com/my-stream")
    }
    async fn producer() -> Result<()> {
        producer!("https://streams.example.com/orders")
    }
    let _ = client_builder!("https://streams.example.com");
    quick_start().await?;
    producer().await
}

#[tokio::test]
async fn the_quick_start_runs_until_the_stream_is_closed() -> Result<()> {
    let server = TestServer::start().await?;
    let url = format!("{}/my-stream", server.base_url());
    let stream = server.client().stream("my-stream");
    let closes = async {
        // The example never ends by itself; somebody closes the stream once it has written.
        let empty = Offset::at("0000000000000000_0000000000000000");
        while !stream.head().await.is_ok_and(|head| head.offset > empty) {
            tokio::task::yield_now().await;
        }
        stream.close().await
    };
    async fn example(url: &str) -> Result<()> {
        quick_start!(url)
    }
    let (ran, closed) = tokio::join!(example(&url), closes);
    closed?;
    ran?;
    server.stop().await;
    Ok(())
}

#[tokio::test]
async fn options_appends_and_checkpoints_run() -> Result<()> {
    let server = TestServer::start().await?;
    let client = client_builder!(server.base_url());
    let stream = client.stream("orders");
    create_with_options!(stream);
    let stored = append_json_and_bytes!(stream);
    let stream = client.stream("orders");
    stream.append(b"[1,2]").await?;
    stream.close().await?;

    let saved = std::sync::Mutex::new(Vec::new());
    let save_offset = |offset: &Offset| {
        saved.lock().expect("not poisoned").push(offset.clone());
        async { Ok::<_, std::io::Error>(()) }
    };
    let last_offset = stored.next_offset.clone();
    let tail = stream.head().await?.offset;
    read_from_a_checkpoint!(stream, last_offset, save_offset);
    assert_eq!(saved.into_inner()?.last(), Some(&tail));
    server.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_producer_example_writes_each_order_once_and_ends_the_stream() -> Result<()> {
    let server = TestServer::start().await?;
    let url = format!("{}/orders", server.base_url());
    let stream = server.client().stream("orders");
    stream.create_with_options(durable_streams::CreateOptions::new().content_type("application/json")).await?;
    async fn example(url: &str) -> Result<()> {
        producer!(url)
    }
    example(&url).await?;
    let mut reader = stream.read().build()?;
    let chunk = reader.next_chunk().await?.expect("has data");
    assert_eq!(&chunk.data[..], br#"[{"orderId":"123"},{"orderId":"456"}]"#);
    assert!(stream.head().await?.closed);
    server.stop().await;
    Ok(())
}

mod whole_program {
    use durable_streams::{Client, CreateOptions, LiveMode, Offset, StreamError};
    use std::time::Duration;

    pub(crate) async fn run(base_url: &str) -> Result<(), Box<dyn std::error::Error>> {
        let client = Client::builder().base_url(base_url).build()?;
        let tides = client.stream("/tides");
        match tides
            .create_with_options(CreateOptions::new().content_type("application/json").ttl(Duration::from_secs(900)))
            .await
        {
            Ok(()) | Err(StreamError::AlreadyExists) => {}
            Err(e) => return Err(e.into()),
        }
        let gauge = tides.producer("gauge-12").auto_claim(true).build()?;
        for cm in [112, 118, 121] {
            gauge.append(format!("{{\"cm\":{cm}}}"));
        }
        gauge.flush().await?;
        gauge.detach().await?;

        let mut reader = tides.read().offset(Offset::Beginning).live_mode(LiveMode::Off).build()?;
        while let Some(chunk) = reader.next_chunk().await? {
            println!("{} -> {}", chunk.offset.as_str(), String::from_utf8_lossy(&chunk.data));
        }
        Ok(())
    }
}

#[tokio::test]
async fn the_whole_program_writes_three_messages_and_leaves_the_stream_open() -> Result<()> {
    let server = TestServer::start().await?;
    whole_program::run(&server.base_url()).await?;
    let stream = server.client().stream("tides");
    let chunk = stream.read().build()?.next_chunk().await?.expect("has data");
    assert_eq!(&chunk.data[..], br#"[{"cm":112},{"cm":118},{"cm":121}]"#);
    assert!(!stream.head().await?.closed);
    server.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_other_examples_run() -> Result<()> {
    let server = TestServer::start().await?;
    // The example builds its reqwest client itself, which needs a TLS provider in place.
    drop(durable_streams::http_client_builder());
    let client = custom_http_client!();
    let stream = client.stream(&format!("{}/events", server.base_url()));
    stream.create_with_options(durable_streams::CreateOptions::new().content_type("application/json")).await?;
    serde_integration::run(stream.clone()).await?;
    tokio_streams::run(stream.clone()).await?;
    error_context::run(stream.clone(), b"{}").await?;
    let data = b"{}";
    error_handling!(stream, data);
    let missing = server.client().stream("missing");
    let message = format!("{:#}", error_context::run(missing, b"{}").await.expect_err("missing"));
    assert!(message.starts_with("Failed to append to stream: stream not found"), "{message}");
    server.stop().await;
    Ok(())
}
