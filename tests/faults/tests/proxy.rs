//! Each fault really happens: raw sockets on both sides of the proxy.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use durable_streams_faults::proxy::{
    Proxy, Restart, Settings,
    rule::{Canned, Fault, How, Keep, Match, Outage, Point, RetryAfter, Rule, To, Way},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

/// More than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough to say that nothing comes.
const QUIET: Duration = Duration::from_millis(150);

const REQUEST: &[u8] = b"POST /s?a=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX-A: b\r\n\r\nabcdefghijkl";
const HEAD_LENGTH: usize = ANSWER.len() - 12;

/// A server that answers what it is told and tells what it got: everything that came on one
/// connection, and whether that was reset.
struct Upstream {
    address: SocketAddr,
    got: mpsc::UnboundedReceiver<(Vec<u8>, bool)>,
}

impl Upstream {
    /// Answers each request that ends with `9`, the last byte of [`REQUEST`], or an empty line.
    async fn answering(answer: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, got) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    let mut all = Vec::new();
                    let mut has_answered = false;
                    loop {
                        match socket.read_buf(&mut all).await {
                            Ok(0) => return drop(sender.send((all, false))),
                            Ok(_) => {}
                            Err(_) => return drop(sender.send((all, true))),
                        }
                        if !has_answered
                            && (all.ends_with(b"9") || all.starts_with(b"GET") && all.ends_with(b"\r\n\r\n"))
                        {
                            has_answered = true;
                            socket.write_all(answer).await.expect("the proxy reads");
                        }
                    }
                });
            }
        });
        Self { address, got }
    }

    async fn next(&mut self) -> (Vec<u8>, bool) {
        timeout(PATIENCE, self.got.recv()).await.expect("in time").expect("a connection")
    }
}

async fn proxy(server: SocketAddr) -> Proxy {
    let foreign = Some("http://127.0.0.1:9".to_owned());
    Proxy::start(Settings { server, foreign, restart: None, flaw: None }).await.expect("a port")
}

fn rule(fault: Fault) -> Rule {
    Rule { on: Match::default(), skip: 0, count: Some(1), fault }
}

/// Sends the request and reads until the connection ends; the second value is how.
async fn exchange(proxy: &Proxy) -> (Vec<u8>, Result<(), ErrorKind>) {
    let mut socket = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
    socket.write_all(REQUEST).await.expect("the proxy reads");
    rest(&mut socket).await
}

async fn rest(socket: &mut TcpStream) -> (Vec<u8>, Result<(), ErrorKind>) {
    let mut all = Vec::new();
    let ended = timeout(PATIENCE, socket.read_to_end(&mut all)).await.expect("it ends");
    (all, ended.map(drop).map_err(|error| error.kind()))
}

/// Sends the request and reads one whole answer of this length; the connection stays open.
async fn answered(proxy: &Proxy, length: usize) -> (Vec<u8>, TcpStream) {
    let mut socket = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
    socket.write_all(REQUEST).await.expect("the proxy reads");
    let answer = read(&mut socket, length).await;
    (answer, socket)
}

async fn read(socket: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut answer = vec![0; length];
    timeout(PATIENCE, socket.read_exact(&mut answer)).await.expect("in time").expect("so many bytes");
    answer
}

/// Nothing comes and nothing ends.
async fn is_quiet(socket: &mut TcpStream) -> bool {
    timeout(QUIET, socket.read_u8()).await.is_err()
}

#[tokio::test]
async fn without_a_rule_bytes_pass_as_they_are_and_the_connection_is_kept() {
    let mut upstream = Upstream::answering(ANSWER).await;
    let proxy = proxy(upstream.address).await;
    let (answer, mut socket) = answered(&proxy, ANSWER.len()).await;
    assert_eq!(answer, ANSWER);
    assert_eq!(upstream.next().await.0, REQUEST);
    socket.write_all(REQUEST).await.expect("still open");
    assert_eq!(read(&mut socket, ANSWER.len()).await, ANSWER);
}

#[tokio::test]
async fn chunked_answers_pass_as_they_are() {
    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let upstream = Upstream::answering(CHUNKED).await;
    let proxy = proxy(upstream.address).await;
    let (answer, mut socket) = answered(&proxy, CHUNKED.len()).await;
    assert_eq!(answer, CHUNKED);
    assert!(is_quiet(&mut socket).await);
}

#[tokio::test]
async fn an_answer_is_cut_in_its_head_and_in_its_body() {
    let upstream = Upstream::answering(ANSWER).await;
    let proxy = proxy(upstream.address).await;
    for (point, seen) in
        [(Point::Head(0), 0), (Point::Head(9), 9), (Point::Body(0), HEAD_LENGTH), (Point::Body(4), HEAD_LENGTH + 4)]
    {
        let id = proxy.arm(rule(Fault::CutAnswer(point, How::Close)));
        assert_eq!(exchange(&proxy).await, (ANSWER[..seen].to_vec(), Ok(())), "{point:?}");
        assert_eq!(proxy.fired(id), 1);
    }
}

#[tokio::test]
async fn a_cut_behind_the_end_never_happens_and_says_so() {
    let upstream = Upstream::answering(ANSWER).await;
    let proxy = proxy(upstream.address).await;
    let id = proxy.arm(rule(Fault::CutAnswer(Point::Body(13), How::Reset)));
    assert_eq!(answered(&proxy, ANSWER.len()).await.0, ANSWER);
    assert_eq!(proxy.fired(id), 0);
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let upstream = Upstream::answering(ANSWER).await;
    let proxy = proxy(upstream.address).await;
    for fault in [Fault::CutAnswer(Point::Head(0), How::Reset), Fault::CutRequest(Point::Head(0), How::Reset)] {
        proxy.arm(rule(fault));
        assert_eq!(exchange(&proxy).await, (Vec::new(), Err(ErrorKind::ConnectionReset)));
    }
}

#[tokio::test]
async fn a_silent_peer_neither_answers_nor_ends_the_connection() {
    let mut upstream = Upstream::answering(ANSWER).await;
    let proxy = proxy(upstream.address).await;
    proxy.arm(rule(Fault::CutAnswer(Point::Head(5), How::Silence)));
    let (start, mut socket) = answered(&proxy, 5).await;
    assert_eq!(start, &ANSWER[..5]);
    assert!(is_quiet(&mut socket).await);
    assert_eq!(upstream.next().await.0, REQUEST, "the server was asked");

    proxy.arm(rule(Fault::CutRequest(Point::Head(0), How::Silence)));
    let mut socket = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
    socket.write_all(REQUEST).await.expect("somebody reads");
    assert!(is_quiet(&mut socket).await);
    assert!(upstream.got.try_recv().is_err(), "the server was not asked");
}

#[tokio::test]
async fn a_cut_request_reaches_the_server_up_to_the_cut_and_is_reset_there() {
    let mut upstream = Upstream::answering(ANSWER).await;
    let proxy = proxy(upstream.address).await;
    let head = REQUEST.len() - 10;
    for (point, reached) in [(Point::Head(7), 7), (Point::Body(4), head + 4)] {
        let id = proxy.arm(rule(Fault::CutRequest(point, How::Close)));
        assert_eq!(exchange(&proxy).await.0, b"");
        let (got, was_reset) = upstream.next().await;
        // A reset may overtake what was sent before it, but nothing behind the cut arrives.
        assert!(REQUEST[..reached].starts_with(&got), "{point:?}: {got:?}");
        assert!(was_reset);
        assert_eq!(proxy.fired(id), 1);
    }
}

#[tokio::test]
async fn a_stall_ends_after_its_time_or_never() {
    let upstream = Upstream::answering(ANSWER).await;
    let proxy = proxy(upstream.address).await;
    let span = Duration::from_millis(250);
    proxy.arm(rule(Fault::Stall(Point::Body(3), Some(span))));
    let started = Instant::now();
    let (start, mut socket) = answered(&proxy, HEAD_LENGTH + 3).await;
    assert_eq!(start, &ANSWER[..HEAD_LENGTH + 3]);
    assert_eq!(read(&mut socket, 9).await, &ANSWER[HEAD_LENGTH + 3..]);
    assert!(started.elapsed() >= span);

    proxy.arm(rule(Fault::Stall(Point::Head(10), None)));
    let (_, mut socket) = answered(&proxy, 10).await;
    assert!(is_quiet(&mut socket).await);
}

#[tokio::test]
async fn a_delay_comes_before_the_request_or_before_the_answer() {
    let mut upstream = Upstream::answering(ANSWER).await;
    let proxy = proxy(upstream.address).await;
    let span = Duration::from_millis(200);
    for way in [Way::Request, Way::Answer] {
        proxy.arm(rule(Fault::Delay(way, span)));
        let started = Instant::now();
        assert_eq!(answered(&proxy, ANSWER.len()).await.0, ANSWER);
        assert!(started.elapsed() >= span, "{way:?}");
        assert_eq!(upstream.next().await.0, REQUEST);
    }
    // While the request is held back the server has not heard of it.
    proxy.arm(rule(Fault::Delay(Way::Request, PATIENCE)));
    let mut socket = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
    socket.write_all(REQUEST).await.expect("the proxy reads");
    assert!(is_quiet(&mut socket).await);
    assert!(upstream.got.try_recv().is_err());
}

#[tokio::test]
async fn trickled_bytes_come_one_by_one() {
    let mut upstream = Upstream::answering(ANSWER).await;
    let proxy = proxy(upstream.address).await;
    let pause = Duration::from_millis(4);
    proxy.arm(rule(Fault::Trickle(Way::Answer, 1, pause)));
    let mut socket = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
    socket.write_all(REQUEST).await.expect("the proxy reads");
    let (mut all, mut reads) = (Vec::new(), 0);
    while all.len() < ANSWER.len() {
        timeout(PATIENCE, socket.read_buf(&mut all)).await.expect("in time").expect("more bytes");
        reads += 1;
    }
    assert_eq!(all, ANSWER);
    assert!(reads > ANSWER.len() / 4, "{reads} reads");

    upstream.next().await;
    proxy.arm(rule(Fault::Trickle(Way::Request, 7, pause)));
    let started = Instant::now();
    assert_eq!(answered(&proxy, ANSWER.len()).await.0, ANSWER);
    assert!(started.elapsed() >= pause * u32::try_from(REQUEST.len() / 7).expect("small"));
    assert_eq!(upstream.next().await.0, REQUEST);
}

#[tokio::test]
async fn a_doubled_request_reaches_the_server_twice_and_is_answered_once() {
    let mut upstream = Upstream::answering(ANSWER).await;
    let proxy = proxy(upstream.address).await;
    for keep in [Keep::First, Keep::Second] {
        proxy.arm(rule(Fault::Twice(keep)));
        let (answer, mut socket) = answered(&proxy, ANSWER.len()).await;
        assert_eq!(answer, ANSWER);
        assert!(is_quiet(&mut socket).await);
        assert_eq!((upstream.next().await.0, upstream.next().await.0), (REQUEST.to_vec(), REQUEST.to_vec()));
    }
}

#[tokio::test]
async fn swapped_requests_reach_the_server_in_the_other_order_and_keep_their_connections() {
    const OTHER: &[u8] = b"POST /t HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n89";
    let mut upstream = Upstream::answering(ANSWER).await;
    let proxy = proxy(upstream.address).await;
    let id = proxy.arm(Rule { count: Some(2), ..rule(Fault::Swap(PATIENCE)) });
    let mut first = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
    first.write_all(REQUEST).await.expect("the proxy reads");
    assert!(proxy.record().until(PATIENCE, |all| all.len() == 1).await);
    assert!(is_quiet(&mut first).await);
    let mut second = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
    second.write_all(OTHER).await.expect("the proxy reads");
    assert_eq!(read(&mut second, ANSWER.len()).await, ANSWER);
    assert_eq!(read(&mut first, ANSWER.len()).await, ANSWER);
    assert_eq!((upstream.next().await.0, upstream.next().await.0), (OTHER.to_vec(), REQUEST.to_vec()));
    assert_eq!(proxy.fired(id), 1);
}

#[tokio::test]
async fn a_swap_without_a_second_request_never_happens() {
    let upstream = Upstream::answering(ANSWER).await;
    let proxy = proxy(upstream.address).await;
    let id = proxy.arm(Rule { count: Some(2), ..rule(Fault::Swap(QUIET)) });
    assert_eq!(answered(&proxy, ANSWER.len()).await.0, ANSWER);
    assert_eq!(proxy.fired(id), 0);
}

#[tokio::test]
async fn a_truncated_body_has_a_length_to_match_and_a_wrong_length_does_not() {
    let upstream = Upstream::answering(ANSWER).await;
    let proxy = proxy(upstream.address).await;
    let head = |length| format!("HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: {length}\r\n\r\n");
    proxy.arm(rule(Fault::Truncate(5)));
    let expected = head(5) + "abcde";
    let (answer, mut socket) = answered(&proxy, expected.len()).await;
    assert_eq!(String::from_utf8_lossy(&answer), expected);
    assert!(is_quiet(&mut socket).await);
    for (by, length) in [(4, 16), (-4, 8)] {
        proxy.arm(rule(Fault::WrongLength(by)));
        let (answer, ended) = exchange(&proxy).await;
        assert_eq!((String::from_utf8_lossy(&answer).into_owned(), ended), (head(length) + "abcdefghijkl", Ok(())));
    }
    let id = proxy.arm(rule(Fault::Truncate(12)));
    assert!(answered(&proxy, ANSWER.len()).await.0.ends_with(b"abcdefghijkl"));
    assert_eq!(proxy.fired(id), 0);
}

#[tokio::test]
async fn canned_answers_come_as_often_as_told_and_reach_the_server_only_if_told() {
    let mut upstream = Upstream::answering(ANSWER).await;
    let proxy = proxy(upstream.address).await;
    let busy = Canned { status: 429, retry_after: Some(RetryAfter::Seconds(3)), ..Canned::default() };
    proxy.arm(Rule { skip: 1, count: Some(2), ..rule(Fault::Answer(busy)) });
    let text = "HTTP/1.1 429 Fault\r\ncontent-length: 0\r\nretry-after: 3\r\n\r\n";
    assert_eq!(answered(&proxy, ANSWER.len()).await.0, ANSWER);
    for _ in 0..2 {
        assert_eq!(answered(&proxy, text.len()).await.0, text.as_bytes());
    }
    assert_eq!(answered(&proxy, ANSWER.len()).await.0, ANSWER);
    let wait = proxy.record().all()[1].wait;
    assert_eq!(wait, Some(Duration::from_secs(3)));
    upstream.next().await;
    upstream.next().await;
    assert!(upstream.got.try_recv().is_err(), "only the first and the last reached the server");

    let gateway = Canned { status: 502, reached: true, body: "bad".to_owned(), ..Canned::default() };
    proxy.arm(rule(Fault::Answer(gateway)));
    let text = "HTTP/1.1 502 Fault\r\ncontent-length: 3\r\n\r\nbad";
    assert_eq!(answered(&proxy, text.len()).await.0, text.as_bytes());
    assert_eq!(upstream.next().await.0, REQUEST);
}

#[tokio::test]
async fn redirects_name_the_same_target_here_or_elsewhere() {
    let upstream = Upstream::answering(ANSWER).await;
    let proxy = proxy(upstream.address).await;
    for (to, location) in [(To::Foreign, "http://127.0.0.1:9/s?a=1"), (To::Same, "/s?a=1")] {
        proxy.arm(rule(Fault::Redirect(307, to)));
        let text = format!("HTTP/1.1 307 Fault\r\ncontent-length: 0\r\nlocation: {location}\r\n\r\n");
        let (answer, _) = answered(&proxy, text.len()).await;
        assert_eq!(String::from_utf8_lossy(&answer), text);
    }
}

#[tokio::test]
async fn an_outage_ends_connections_refuses_new_ones_and_passes() {
    let upstream = Upstream::answering(ANSWER).await;
    let proxy = proxy(upstream.address).await;
    let (_, mut idle) = answered(&proxy, ANSWER.len()).await;
    let lasts = Duration::from_millis(300);
    let started = Instant::now();
    proxy.outage(Outage { lasts, restart: false, reached: false }).await;
    assert_eq!(rest(&mut idle).await.0, b"");
    let refused = TcpStream::connect(proxy.address()).await.expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let mut back = Err(refused);
    while back.is_err() && started.elapsed() < PATIENCE {
        back = TcpStream::connect(proxy.address()).await;
    }
    assert!(back.is_ok() && started.elapsed() >= lasts);
    assert_eq!(answered(&proxy, ANSWER.len()).await.0, ANSWER);
}

#[tokio::test]
async fn an_outage_that_a_request_begins_may_restart_the_server() {
    let mut before = Upstream::answering(ANSWER).await;
    let mut after = Upstream::answering(ANSWER).await;
    let address = after.address;
    let restart: Restart = Arc::new(move || Box::pin(async move { Ok(address) }));
    let settings = Settings { server: before.address, foreign: None, restart: Some(restart), flaw: None };
    let proxy = Proxy::start(settings).await.expect("a port");
    let outage = Outage { lasts: Duration::from_millis(10), restart: true, reached: true };
    let id = proxy.arm(rule(Fault::Outage(outage)));
    assert_eq!(exchange(&proxy).await.0, b"");
    assert_eq!(before.next().await.0, REQUEST);
    assert_eq!(proxy.fired(id), 1);
    let started = Instant::now();
    while TcpStream::connect(proxy.address()).await.is_err() && started.elapsed() < PATIENCE {
        tokio::task::yield_now().await;
    }
    assert_eq!(answered(&proxy, ANSWER.len()).await.0, ANSWER);
    assert_eq!(after.next().await.0, REQUEST);
    assert_eq!((proxy.server(), proxy.trouble()), (address, None));
}

#[tokio::test]
async fn rules_meet_by_method_path_query_and_header_and_the_first_one_wins() {
    let upstream = Upstream::answering(ANSWER).await;
    let proxy = proxy(upstream.address).await;
    let text = |text: &str| Some(text.to_owned());
    let misses = [
        Match { method: text("GET"), ..Match::default() },
        Match { path: text("/t"), ..Match::default() },
        Match { query: vec![("a".to_owned(), text("2"))], ..Match::default() },
        Match { query: vec![("a".to_owned(), None)], ..Match::default() },
        Match { headers: vec![("host".to_owned(), text("g"))], ..Match::default() },
        Match { headers: vec![("host".to_owned(), None)], ..Match::default() },
    ];
    for on in misses {
        proxy.arm(Rule { on, ..rule(Fault::CutAnswer(Point::Head(0), How::Close)) });
    }
    let on = Match {
        method: text("POST"),
        path: text("s"),
        query: vec![("a".to_owned(), text("1")), ("b".to_owned(), None)],
        headers: vec![("host".to_owned(), text("h"))],
    };
    let hit = proxy.arm(Rule { on, ..rule(Fault::CutAnswer(Point::Head(3), How::Close)) });
    let second = proxy.arm(rule(Fault::CutAnswer(Point::Head(4), How::Close)));
    assert_eq!(exchange(&proxy).await.0, &ANSWER[..3]);
    assert_eq!((proxy.fired(hit), proxy.fired(second)), (1, 0));
    assert_eq!(exchange(&proxy).await.0, &ANSWER[..4]);
    assert_eq!(answered(&proxy, ANSWER.len()).await.0, ANSWER);
    let faults: Vec<_> = proxy.record().all().iter().map(|exchange| exchange.fault).collect();
    assert_eq!(faults, [Some("cutAnswer"), Some("cutAnswer"), None]);
}
