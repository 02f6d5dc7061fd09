//! Arguments that must be refused before anything is sent.

use durable_streams::{Client, RetryPolicy, producer::BatchNumbers, protocol::retry::RetryNumbers};

use crate::{
    command::Command,
    outcome::{Outcome, Problem, success},
};

pub(crate) fn validate(command: &Command) -> Outcome {
    let target = &command.target;
    let number = |key: &str| target[key].as_f64();
    match target["target"].as_str() {
        Some("retry-options") => {
            let numbers = RetryNumbers {
                max_retries: number("maxRetries"),
                initial_delay_ms: number("initialDelayMs"),
                max_delay_ms: number("maxDelayMs"),
                multiplier: number("multiplier"),
            };
            let policy = numbers.check(&RetryPolicy::DEFAULT).map_err(Problem::invalid)?;
            Client::builder().base_url("http://127.0.0.1:9").retry(policy).build()?;
        }
        Some("idempotent-producer") => {
            let numbers = BatchNumbers {
                epoch: number("epoch"),
                max_batch_bytes: number("maxBatchBytes"),
                max_batch_items: number("maxBatchItems"),
                max_in_flight: number("maxInFlight"),
                linger_ms: number("lingerMs"),
            };
            let client = Client::builder().base_url("http://127.0.0.1:9").build()?;
            let id = target["producerId"].as_str().unwrap_or("validated");
            client.stream("unused").producer(id).content_type("text/plain").numbers(numbers).build()?;
        }
        other => return Err(Problem::not_supported(format!("there is no target {other:?}"))),
    }
    Ok(success("validate"))
}
