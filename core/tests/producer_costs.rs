//! What an append costs: one copy into the batch, nothing else.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use bytes::Bytes;
use durable_streams::{
    Client, Producer,
    transport::{BoxFuture, Reply, Transport, TransportFailure},
};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator unchanged; counting touches no memory
// that is allocated.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract, which is the same.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps `realloc`'s contract, which is the same.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A network on which nothing ever arrives.
struct Silent;

impl Transport for Silent {
    fn send(&self, _: http::Request<Bytes>) -> BoxFuture<'_, Result<Reply, TransportFailure>> {
        Box::pin(std::future::pending())
    }
}

fn producer(content_type: &str) -> Producer {
    let client = Client::builder().base_url("http://h").transport(Silent).build().expect("valid");
    client.stream("s").producer("p").content_type(content_type).build().expect("builds")
}

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

#[tokio::test]
async fn appends_do_not_allocate_one_by_one() {
    const MESSAGES: u64 = 100_000;
    let message = format!("\"{}\"", "x".repeat(98));
    for content_type in ["application/json", "application/octet-stream"] {
        let forgotten = producer(content_type);
        let before = allocations();
        (0..MESSAGES).for_each(|_| drop(forgotten.append(&message)));
        let count = allocations() - before;
        // Ten batches: their buffers, and a few entries in the books.
        assert!(count < 200, "{content_type}: {count} allocations, fire and forget");
        let values = producer(content_type);
        let before = allocations();
        (0..MESSAGES).for_each(|number| drop(values.append_json(&(number, "text"))));
        let count = allocations() - before;
        assert!(count < 200, "{content_type}: {count} allocations, values");
        let awaited = producer(content_type);
        let before = allocations();
        for _ in 0..MESSAGES {
            awaited.append(&message).await.expect("accepted");
        }
        let count = allocations() - before;
        // The driver works on this thread, too: five requests.
        assert!(count < 1_000, "{content_type}: {count} allocations, awaited");
    }
}
