//! Measures the JSON splitter against two other ways to do its job: `sonic-rs`, a
//! SIMD parser with lazy arrays, and `serde_json` with raw values. All three check the
//! grammar and find message boundaries without building values.
//!
//! `cargo run --release -p durable-streams-protocol --example bench_json`

// A benchmark reads the clock and prints; the library does neither.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::{
    fmt::Write,
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::Bytes;
use durable_streams_protocol::json_mode;
use serde_json::value::RawValue;

fn main() {
    let inputs = [
        ("10,000 objects of 100 bytes, one array", objects(10_000)),
        ("the same, pretty-printed", pretty(&objects(10_000))),
        ("long strings with escapes", strings(2_000)),
        ("numbers", numbers(100_000)),
        ("one object of 100 bytes", objects(1)[1..101].into()),
    ];
    println!(
        "MB/s, the fastest of 300 alternating runs. `split` also writes the stored form; the next three only check the"
    );
    println!("grammar and find the boundaries; `memcpy` is one copy of the input.");
    println!("| input | bytes | split | validate | sonic-rs | serde_json | memcpy |");
    println!("|---|---|---|---|---|---|---|");
    for (name, text) in inputs {
        let body = Bytes::from(text);
        let jobs: [fn(&Bytes) -> u64; 5] = if body[0] == b'[' {
            [split, validate_array, sonic_array, serde_array, copy]
        } else {
            [split, validate_item, sonic_item, serde_item, copy]
        };
        print!("| {name} | {} |", body.len());
        for time in times(&body, jobs) {
            print!(" {:.0} |", body.len() as f64 / time.as_secs_f64() / 1e6);
        }
        println!();
    }
}

fn split(body: &Bytes) -> u64 {
    // Held elsewhere too, as a body cut from a network buffer is: one copy is due.
    black_box(json_mode::split(body.clone()).unwrap()).message_count
}

fn validate_array(body: &Bytes) -> u64 {
    json_mode::validate_array(body).unwrap()
}

fn validate_item(body: &Bytes) -> u64 {
    json_mode::validate_item(body).map(|()| 1).unwrap()
}

fn sonic_array(body: &Bytes) -> u64 {
    sonic_rs::to_array_iter(&body[..]).map(|element| element.unwrap().as_raw_str().len() as u64).sum()
}

fn sonic_item(body: &Bytes) -> u64 {
    sonic_rs::from_slice::<sonic_rs::LazyValue<'_>>(body).unwrap().as_raw_str().len() as u64
}

fn serde_array(body: &Bytes) -> u64 {
    serde_json::from_slice::<Vec<&RawValue>>(body).unwrap().len() as u64
}

fn serde_item(body: &Bytes) -> u64 {
    serde_json::from_slice::<&RawValue>(body).unwrap().get().len() as u64
}

fn copy(body: &Bytes) -> u64 {
    Bytes::copy_from_slice(body).len() as u64
}

/// Time per call of each job: the fastest of 300 runs of about 1 ms, the jobs in turn. The
/// fastest, because whatever else the machine does can only make a run slower.
fn times<const JOBS: usize>(body: &Bytes, jobs: [fn(&Bytes) -> u64; JOBS]) -> [Duration; JOBS] {
    let rounds = u32::try_from(1_000_000 / body.len()).unwrap_or(0).max(1);
    let mut fastest = [Duration::MAX; JOBS];
    for _ in 0..300 {
        for (job, fastest) in jobs.into_iter().zip(&mut fastest) {
            let start = Instant::now();
            for _ in 0..rounds {
                black_box(job(black_box(body)));
            }
            *fastest = start.elapsed().min(*fastest);
        }
    }
    fastest.map(|time| time / rounds)
}

/// An array of objects of 100 bytes each, every one different.
fn objects(count: usize) -> Vec<u8> {
    let mut text = String::from("[");
    let mut random = 1u32;
    for index in 0..count {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let kind = ["click", "view", "purchase"][random as usize >> 16 & 1];
        let mut object = format!(
            r#"{{"id":{index},"type":"{kind}","user":"u{}","value":{:.2},"ok":{},"note":""#,
            random >> 12,
            f64::from(random >> 8) / 1000.0,
            random & 0x1000 == 0,
        );
        while object.len() < 98 {
            object.push('x');
        }
        object.push_str("\"}");
        text.push_str(&object);
        text.push(',');
    }
    text.pop();
    text.push(']');
    text.into()
}

fn pretty(text: &[u8]) -> Vec<u8> {
    serde_json::to_vec_pretty(&serde_json::from_slice::<serde_json::Value>(text).unwrap()).unwrap()
}

fn strings(count: usize) -> Vec<u8> {
    let prose =
        "A line of text that someone wrote, with a \\\"quoted\\\" word and a break.\\n Grüße aus Köln! ".repeat(6);
    let messages: Vec<_> = (0..count).map(|index| format!(r#"{{"n":{index},"text":"{prose}"}}"#)).collect();
    format!("[{}]", messages.join(",")).into()
}

fn numbers(count: u32) -> Vec<u8> {
    let mut text = String::from("[");
    let mut random = 1u32;
    for _ in 0..count / 4 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let value = f64::from(random);
        write!(text, "[{:.6},{random},-{:e},{}],", value / 1e7, value / 1e3, random >> 20).unwrap();
    }
    text.pop();
    text.push(']');
    text.into()
}
