//! The judge is judged: everything that must be noticed is.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::judge::{Book, Write, bounded, keeps_secrets, read_right, waits};
use crate::{proxy::record::Exchange, scenario::Stored};

fn book(stored: Stored) -> Book {
    let mut book = Book::of("application/json");
    let numbers = book.write(3, 0);
    book.note(Write { line: 7, first: numbers.start, end: numbers.end, stored });
    book
}

fn request(at: Instant) -> Exchange {
    Exchange {
        at,
        method: "POST".to_owned(),
        path: "/a".to_owned(),
        query: String::new(),
        headers: vec![("x-token".to_owned(), "s".to_owned())],
        body: Bytes::from_static(b"m"),
        fault: None,
        answered: Some((429, at)),
        wait: Some(Duration::from_secs(1)),
        end: None,
    }
}

#[test]
fn lost_doubled_and_reordered_messages_are_noticed() {
    let book = book(Stored::All);
    assert_eq!(book.judge(&[0, 1, 2]), Ok(()));
    for wrong in [&[0, 1][..], &[0, 1, 1, 2], &[0, 2, 1], &[0, 1, 2, 0], &[]] {
        assert!(book.judge(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn refused_messages_must_be_absent_and_unknown_ones_at_most_once() {
    assert_eq!(book(Stored::None).judge(&[]), Ok(()));
    assert!(book(Stored::None).judge(&[1]).is_err());
    assert_eq!(book(Stored::Some).judge(&[0, 2]), Ok(()));
    assert!(book(Stored::Some).judge(&[0, 0]).is_err());
}

#[test]
fn torn_and_foreign_messages_are_noticed() {
    let mut book = Book::of("text/plain; charset=utf-8");
    book.write(2, 12);
    assert_eq!((book.text(0), book.text(1)), ("<0|xxxxxxxx>", "<1|xxxxxxxx>"));
    let numbers = |text: &str| book.numbers(&[text.as_bytes().to_vec()]);
    assert_eq!(numbers("<0|xxxxxxxx><1|xxxxxxxx>"), Ok(vec![0, 1]));
    for wrong in ["<0|xxxxxxxx", "<0|xxxxxxxx>1|xxxxxxxx>", "<2|xxxxxxxx>", "x"] {
        assert!(numbers(wrong).is_err(), "{wrong}");
    }
    let mut book = Book::of("application/json");
    book.write(1, 0);
    assert_eq!(book.numbers(&[b"[]".to_vec(), br#"[{"pad":"","n":0}]"#.to_vec()]), Ok(vec![0]));
    for wrong in [&br#"[{"n":0,"pad":"x"}]"#[..], br#"[{"n":1,"pad":""}]"#, br#"[{"n":0,"pad":""}"#] {
        assert!(book.numbers(&[wrong.to_vec()]).is_err());
    }
}

#[test]
fn gaps_repeats_and_early_ends_of_reads_are_noticed() {
    assert_eq!(read_right(&[0, 1], &[0, 1], true), Ok(()));
    assert_eq!(read_right(&[0], &[0, 1], false), Ok(()));
    for (seen, complete) in [(&[0][..], true), (&[1], false), (&[0, 0], false), (&[0, 2], false), (&[0, 1, 2], false)] {
        assert!(read_right(seen, &[0, 1], complete).is_err(), "{seen:?}");
    }
}

#[test]
fn credentials_at_another_origin_are_noticed() {
    let mut foreign = request(Instant::now());
    assert_eq!(keeps_secrets(&[foreign.clone()], &[]), Ok(()));
    assert!(keeps_secrets(&[foreign.clone()], &["x-token".to_owned()]).is_err());
    foreign.headers = vec![("authorization".to_owned(), "Bearer a".to_owned())];
    assert!(keeps_secrets(&[foreign], &[]).is_err());
}

#[test]
fn a_repeat_before_its_time_is_noticed() {
    let first = request(Instant::now());
    let at = |ms| Exchange { wait: None, ..request(first.at + Duration::from_millis(ms)) };
    assert_eq!(waits(&[first.clone(), at(1000)]), Ok(()));
    assert!(waits(&[first.clone(), at(999)]).is_err());
    // Another batch may go meanwhile.
    let other = Exchange { body: Bytes::from_static(b"n"), ..at(5) };
    assert_eq!(waits(&[first.clone(), other, at(1000)]), Ok(()));
    assert!(bounded(&[first.clone(), at(1)], 1, Duration::ZERO).is_err());
}
