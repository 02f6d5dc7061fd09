//! The server's decision about a producer request against its vectors.

use durable_streams_protocol::produce::decide::{Decision, ProducerState, decide};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    #[serde(rename = "spec")]
    _spec: String,
    accepted: Option<State>,
    request: State,
    decision: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    epoch: u64,
    seq: u64,
}

impl From<State> for ProducerState {
    fn from(State { epoch, seq }: State) -> Self {
        Self { epoch, seq }
    }
}

#[test]
fn vectors() {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("../../../tests/vectors/producer.json")).expect("vectors");
    for Vector { name, accepted, request, decision, .. } in vectors {
        let decided = match decide(accepted.map(ProducerState::from), request.into()) {
            Decision::Append(state) => json!({"append": {"epoch": state.epoch, "seq": state.seq}}),
            Decision::Duplicate(state) => json!({"duplicate": {"epoch": state.epoch, "seq": state.seq}}),
            Decision::StaleEpoch { current } => json!({"stale_epoch": {"current": current}}),
            Decision::EpochMustStartAtZero => json!({"refused": {}}),
            Decision::Gap { expected, received } => json!({"gap": {"expected": expected, "received": received}}),
        };
        assert_eq!(decided, decision, "{name}");
    }
}
