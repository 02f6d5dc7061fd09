//! Answers that are handed out in pieces, and batches that consist of pieces.

use super::*;

#[test]
fn very_large_answers_come_in_pieces_that_do_not_move_the_offset() {
    let mut rig = Rig::new(ReadOptions { max_batch_bytes: 4, ..ReadOptions::new("5".into(), LiveMode::Off) });
    rig.sends();
    rig.head(200, &[TEXT, next("9"), UP_TO_DATE]);
    rig.piece("abc");
    rig.awaits();
    rig.piece("def");
    assert_eq!(rig.takes(), taken("abcdef", "5", false, false));
    // The connection breaks: what was handed out is not handed out again.
    rig.piece("g");
    rig.fails(TransportFailureKind::Broken);
    assert_eq!(rig.sends_after_waiting().1, "offset=5");
    rig.head(200, &[TEXT, next("9"), UP_TO_DATE]);
    rig.piece("abcd");
    rig.awaits();
    rig.piece("efghi");
    rig.end();
    assert_eq!(rig.takes(), taken("ghi", "9", true, false));
    assert!(rig.has_ended());
}

#[test]
fn pieces_of_what_will_not_be_whole_are_quick_to_handle() {
    const MIB: usize = 1 << 20;
    let lens = |length: Option<&str>, body_bytes: usize| {
        let mut rig = Rig::new(ReadOptions { max_batch_bytes: 3 * MIB, ..ReadOptions::new("5".into(), LiveMode::Off) });
        rig.sends();
        let mut headers = vec![TEXT, next("9"), UP_TO_DATE];
        headers.extend(length.map(|length| ("content-length", length)));
        rig.head(200, &headers);
        let (part, mut lens) = (vec![b'x'; MIB / 2], Vec::new());
        for _ in 0..body_bytes / part.len() {
            rig.bytes(&part);
            if let Step::Emit(ReadEvent::Batch(batch)) = rig.poll() {
                assert_eq!(batch.next_offset.as_str(), "5");
                lens.push(batch.byte_len());
            }
        }
        rig.end();
        let last = rig.batch();
        assert_eq!((last.next_offset.as_str(), last.up_to_date), ("9", true));
        lens.push(last.byte_len());
        lens
    };
    assert_eq!(lens(Some("3145728"), 3 * MIB), [3 * MIB]);
    assert_eq!(lens(Some("2621440"), 5 * MIB / 2), [5 * MIB / 2]);
    assert_eq!(lens(Some("5767168"), 11 * MIB / 2), [MIB, MIB, MIB, MIB, MIB, MIB / 2]);
    // Nobody knew how much it would be.
    assert_eq!(lens(None, 11 * MIB / 2), [3 * MIB, MIB, MIB, MIB / 2]);
    // Nobody knew that this was the end.
    assert_eq!(lens(None, 3 * MIB), [3 * MIB, 0]);
}

#[test]
fn a_caller_who_wants_pieces_gets_bytes_in_pieces_and_json_whole() {
    let large = "x".repeat(100_000);
    let mut rig =
        Rig::new(ReadOptions { vectored: true, prefetch: false, ..ReadOptions::new("5".into(), LiveMode::Off) });
    rig.sends();
    rig.head(200, &[TEXT, next("9")]);
    rig.piece(&large);
    rig.piece(&large);
    rig.piece("end");
    rig.end();
    let batch = rig.batch();
    assert_eq!(batch.pieces().map(|piece| piece.len()).collect::<Vec<_>>(), [100_000, 100_000, 3]);
    assert_eq!((batch.byte_len(), batch.next_offset.as_str(), batch.is_empty), (200_003, "9", false));
    rig.sends();
    rig.answers(200, &[TEXT, next("9"), UP_TO_DATE], "");
    let batch = rig.batch();
    assert_eq!((batch.byte_len(), batch.rest.len(), batch.is_empty), (0, 0, true));

    let mut rig =
        Rig::new(ReadOptions { vectored: true, prefetch: false, ..ReadOptions::new("5".into(), LiveMode::Off) });
    rig.sends();
    rig.head(200, &[JSON, next("9"), UP_TO_DATE]);
    rig.piece(&format!("[\"{large}\""));
    rig.piece(&format!(",\"{large}\"]"));
    rig.end();
    let batch = rig.batch();
    assert_eq!((batch.data.len(), batch.rest.len(), batch.is_json), (200_007, 0, true));
}

#[test]
fn pieces_that_were_handed_out_are_not_handed_out_again() {
    let options =
        ReadOptions { vectored: true, max_batch_bytes: 150_000, ..ReadOptions::new("5".into(), LiveMode::Off) };
    let mut rig = Rig::new(options);
    let body: Vec<u8> = (0..400_000_u32).flat_map(|at| at.to_le_bytes()).take(400_000).collect();
    let mut taken = Vec::new();
    let mut takes = |batch: Batch| {
        batch.pieces().for_each(|piece| taken.extend_from_slice(piece));
        batch.next_offset.as_str().to_owned()
    };
    rig.sends();
    rig.head(200, &[TEXT, next("9"), UP_TO_DATE]);
    rig.bytes(&body[..100_000]);
    rig.bytes(&body[100_000..200_000]);
    assert_eq!(takes(rig.batch()), "5");
    rig.bytes(&body[200_000..250_000]);
    rig.fails(TransportFailureKind::Broken);
    rig.sends_after_waiting();
    rig.head(200, &[TEXT, next("9"), UP_TO_DATE]);
    rig.bytes(&body[..199_999]);
    rig.bytes(&body[199_999..]);
    // What exceeds the bound goes at once, and the end has nothing left but its offset.
    assert_eq!(takes(rig.batch()), "5");
    rig.end();
    assert_eq!(takes(rig.batch()), "9");
    assert_eq!(taken, body);
    assert!(rig.has_ended());
}
