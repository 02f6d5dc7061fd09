//! The server's decision for one producer request (protocol.md §19). The whole
//! table stands in [`decide`].

use http::HeaderMap;

use crate::headers;

/// Epoch and sequence number of one producer request, or of the last accepted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProducerState {
    /// Incarnation number.
    pub epoch: u64,
    /// Sequence number.
    pub seq: u64,
}

/// The three producer headers of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerClaim {
    /// Producer id, not empty.
    pub id: Box<[u8]>,
    /// Epoch and sequence number sent.
    pub state: ProducerState,
}

/// Why producer headers were refused; each becomes a 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Only some of the three are present.
    #[error("Producer-Id, Producer-Epoch and Producer-Seq go together; send all three or none")]
    Partial,
    /// The id is empty.
    #[error("Producer-Id must not be empty")]
    EmptyId,
    /// The epoch is not a whole number up to 2^53 - 1.
    #[error("Producer-Epoch must be a whole number from 0 to 9007199254740991")]
    Epoch,
    /// The sequence number is not a whole number up to 2^53 - 1.
    #[error("Producer-Seq must be a whole number from 0 to 9007199254740991")]
    Seq,
}

impl ProducerClaim {
    /// Reads the producer headers of a request; `None` when it carries none.
    pub fn from_headers(map: &HeaderMap) -> Result<Option<Self>, ClaimError> {
        let (id, epoch, seq) =
            (map.get(headers::PRODUCER_ID), map.get(headers::PRODUCER_EPOCH), map.get(headers::PRODUCER_SEQ));
        let (id, epoch, seq) = match (id, epoch, seq) {
            (None, None, None) => return Ok(None),
            (Some(id), Some(epoch), Some(seq)) => (id, epoch, seq),
            _ => return Err(ClaimError::Partial),
        };
        if id.is_empty() {
            return Err(ClaimError::EmptyId);
        }
        let epoch = headers::parse_integer(epoch.as_bytes()).ok_or(ClaimError::Epoch)?;
        let seq = headers::parse_integer(seq.as_bytes()).ok_or(ClaimError::Seq)?;
        Ok(Some(Self { id: id.as_bytes().into(), state: ProducerState { epoch, seq } }))
    }
}

/// What a server does with a producer request on an open stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// New: append and make this the producer's state.
    Append(ProducerState),
    /// Already accepted: answer 204 with the highest accepted state.
    Duplicate(ProducerState),
    /// An older incarnation: answer 403 with the current epoch.
    StaleEpoch {
        /// Epoch in force.
        current: u64,
    },
    /// A new epoch that does not start at 0: answer 400.
    EpochMustStartAtZero,
    /// A number was skipped: answer 409 with both numbers.
    Gap {
        /// The number the server would accept.
        expected: u64,
        /// The number the request carried.
        received: u64,
    },
}

/// Decides about a request, given what was last accepted from this producer.
pub const fn decide(accepted: Option<ProducerState>, request: ProducerState) -> Decision {
    let Some(accepted) = accepted else {
        return if request.seq == 0 {
            Decision::Append(request)
        } else {
            Decision::Gap { expected: 0, received: request.seq }
        };
    };
    if request.epoch < accepted.epoch {
        Decision::StaleEpoch { current: accepted.epoch }
    } else if request.epoch > accepted.epoch {
        if request.seq == 0 { Decision::Append(request) } else { Decision::EpochMustStartAtZero }
    } else if request.seq <= accepted.seq {
        Decision::Duplicate(accepted)
    } else if request.seq == accepted.seq + 1 {
        Decision::Append(request)
    } else {
        Decision::Gap { expected: accepted.seq + 1, received: request.seq }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(epoch: u64, seq: u64) -> ProducerState {
        ProducerState { epoch, seq }
    }

    #[test]
    fn the_table_of_section_19() {
        let cases = [
            (None, at(0, 0), Decision::Append(at(0, 0))),
            (None, at(7, 0), Decision::Append(at(7, 0))),
            (None, at(0, 3), Decision::Gap { expected: 0, received: 3 }),
            (Some(at(2, 5)), at(1, 9), Decision::StaleEpoch { current: 2 }),
            (Some(at(2, 5)), at(9, 0), Decision::Append(at(9, 0))),
            (Some(at(2, 5)), at(3, 1), Decision::EpochMustStartAtZero),
            (Some(at(2, 5)), at(2, 0), Decision::Duplicate(at(2, 5))),
            (Some(at(2, 5)), at(2, 5), Decision::Duplicate(at(2, 5))),
            (Some(at(2, 5)), at(2, 6), Decision::Append(at(2, 6))),
            (Some(at(2, 5)), at(2, 8), Decision::Gap { expected: 6, received: 8 }),
        ];
        for (accepted, request, expected) in cases {
            assert_eq!(decide(accepted, request), expected, "{accepted:?} {request:?}");
        }
    }
}
