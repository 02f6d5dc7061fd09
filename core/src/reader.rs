//! Reading: batches with the offsets to resume from.
