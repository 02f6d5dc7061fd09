//! The file store's own formats: unit rows, and journals as a crash may leave them.

use bytes::Bytes;
use durable_streams_server::fuzz::{journals, unit_row};
use xxhash_rust::xxh3::xxh3_64;

use crate::input::Input;

/// Rows and journals of any bytes.
///
/// # Panics
/// When a row that decodes changes when it is encoded and decoded again; when the check of
/// journals loses a whole batch before the first torn byte, or cuts twice.
pub fn store(data: &[u8]) {
    let mut input = Input::new(data);
    if input.flag() { row(input.rest()) } else { journal(&mut input) }
}

fn row(row: &[u8]) {
    let Some(first) = unit_row(&Bytes::copy_from_slice(row)) else { return };
    let second = unit_row(&first).expect("what was encoded decodes");
    assert_eq!(first, second);
}

/// Writes whole batches and then anything, with the last byte of the file damaged or not.
fn journal(input: &mut Input<'_>) {
    let mut file = Vec::new();
    let whole = input.below(4);
    for _ in 0..whole {
        file.extend_from_slice(&batch(input));
    }
    let whole_len = file.len();
    let tail = match input.below(4) {
        // A batch cut short: what a crash leaves.
        0 => {
            let batch = batch(input);
            batch[..input.below(256).min(batch.len() - 1)].to_vec()
        }
        // Zeros: what preallocation leaves.
        1 => vec![0; input.below(256) * 40],
        // A damaged batch, with more behind it.
        2 => {
            let mut damaged = batch(input);
            let at = input.below(256) % damaged.len();
            damaged[at] ^= input.byte().max(1);
            if input.flag() {
                damaged.extend_from_slice(&batch(input));
            }
            damaged
        }
        _ => input.rest().to_vec(),
    };
    file.extend_from_slice(&tail);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("0.jnl");
    std::fs::write(&path, &file).expect("the journal is written");
    let Ok((batches, torn)) = journals(folder.path()) else {
        assert_eq!(std::fs::read(&path).expect("the journal"), file, "refused, so nothing is changed");
        return;
    };
    let left = std::fs::read(&path).expect("the journal");
    assert!(batches >= whole as u64, "{batches} of {whole} whole batches");
    assert!(left.len() >= whole_len && file.starts_with(&left), "only a tail is cut");
    if torn > 0 {
        let aside = folder.path().join(format!("0.torn-{}", left.len()));
        let aside = std::fs::read(aside).expect("the tail was set aside");
        assert_eq!(aside.len() as u64, torn);
        assert!(file[left.len()..].starts_with(&aside), "the tail is kept as it was");
        assert!(file[left.len() + aside.len()..].iter().all(|byte| *byte == 0), "only zeros were not worth keeping");
    } else {
        assert_eq!(left, file);
    }
    assert_eq!(journals(folder.path()), Ok((batches, 0)), "a second look finds the same batches and nothing torn");
}

/// A batch as the storage engine lays it out: Start, items, End with their hash.
fn batch(input: &mut Input<'_>) -> Vec<u8> {
    let mut items = Vec::new();
    let count = 1 + input.below(3) as u32;
    for _ in 0..count {
        if input.below(8) == 0 {
            items.push(4);
            items.extend_from_slice(&input.number().to_le_bytes());
            continue;
        }
        let (key, value) = (input.bytes(), input.bytes());
        items.extend_from_slice(&[2, input.byte(), input.byte() % 2]);
        items.extend_from_slice(&input.number().to_le_bytes());
        items.extend_from_slice(&(key.len() as u16).to_le_bytes());
        items.extend_from_slice(&(value.len() as u32).to_le_bytes());
        items.extend_from_slice(&(value.len() as u32).to_le_bytes());
        items.extend_from_slice(key);
        items.extend_from_slice(value);
    }
    let mut batch = vec![1];
    batch.extend_from_slice(&count.to_le_bytes());
    batch.extend_from_slice(&input.number().to_le_bytes());
    batch.extend_from_slice(&items);
    batch.push(3);
    batch.extend_from_slice(&xxh3_64(&items).to_le_bytes());
    batch.extend_from_slice(b"FJL\x03");
    batch
}
