//! Delete: DELETE (protocol.md §8).

use http::Method;

use super::{Operation, RequestPlan};

/// The request. A repeat after a lost answer may meet 404, which then is success.
pub fn plan() -> RequestPlan {
    RequestPlan::new(Operation::Delete, Method::DELETE)
}
