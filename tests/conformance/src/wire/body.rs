//! Bodies on their way to the client.

use std::{collections::VecDeque, pin::Pin, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};

use super::{
    record::{End, Ending},
    rules::{Edit, Piece},
};

/// Between two pieces, so that they do not travel together.
const APART: Duration = Duration::from_millis(8);

/// The body type of every answer.
pub type WireBody = StreamBody<Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Broken>> + Send>>>;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
#[error("the body was cut")]
pub struct Broken;

/// A change of every piece; used by mutants.
pub type Change = Box<dyn FnMut(Bytes) -> Bytes + Send>;

/// Where a body comes from, and what is done to it.
pub struct Flow {
    source: Source,
    replace: Vec<(String, String)>,
    /// After the record was made: what only the client sees.
    change: Option<Change>,
    has_new_length: bool,
    /// Bytes still to come, when the head said so: nobody asks for an end after them.
    rest: Option<u64>,
}

enum Source {
    Server(VecDeque<Piece>, Incoming),
    Canned(VecDeque<Piece>),
}

impl Flow {
    /// A server's body.
    pub fn server(body: Incoming, edit: &Edit, is_sse: bool) -> Self {
        let prelude = edit.prelude.clone().filter(|_| is_sse).map(Piece::Data);
        let has_new_length = prelude.is_some() || !edit.replace.is_empty();
        Self {
            source: Source::Server(prelude.into_iter().collect(), body),
            replace: edit.replace.clone(),
            change: None,
            has_new_length,
            rest: None,
        }
    }

    /// A canned body.
    pub fn canned(pieces: Vec<Piece>) -> Self {
        Self {
            source: Source::Canned(pieces.into()),
            replace: Vec::new(),
            change: None,
            has_new_length: true,
            rest: None,
        }
    }

    /// Lets the client see something else than what is recorded.
    pub fn change(&mut self, change: Change) {
        self.change = Some(change);
        self.has_new_length = true;
    }

    /// Whether `Content-Length` may no longer be right.
    pub const fn changes_length(&self) -> bool {
        self.has_new_length
    }

    /// Says how long the body will be.
    pub const fn expect(&mut self, rest: u64) {
        self.rest = Some(rest);
    }

    /// The body, with its end noted.
    pub fn into_body(self, mut ending: Ending) -> WireBody {
        if self.rest == Some(0) {
            ending.set(End::Complete);
        }
        StreamBody::new(Box::pin(stream::unfold(Some((self, ending)), |state| async {
            let (mut flow, mut ending) = state?;
            match flow.next().await {
                Some(Ok(piece)) => {
                    ending.piece(&piece);
                    if let Some(rest) = &mut flow.rest {
                        *rest = rest.saturating_sub(piece.len() as u64);
                        if *rest == 0 {
                            ending.set(End::Complete);
                        }
                    }
                    let piece = match &mut flow.change {
                        Some(change) => change(piece),
                        None => piece,
                    };
                    Some((Ok(Frame::data(piece)), Some((flow, ending))))
                }
                Some(Err(end)) => {
                    ending.set(end);
                    Some((Err(Broken), None))
                }
                None => {
                    ending.set(End::Complete);
                    None
                }
            }
        })))
    }

    async fn next(&mut self) -> Option<Result<Bytes, End>> {
        loop {
            let (pieces, is_canned) = match &mut self.source {
                Source::Server(prelude, _) => (prelude, false),
                Source::Canned(pieces) => (pieces, true),
            };
            match pieces.pop_front() {
                Some(Piece::Data(piece)) => {
                    if is_canned && !pieces.is_empty() {
                        // The piece before is on its way by the time this one is asked for.
                        tokio::time::sleep(APART).await;
                    }
                    return Some(Ok(piece));
                }
                Some(Piece::Pause(pause)) => tokio::time::sleep(pause).await,
                Some(Piece::Cut) => {
                    tokio::time::sleep(APART).await;
                    return Some(Err(End::Cut));
                }
                Some(Piece::Hold) => std::future::pending().await,
                None => break,
            }
        }
        let Source::Server(_, body) = &mut self.source else { return None };
        loop {
            match body.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(replaced(&self.replace, data)));
                    }
                }
                Err(_) => return Some(Err(End::ServerGone)),
            }
        }
    }
}

fn replaced(replace: &[(String, String)], data: Bytes) -> Bytes {
    if replace.is_empty() {
        return data;
    }
    let Ok(text) = std::str::from_utf8(&data) else { return data };
    let mut text = text.to_owned();
    for (from, to) in replace {
        text = text.replace(from, to);
    }
    text.into()
}
