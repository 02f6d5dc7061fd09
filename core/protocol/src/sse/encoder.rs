//! SSE encoder.
