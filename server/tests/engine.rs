//! The engine over both stores: rules, durability, recovery.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use durable_streams_protocol::{
    content_type::Framing,
    expiry::Expiry,
    offset::{Position, ReadFrom},
    produce::decide::{ProducerClaim, ProducerState},
};
use durable_streams_server::{
    engine::{
        Clock, Engine, EngineOptions,
        types::{
            AppendError, AppendKind, AppendRequest, Change, CreateError, CreateRequest, DeleteError, ForkRequest,
            LookupError, Observer, ReadError, StreamEvent,
        },
    },
    path::StreamPath,
    store::{
        StoreError,
        file::{FileOptions, FileStore},
        memory::MemoryStore,
    },
};

fn path(text: &str) -> StreamPath {
    StreamPath::parse(text).expect("a valid path")
}

fn text_stream() -> CreateRequest {
    CreateRequest { content_type: Some("text/plain".to_owned()), ..CreateRequest::default() }
}

fn text(body: &str) -> AppendRequest {
    AppendRequest {
        content_type: Some("text/plain".to_owned()),
        body: Bytes::copy_from_slice(body.as_bytes()),
        ..AppendRequest::default()
    }
}

fn produced(id: &str, epoch: u64, seq: u64, body: &str) -> AppendRequest {
    AppendRequest {
        producer: Some(ProducerClaim { id: id.as_bytes().into(), state: ProducerState { epoch, seq } }),
        ..text(body)
    }
}

fn open_file(directory: &Path) -> Engine {
    let options = FileOptions { min_free_bytes: 0, ..FileOptions::default() };
    let store = FileStore::open(directory, options).expect("opens");
    Engine::open(EngineOptions::default(), Arc::new(store)).expect("opens")
}

fn open_memory() -> Engine {
    Engine::open(EngineOptions::default(), Arc::new(MemoryStore::new())).expect("opens")
}

async fn read_all(engine: &Engine, path: &StreamPath, from: ReadFrom) -> (Vec<u8>, Position, bool) {
    let mut reader = engine.reader(path, from, false).expect("readable");
    let mut data = Vec::new();
    loop {
        let chunk = reader.next(64 << 10).await.expect("reads");
        let (next, closed, up_to_date) = (chunk.next, chunk.closed, chunk.up_to_date);
        data.extend(chunk.into_body(Framing::Binary).concat());
        if up_to_date {
            return (data, next, closed);
        }
    }
}

struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn unix_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn what_is_appended_is_read_back_on_both_stores_and_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    for engine in [open_memory(), open_file(directory.path())] {
        let stream = path("/s/a");
        assert!(engine.create(stream.clone(), text_stream()).await.expect("created").is_new);
        let mut expected = Vec::new();
        for index in 0..100 {
            let body = format!("unit {index};");
            let appended = engine.append(&stream, produced("p", 0, index, &body)).await.expect("appended");
            expected.extend_from_slice(body.as_bytes());
            assert_eq!(appended.tail, Position(expected.len() as u64));
        }
        assert_eq!(read_all(&engine, &stream, ReadFrom::Beginning).await.0, expected);
        let again = engine.append(&stream, produced("p", 0, 99, "ignored")).await.expect("a duplicate");
        assert_eq!((again.kind, again.producer), (AppendKind::Duplicate, Some(ProducerState { epoch: 0, seq: 99 })));
        engine.close().await;
    }
    let engine = open_file(directory.path());
    let (data, tail, _) = read_all(&engine, &path("/s/a"), ReadFrom::Beginning).await;
    assert!(data.ends_with(b"unit 99;"));
    let next = engine.append(&path("/s/a"), produced("p", 0, 101, "x")).await;
    assert!(matches!(next, Err(AppendError::Gap { expected: 100, received: 101 })), "{next:?}");
    let duplicate = engine.append(&path("/s/a"), produced("p", 0, 5, "x")).await.expect("a duplicate");
    assert_eq!((duplicate.kind, duplicate.tail), (AppendKind::Duplicate, tail));
    engine.close().await;
}

#[tokio::test]
async fn an_unclean_end_loses_nothing_acknowledged() {
    let directory = tempfile::tempdir().expect("a directory");
    let copy = tempfile::tempdir().expect("a directory");
    let engine = open_file(directory.path());
    let stream = path("/s/a");
    engine.create(stream.clone(), text_stream()).await.expect("created");
    // More than one checkpoint, and units after the last one.
    for index in 0..1500 {
        engine.append(&stream, produced("p", 3, index, "0123456789")).await.expect("appended");
    }
    let closing = AppendRequest { close: true, ..produced("p", 3, 1500, "end") };
    engine.append(&stream, closing.clone()).await.expect("closed");
    // What the disk holds at this moment is what a killed process would leave.
    copy_tree(directory.path(), copy.path());
    let recovered = open_file(copy.path());
    let (data, _, closed) = read_all(&recovered, &stream, ReadFrom::Beginning).await;
    assert_eq!((data.len(), closed), (15_003, true));
    let repeat = recovered.append(&stream, closing).await.expect("the closing tuple is remembered");
    assert_eq!((repeat.kind, repeat.closed), (AppendKind::Duplicate, true));
    recovered.close().await;
    engine.close().await;
}

#[tokio::test]
async fn a_torn_journal_tail_is_cut_and_damage_before_whole_batches_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = open_file(directory.path());
    let stream = path("/s/a");
    engine.create(stream.clone(), text_stream()).await.expect("created");
    for index in 0..20 {
        engine.append(&stream, produced("p", 0, index, "0123456789")).await.expect("appended");
    }
    let (torn, damaged) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    copy_tree(directory.path(), torn.path());
    copy_tree(directory.path(), damaged.path());
    engine.close().await;

    // Tear the last batch: its last written byte never reached the disk.
    let journal = newest_journal(torn.path());
    let mut bytes = std::fs::read(&journal).expect("readable");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("not empty");
    bytes[end] = 0;
    std::fs::write(&journal, &bytes).expect("writable");
    let recovered = open_file(torn.path());
    let (data, ..) = read_all(&recovered, &stream, ReadFrom::Beginning).await;
    assert_eq!(data.len(), 190, "nineteen whole units are left");
    let set_aside = std::fs::read_dir(torn.path().join("engine")).expect("readable").flatten();
    assert!(set_aside.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().contains("torn-")));
    recovered.append(&stream, produced("p", 0, 19, "0123456789")).await.expect("the torn unit can be sent again");
    recovered.close().await;

    // Damage in the middle: acknowledged batches follow, so nothing may be cut.
    let journal = newest_journal(damaged.path());
    let mut bytes = std::fs::read(&journal).expect("readable");
    bytes[end / 2] ^= 0xff;
    std::fs::write(&journal, &bytes).expect("writable");
    let refused = FileStore::open(damaged.path(), FileOptions::default()).err().expect("refused").to_string();
    assert!(refused.contains(&journal.display().to_string()), "{refused}");
    assert_eq!(std::fs::read(&journal).expect("still there"), bytes);
}

#[tokio::test]
async fn foreign_and_busy_directories_are_refused_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("thesis.txt"), "mine").expect("writable");
    let refused = FileStore::open(directory.path(), FileOptions::default()).err().expect("refused").to_string();
    assert!(refused.contains("thesis.txt"), "{refused}");
    assert_eq!(std::fs::read_to_string(directory.path().join("thesis.txt")).expect("untouched"), "mine");

    let directory = tempfile::tempdir().expect("a directory");
    let held = FileStore::open(directory.path(), FileOptions::default()).expect("opens");
    let refused = FileStore::open(directory.path(), FileOptions::default()).err().expect("refused").to_string();
    assert!(refused.contains("LOCK"), "{refused}");
    drop(held);
    std::fs::write(directory.path().join("FORMAT"), "durable-streams data directory, format 9\n").expect("writable");
    let refused = FileStore::open(directory.path(), FileOptions::default()).err().expect("refused").to_string();
    assert!(refused.contains("format 9"), "{refused}");
}

#[tokio::test]
async fn a_creation_that_a_crash_interrupted_starts_over() {
    // As left behind by a process that was killed while it opened the directory for the
    // first time: the engine's folder without its version marker.
    let directory = tempfile::tempdir().expect("a directory");
    let engine = directory.path().join("engine");
    std::fs::create_dir_all(engine.join("keyspaces/0")).expect("writable");
    for (file, content) in [("FORMAT.new", "durable-str"), ("engine/lock", ""), ("engine/0.jnl", "\0\0")] {
        std::fs::write(directory.path().join(file), content).expect("writable");
    }
    let opened = open_file(directory.path());
    opened.create(path("/s/a"), text_stream()).await.expect("created");
    opened.close().await;
    drop(opened);
    assert!(!directory.path().join("FORMAT.new").exists());
    assert!(directory.path().join("FORMAT").exists());
    let opened = open_file(directory.path());
    assert!(opened.head(&path("/s/a")).is_ok());
    opened.close().await;
}

#[tokio::test]
async fn a_full_disk_refuses_new_data_and_keeps_the_old() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = open_file(directory.path());
    let stream = path("/s/a");
    engine.create(stream.clone(), text_stream()).await.expect("created");
    engine.append(&stream, produced("p", 0, 0, "kept")).await.expect("appended");
    engine.close().await;
    drop(engine);
    let options = FileOptions { min_free_bytes: u64::MAX, ..FileOptions::default() };
    let store = FileStore::open(directory.path(), options).expect("opens");
    let engine = Engine::open(EngineOptions::default(), Arc::new(store)).expect("opens");
    let refused = engine.append(&stream, produced("p", 0, 1, "lost")).await;
    assert!(matches!(refused, Err(AppendError::Store(StoreError::Full(_)))), "{refused:?}");
    let refused = engine.create(path("/s/b"), text_stream()).await;
    assert!(matches!(refused, Err(CreateError::Store(StoreError::Full(_)))), "{refused:?}");
    assert_eq!(read_all(&engine, &stream, ReadFrom::Beginning).await.0, b"kept");
    engine.close().await;
    drop(engine);
    let engine = open_file(directory.path());
    engine.append(&stream, produced("p", 0, 1, "!")).await.expect("the refused number is still free");
    assert_eq!(read_all(&engine, &stream, ReadFrom::Beginning).await.0, b"kept!");
    engine.close().await;
}

#[tokio::test]
async fn concurrent_producers_are_each_stored_once_and_in_order() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = open_file(directory.path());
    let stream = path("/s/a");
    engine.create(stream.clone(), text_stream()).await.expect("created");
    let mut tasks = Vec::new();
    for producer in 0..16 {
        let (engine, stream) = (engine.clone(), stream.clone());
        tasks.push(tokio::spawn(async move {
            for seq in 0..50 {
                let body = format!("{producer}:{seq};");
                engine.append(&stream, produced(&producer.to_string(), 0, seq, &body)).await.expect("appended");
            }
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    let (data, ..) = read_all(&engine, &stream, ReadFrom::Beginning).await;
    let data = String::from_utf8(data).expect("text");
    let mut next = [0; 16];
    for item in data.split_terminator(';') {
        let (producer, seq) = item.split_once(':').expect("two parts");
        let producer: usize = producer.parse().expect("a number");
        assert_eq!(seq.parse::<i32>().expect("a number"), next[producer]);
        next[producer] += 1;
    }
    assert_eq!(next, [50; 16]);
    assert!(engine.stats().commits() < 801, "appends share commits: {}", engine.stats().commits());
    engine.close().await;
}

#[tokio::test]
async fn live_readers_get_data_then_the_end() {
    for engine in [open_memory()] {
        let stream = path("/s/a");
        engine.create(stream.clone(), text_stream()).await.expect("created");
        let mut reader = engine.reader(&stream, ReadFrom::Now, true).expect("readable");
        assert!(reader.next(1000).await.expect("reads").is_empty());
        assert_eq!(reader.pending_change(), None);
        let waiting = tokio::spawn(async move {
            assert_eq!(reader.changed().await, Change::Advanced);
            let chunk = reader.next(1000).await.expect("reads");
            (chunk.data.concat(), chunk.closed, reader)
        });
        let closing = AppendRequest { close: true, ..text("bye") };
        engine.append(&stream, closing).await.expect("appended");
        let (data, closed, reader) = waiting.await.expect("no panic");
        assert_eq!((data.as_slice(), closed), (&b"bye"[..], true));
        drop(reader);
        let mut reader = engine.reader(&stream, ReadFrom::Beginning, true).expect("readable");
        reader.next(1000).await.expect("reads");
        engine.delete(&stream).await.expect("deleted");
        assert_eq!(reader.changed().await, Change::Removed);
        engine.close().await;
    }
}

#[tokio::test]
async fn shutdown_wakes_live_readers() {
    let engine = open_memory();
    let stream = path("/s/a");
    engine.create(stream.clone(), text_stream()).await.expect("created");
    let mut reader = engine.reader(&stream, ReadFrom::Now, true).expect("readable");
    reader.next(1000).await.expect("reads");
    let waiting = tokio::spawn(async move { reader.changed().await });
    engine.shut_down();
    assert_eq!(waiting.await.expect("no panic"), Change::ShuttingDown);
    engine.close().await;
}

#[tokio::test]
async fn forks_read_through_deleted_ancestors_and_release_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let (source, middle, leaf) = (path("/s/source"), path("/s/middle"), path("/s/leaf"));
    {
        let engine = open_file(directory.path());
        engine.create(source.clone(), text_stream()).await.expect("created");
        for body in ["one,", "two,", "three,"] {
            engine.append(&source, text(body)).await.expect("appended");
        }
        let fork = |source: &StreamPath, offset: Option<u64>, sub_offset| CreateRequest {
            fork: Some(ForkRequest { source: source.clone(), offset: offset.map(Position), sub_offset }),
            ..CreateRequest::default()
        };
        // Two whole units and the first three bytes of "three,".
        engine.create(middle.clone(), fork(&source, Some(8), 3)).await.expect("forked");
        engine.append(&middle, text("MID,")).await.expect("appended");
        engine.create(leaf.clone(), fork(&middle, None, 0)).await.expect("forked");
        engine.append(&leaf, text("LEAF")).await.expect("appended");
        let confirmed = engine.create(middle.clone(), fork(&source, Some(8), 3)).await.expect("the same again");
        assert!(!confirmed.is_new);
        for (offset, sub_offset) in [(Some(5), 0), (Some(99), 0), (Some(8), 7), (None, 1)] {
            let refused = engine.create(path("/s/bad"), fork(&source, offset, sub_offset)).await;
            assert!(
                matches!(refused, Err(CreateError::ForkOffset(_) | CreateError::ForkSubOffset { .. })),
                "{offset:?} {sub_offset} {refused:?}"
            );
        }
        engine.delete(&source).await.expect("soft-deleted");
        engine.delete(&middle).await.expect("soft-deleted");
        assert!(matches!(engine.delete(&middle).await, Err(DeleteError::Lookup(LookupError::Gone))));
        assert!(matches!(engine.create(source.clone(), text_stream()).await, Err(CreateError::SoftDeleted)));
        engine.close().await;
    }
    let engine = open_file(directory.path());
    let (data, ..) = read_all(&engine, &leaf, ReadFrom::Beginning).await;
    assert_eq!(String::from_utf8_lossy(&data), "one,two,thrMID,LEAF");
    let (data, ..) = read_all(&engine, &leaf, ReadFrom::At(Position(4))).await;
    assert_eq!(String::from_utf8_lossy(&data), "two,thrMID,LEAF");
    let mut inside = engine.reader(&leaf, ReadFrom::At(Position(5)), false).expect("readable");
    assert!(matches!(inside.next(100).await, Err(ReadError::Offset)));
    engine.delete(&leaf).await.expect("deleted");
    for gone in [&source, &middle, &leaf] {
        assert_eq!(engine.head(gone).err(), Some(LookupError::NotFound), "{gone}");
    }
    assert!(engine.create(source, text_stream()).await.expect("the path is free").is_new);
    engine.close().await;
}

#[tokio::test]
async fn a_sliding_expiry_counts_from_the_last_touch_and_not_under_live_readers() {
    let clock = Arc::new(TestClock(AtomicU64::new(1_000_000)));
    let options = EngineOptions { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..EngineOptions::default() };
    let engine = Engine::open(options, Arc::new(MemoryStore::new())).expect("opens");
    let stream = path("/s/a");
    let create = || CreateRequest { expiry: Some(Expiry::Ttl(10)), ..text_stream() };
    engine.create(stream.clone(), create()).await.expect("created");
    let forward = |ms: u64| clock.0.fetch_add(ms, Ordering::SeqCst);
    forward(9_999);
    engine.head(&stream).expect("a head does not touch, but it is still there");
    engine.append(&stream, text("x")).await.expect("appended");
    forward(9_999);
    drop(engine.reader(&stream, ReadFrom::Beginning, false).expect("a read touches"));
    forward(9_999);
    let live = engine.reader(&stream, ReadFrom::Now, true).expect("readable");
    forward(60_000);
    engine.head(&stream).expect("a live reader keeps it");
    drop(live);
    forward(9_999);
    engine.head(&stream).expect("the window starts anew when the reader leaves");
    forward(1);
    assert_eq!(engine.head(&stream).err(), Some(LookupError::NotFound));
    let other = CreateRequest { content_type: Some("application/json".to_owned()), ..CreateRequest::default() };
    assert!(engine.create(stream.clone(), other).await.expect("the path is free").is_new);
    engine.close().await;
}

#[tokio::test]
async fn a_repeated_create_is_compared_with_what_exists() {
    let engine = open_memory();
    let stream = path("/s/a");
    let create = |ttl, closed| CreateRequest { expiry: Some(Expiry::Ttl(ttl)), closed, ..text_stream() };
    engine.create(stream.clone(), create(60, false)).await.expect("created");
    assert!(!engine.create(stream.clone(), create(60, false)).await.expect("confirmed").is_new);
    assert!(matches!(
        engine.create(stream.clone(), create(61, false)).await,
        Err(CreateError::Exists("TTL or expiry"))
    ));
    assert!(matches!(engine.create(stream.clone(), create(60, true)).await, Err(CreateError::Exists("closed state"))));
    assert!(matches!(engine.create(stream.clone(), text_stream()).await, Err(CreateError::Exists("TTL or expiry"))));
    engine.close().await;
}

#[tokio::test]
async fn key_value_entries_survive_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = open_file(directory.path());
    let entry = |key: &str, value: Option<&'static str>| (key.as_bytes().to_vec(), value.map(Bytes::from_static_str));
    engine
        .kv_put(vec![entry("a/1", Some("one")), entry("a/2", Some("two")), entry("b/1", Some("x"))])
        .await
        .expect("stored");
    engine.kv_put(vec![entry("a/1", None)]).await.expect("removed");
    engine.close().await;
    drop(engine);
    let engine = open_file(directory.path());
    assert_eq!(engine.kv_scan(b"a/").expect("readable"), vec![(b"a/2".to_vec(), Bytes::from_static(b"two"))]);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_engine_refuses_instead_of_hanging() {
    let engine = open_memory();
    engine.create(path("/s/a"), text_stream()).await.expect("created");
    engine.close().await;
    let refused = tokio::time::timeout(Duration::from_secs(5), engine.append(&path("/s/a"), text("x"))).await;
    assert!(matches!(refused, Ok(Err(AppendError::Store(StoreError::Failed(_))))), "{refused:?}");
}

trait FromStaticStr {
    fn from_static_str(text: &'static str) -> Self;
}

impl FromStaticStr for Bytes {
    fn from_static_str(text: &'static str) -> Self {
        Self::from_static(text.as_bytes())
    }
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("readable").flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            std::fs::create_dir_all(&target).expect("created");
            copy_tree(&entry.path(), &target);
        } else if entry.file_name() != "LOCK" {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

fn newest_journal(directory: &Path) -> std::path::PathBuf {
    let journals = std::fs::read_dir(directory.join("engine")).expect("readable").flatten().map(|entry| entry.path());
    journals.filter(|path| path.extension().is_some_and(|extension| extension == "jnl")).max().expect("a journal")
}

#[tokio::test]
async fn units_are_told_apart_when_asked_for_hot_or_cold() {
    let directory = tempfile::tempdir().expect("a directory");
    let stream = path("/s/a");
    let engine = open_file(directory.path());
    engine.create(stream.clone(), text_stream()).await.expect("created");
    let sent: Vec<String> = (0..300).map(|index| "x".repeat(index % 7 + 1)).collect();
    for unit in &sent {
        engine.append(&stream, text(unit)).await.expect("appended");
    }
    assert_eq!(units(&engine, &stream).await, sent, "from memory, where units are kept merged");
    engine.close().await;
    drop(engine);
    let engine = open_file(directory.path());
    assert_eq!(units(&engine, &stream).await, sent, "from disk");
    assert_eq!(units(&engine, &stream).await, sent, "as the first read left them in memory");
    engine.close().await;
}

async fn units(engine: &Engine, path: &StreamPath) -> Vec<String> {
    let mut reader = engine.reader(path, ReadFrom::Beginning, false).expect("readable");
    let mut found = Vec::new();
    loop {
        let chunk = reader.next_units(100).await.expect("read");
        assert_eq!(chunk.next.0 - chunk.from.0, chunk.len() as u64);
        found.extend(chunk.data.iter().map(|unit| String::from_utf8(unit.to_vec()).expect("text")));
        if chunk.up_to_date {
            return found;
        }
    }
}

#[tokio::test]
async fn a_cold_read_is_the_same_as_a_hot_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let stream = path("/s/a");
    let engine = open_file(directory.path());
    engine.create(stream.clone(), text_stream()).await.expect("created");
    for index in 0..200 {
        engine.append(&stream, text(&"x".repeat(index % 7 + 1))).await.expect("appended");
    }
    let hot = read_all(&engine, &stream, ReadFrom::Beginning).await;
    engine.close().await;
    drop(engine);
    let engine = open_file(directory.path());
    for _ in 0..3 {
        assert_eq!(read_all(&engine, &stream, ReadFrom::Beginning).await, hot);
    }
    let mut inside = engine.reader(&stream, ReadFrom::At(Position(2)), false).expect("readable");
    assert!(matches!(inside.next(100).await, Err(ReadError::Offset)), "units are 1, 2, 3... bytes long");
    engine.append(&stream, text("tail")).await.expect("appended");
    assert_eq!(read_all(&engine, &stream, ReadFrom::At(hot.1)).await.0, b"tail");
    engine.close().await;
}

#[tokio::test]
async fn a_stepped_engine_commits_when_told() {
    let (engine, mut stepper) =
        Engine::open_stepped(EngineOptions::default(), Arc::new(MemoryStore::new())).expect("opens");
    let stream = path("/s/a");
    let create = tokio::spawn({
        let (engine, stream) = (engine.clone(), stream.clone());
        async move { engine.create(stream, text_stream()).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(engine.head(&stream).err(), Some(LookupError::NotFound));
    assert_eq!(stepper.step(), 1);
    assert!(create.await.expect("no panic").expect("created").is_new);
    engine.head(&stream).expect("visible now");
    stepper.finish();
}

#[test]
fn dropping_the_last_handle_ends_the_committer_and_unlocks_the_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    drop(open_file(directory.path()));
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while FileStore::open(directory.path(), FileOptions::default()).is_err() {
        assert!(std::time::Instant::now() < deadline, "the directory stays locked");
        std::thread::yield_now();
    }
}

/// Writes down the paths of what it is told.
#[derive(Default)]
struct Notebook(parking_lot::Mutex<Vec<String>>);

impl Observer for Notebook {
    fn observe(&self, events: &[StreamEvent]) {
        self.0.lock().extend(events.iter().map(|event| match event {
            StreamEvent::Created { path } => format!("created {path}"),
            StreamEvent::Appended { path, .. } => format!("appended {path}"),
            StreamEvent::Deleted { path } => format!("deleted {path}"),
        }));
    }
}

#[tokio::test]
async fn every_observer_is_told_of_every_event() {
    let engine = open_memory();
    let notebooks = [Arc::new(Notebook::default()), Arc::new(Notebook::default())];
    for notebook in &notebooks {
        engine.add_observer(notebook.clone());
    }
    let path = path("/a");
    engine.create(path.clone(), text_stream()).await.expect("created");
    engine.append(&path, text("x")).await.expect("appended");
    engine.delete(&path).await.expect("deleted");
    for notebook in &notebooks {
        assert_eq!(*notebook.0.lock(), ["created /a", "appended /a", "deleted /a"]);
    }
}
