//! Rows of the file store. A unit row holds one append with all that moves with it.
//!
//! Key: stream id, position; both big-endian, so that rows sort as the stream reads.
//! Value: flags, time, then the parts the flags name, then the data to the end.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use durable_streams_protocol::{
    offset::Position,
    produce::decide::{ProducerClaim, ProducerState},
};

use crate::store::{LaterUnit, StoreError, StreamId, UnitRecord};

/// Length of a unit key.
pub(super) const KEY_LEN: usize = 16;

const HAS_PRODUCER: u8 = 1;
const HAS_SEQ: u8 = 2;
const CLOSES: u8 = 4;

/// The key of the unit at a position.
pub(super) fn unit_key(stream: StreamId, at: Position) -> [u8; KEY_LEN] {
    let mut key = [0; KEY_LEN];
    key[..8].copy_from_slice(&stream.to_be_bytes());
    key[8..].copy_from_slice(&at.0.to_be_bytes());
    key
}

/// The position in a unit key.
pub(super) fn key_position(key: &[u8]) -> Result<Position, StoreError> {
    match key.last_chunk::<8>() {
        Some(position) if key.len() == KEY_LEN => Ok(Position(u64::from_be_bytes(*position))),
        _ => Err(StoreError::Failed("a unit key has the wrong length".to_owned())),
    }
}

/// The row of a unit, and where its data starts in it.
pub(super) fn encode_unit(unit: &UnitRecord) -> (Bytes, usize) {
    let extra = unit.producer.as_ref().map_or(0, |claim| claim.id.len() + 30)
        + unit.seq.as_ref().map_or(0, |seq| seq.len() + 10);
    let mut row = BytesMut::with_capacity(9 + extra + unit.data.len());
    let flags = (if unit.producer.is_some() { HAS_PRODUCER } else { 0 })
        | (if unit.seq.is_some() { HAS_SEQ } else { 0 })
        | (if unit.closes { CLOSES } else { 0 });
    row.put_u8(flags);
    row.put_u64(unit.time_unix_ms);
    if let Some(claim) = &unit.producer {
        put_varint(&mut row, claim.id.len() as u64);
        row.put_slice(&claim.id);
        put_varint(&mut row, claim.state.epoch);
        put_varint(&mut row, claim.state.seq);
    }
    if let Some(seq) = &unit.seq {
        put_varint(&mut row, seq.len() as u64);
        row.put_slice(seq);
    }
    let data_at = row.len();
    row.put_slice(&unit.data);
    (row.freeze(), data_at)
}

/// What a unit row changed, and its data.
pub(super) fn decode_unit(at: Position, row: &Bytes) -> Result<(LaterUnit, Bytes), StoreError> {
    let torn = || StoreError::Failed(format!("the unit row at {at} is malformed"));
    let mut rest = &row[..];
    let flags = rest.try_get_u8().map_err(|_| torn())?;
    let time_unix_ms = rest.try_get_u64().map_err(|_| torn())?;
    let producer = if flags & HAS_PRODUCER == 0 {
        None
    } else {
        let id = take_bytes(&mut rest).ok_or_else(torn)?;
        let epoch = take_varint(&mut rest).ok_or_else(torn)?;
        let seq = take_varint(&mut rest).ok_or_else(torn)?;
        Some(ProducerClaim { id, state: ProducerState { epoch, seq } })
    };
    let seq = if flags & HAS_SEQ == 0 { None } else { Some(take_bytes(&mut rest).ok_or_else(torn)?) };
    let data = row.slice(row.len() - rest.len()..);
    let unit = LaterUnit { at, len: data.len() as u64, producer, seq, closes: flags & CLOSES != 0, time_unix_ms };
    Ok((unit, data))
}

fn put_varint(row: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        row.put_u8((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    row.put_u8(value as u8);
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = rest.try_get_u8().ok()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take_bytes(rest: &mut &[u8]) -> Option<Box<[u8]>> {
    let len = usize::try_from(take_varint(rest)?).ok()?;
    let (bytes, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(bytes.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_reads_back_what_was_written(
            data in prop::collection::vec(any::<u8>(), 0..200),
            producer in prop::option::of((prop::collection::vec(any::<u8>(), 1..40), any::<u64>(), any::<u64>())),
            seq in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
            closes in any::<bool>(),
            time in any::<u64>(),
        ) {
            let unit = UnitRecord {
                stream: 7,
                at: Position(3),
                data: Bytes::from(data),
                producer: producer.map(|(id, epoch, seq)| ProducerClaim { id: id.into(), state: ProducerState { epoch, seq } }),
                seq: seq.map(Into::into),
                closes,
                time_unix_ms: time,
            };
            let (row, data_at) = encode_unit(&unit);
            prop_assert_eq!(&row[data_at..], &unit.data[..]);
            let (later, data) = decode_unit(unit.at, &row).expect("decodes");
            prop_assert_eq!(data, unit.data);
            prop_assert_eq!((later.producer, later.seq, later.closes, later.time_unix_ms), (unit.producer, unit.seq, unit.closes, unit.time_unix_ms));
        }

        #[test]
        fn garbage_is_an_error_never_a_panic(row in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode_unit(Position(0), &Bytes::from(row));
        }
    }
}
