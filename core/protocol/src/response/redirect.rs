//! Which redirects are followed, and how.

use http::{Method, StatusCode, header::LOCATION};

use super::ReplyHead;
use crate::headers;

/// Most redirects in one exchange.
pub const MAX_REDIRECTS: usize = 10;

/// Where an answer redirects a request to, if it may be followed with the same method
/// and body: reads by any redirect, writes by 307 and 308 only. Clients that turn a
/// redirected POST into a GET would report an append that never happened.
pub fn target<'h>(method: &Method, head: &'h ReplyHead) -> Option<&'h str> {
    let keeps_method = match head.status {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => {
            matches!(*method, Method::GET | Method::HEAD)
        }
        _ => false,
    };
    headers::text(&head.headers, &LOCATION).filter(|_| keeps_method)
}
