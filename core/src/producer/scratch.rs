//! A buffer per thread for values on their way to JSON, so that `append_json` does not
//! allocate for every message.

use std::cell::RefCell;

/// A larger buffer is given back to the allocator after use.
const KEPT: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends an empty buffer. A nested call, from within a value's own `Serialize`, gets a
/// buffer of its own.
pub(super) fn with<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut buffer = BUFFER.with(RefCell::take);
    let result = work(&mut buffer);
    if buffer.capacity() <= KEPT {
        buffer.clear();
        BUFFER.with(|kept| kept.replace(buffer));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_loan_is_another_buffer_and_each_starts_empty() {
        with(|outer| {
            outer.push(1);
            with(|inner| assert!(inner.is_empty()));
            assert_eq!(outer[..], [1]);
        });
        with(|again| assert!(again.is_empty()));
    }
}
