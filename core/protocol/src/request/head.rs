//! Metadata: HEAD (protocol.md §9).

use http::Method;

use super::{Operation, RequestPlan};

/// The request. It never extends a stream's time to live.
pub fn plan() -> RequestPlan {
    RequestPlan::new(Operation::Head, Method::HEAD)
}
