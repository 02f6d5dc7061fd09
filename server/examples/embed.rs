//! A server inside another program: `cargo run -p durable-streams-serve --example embed -- [DATA_DIR]`.
//! Without a directory the streams live in memory.

use durable_streams_server::server::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let builder = match std::env::args_os().nth(1) {
        Some(directory) => Server::builder().data_dir(directory),
        None => Server::builder().memory(),
    };
    let server = builder.start().await?;
    #[expect(clippy::print_stdout, reason = "the URL is this example's output")]
    {
        println!("streams live below {}", server.streams_url());
    }
    tokio::signal::ctrl_c().await?;
    server.stop().await;
    Ok(())
}
