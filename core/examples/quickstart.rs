//! Creates a stream, writes to it exactly once, reads it back and follows it to its end.
//! Brings its own server: `cargo run -p durable-streams-client --example quickstart`.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::{error::Error, time::Duration};

use durable_streams::{Client, CreateOptions, LiveMode, Offset, StreamError};
use durable_streams_server::server::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Any server will do; this one lives in memory on a free loopback port.
    let server = Server::builder().start().await?;

    let client = Client::builder().base_url(server.streams_url()).timeout(Duration::from_secs(30)).build()?;
    let tides = client.stream("tides");
    let options = CreateOptions::new().content_type("application/json").ttl(Duration::from_secs(900));
    match tides.create_with_options(options).await {
        Ok(()) | Err(StreamError::AlreadyExists) => {}
        Err(error) => return Err(error.into()),
    }

    // Batches in the background; a repeated request is stored once.
    let gauge = tides.producer("gauge-12").auto_claim(true).build()?;
    for cm in [112, 118, 121] {
        gauge.append(format!("{{\"cm\":{cm}}}"));
    }
    gauge.flush().await?;

    // What is there now, and from where to go on.
    let mut read = tides.read().offset(Offset::Beginning).live_mode(LiveMode::Off).build()?;
    while let Some(chunk) = read.next_chunk().await? {
        println!("{} -> {}", chunk.offset, String::from_utf8_lossy(&chunk.data));
    }

    // What comes, until the stream is closed.
    let mut tail = tides.read().offset(read.offset().clone()).live_mode(LiveMode::Auto).build()?;
    gauge.append(r#"{"cm":125}"#);
    gauge.close().await?;
    while let Some(chunk) = tail.next_chunk().await? {
        println!("{} -> {}", chunk.offset, String::from_utf8_lossy(&chunk.data));
    }
    server.stop().await;
    Ok(())
}
