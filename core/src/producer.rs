//! Exactly-once writing with batches.
