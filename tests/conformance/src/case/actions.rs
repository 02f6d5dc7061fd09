//! What an operation may say: every action with its fields.

use super::fields::{Field, Kind};

/// One action and its fields.
#[derive(Debug)]
pub struct Action {
    /// Name in the YAML file; also the adapter's command where there is one.
    pub name: &'static str,
    /// Who carries it out.
    pub by: By,
    /// Its fields, besides `action` and `expect`.
    pub fields: &'static [Field],
}

/// Who carries an action out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The client under test: it becomes a command of the same name.
    Adapter,
    /// The runner, with a result that `expect` is checked on.
    Runner,
    /// The runner; there is no result and no `expect`.
    Silent,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, vars: false, required: false }
}

const fn vars(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, vars: true, required: false }
}

const fn required(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, vars: false, required: true }
}

const fn path() -> Field {
    Field { name: "path", kind: Kind::Text, vars: true, required: true }
}

const HEADERS: Field = field("headers", Kind::Headers);
const PRODUCER_ID: Field = required("producerId", Kind::Text);
const EPOCH: Field = field("epoch", Kind::Count);
const AUTO_CLAIM: Field = field("autoClaim", Kind::Bool);

/// Every action of the format; those marked with a feature in docs/conformance.md are
/// this kit's own.
pub static ACTIONS: &[Action] = &[
    Action {
        name: "create",
        by: By::Adapter,
        fields: &[
            vars("path", Kind::Text),
            field("as", Kind::Text),
            field("contentType", Kind::Text),
            field("ttlSeconds", Kind::Count),
            field("expiresAt", Kind::Text),
            HEADERS,
            field("closed", Kind::Bool),
            field("data", Kind::Text),
            vars("forkFrom", Kind::Text),
            vars("forkOffset", Kind::Text),
            field("forkSubOffset", Kind::Count),
        ],
    },
    Action { name: "connect", by: By::Adapter, fields: &[path(), HEADERS] },
    Action {
        name: "append",
        by: By::Adapter,
        fields: &[
            path(),
            vars("data", Kind::Text),
            field("json", Kind::Any),
            field("binaryData", Kind::Base64),
            field("seq", Kind::Count),
            HEADERS,
            field("producerId", Kind::Text),
            field("producerEpoch", Kind::Count),
            field("producerSeq", Kind::Count),
        ],
    },
    Action { name: "append-batch", by: By::Adapter, fields: &[path(), required("items", Kind::AppendItems), HEADERS] },
    Action {
        name: "idempotent-append",
        by: By::Adapter,
        fields: &[path(), vars("data", Kind::Text), PRODUCER_ID, EPOCH, AUTO_CLAIM, HEADERS],
    },
    Action {
        name: "idempotent-append-batch",
        by: By::Adapter,
        fields: &[
            path(),
            Field { name: "items", kind: Kind::BatchItems, vars: true, required: true },
            field("times", Kind::Count),
            PRODUCER_ID,
            EPOCH,
            AUTO_CLAIM,
            field("maxInFlight", Kind::Count),
            HEADERS,
        ],
    },
    Action {
        name: "idempotent-close",
        by: By::Adapter,
        fields: &[path(), vars("data", Kind::Text), PRODUCER_ID, EPOCH, AUTO_CLAIM, HEADERS],
    },
    Action { name: "idempotent-detach", by: By::Adapter, fields: &[path(), PRODUCER_ID, EPOCH, AUTO_CLAIM, HEADERS] },
    Action { name: "idempotent-restart", by: By::Adapter, fields: &[path(), PRODUCER_ID, EPOCH] },
    Action {
        name: "read",
        by: By::Adapter,
        fields: &[
            path(),
            vars("offset", Kind::Text),
            field("live", Kind::Live),
            field("timeoutMs", Kind::Count),
            field("maxChunks", Kind::Count),
            field("waitForUpToDate", Kind::Bool),
            HEADERS,
            field("background", Kind::Bool),
            field("as", Kind::Text),
            vars("cursor", Kind::Text),
            vars("ifNoneMatch", Kind::Text),
            field("readers", Kind::Count),
        ],
    },
    Action { name: "await", by: By::Runner, fields: &[required("ref", Kind::Text)] },
    Action { name: "head", by: By::Adapter, fields: &[path(), HEADERS] },
    Action { name: "delete", by: By::Adapter, fields: &[path(), HEADERS] },
    Action {
        name: "close",
        by: By::Adapter,
        fields: &[path(), field("data", Kind::Text), field("contentType", Kind::Text), HEADERS],
    },
    Action {
        name: "server-append",
        by: By::Runner,
        fields: &[
            path(),
            vars("data", Kind::Text),
            HEADERS,
            field("producerId", Kind::Text),
            field("producerEpoch", Kind::Count),
            field("producerSeq", Kind::Count),
        ],
    },
    Action {
        name: "server-close",
        by: By::Runner,
        fields: &[path(), field("data", Kind::Text), field("contentType", Kind::Text), HEADERS],
    },
    Action { name: "server-delete", by: By::Runner, fields: &[path()] },
    Action { name: "server-read", by: By::Runner, fields: &[path(), vars("offset", Kind::Text), HEADERS] },
    Action { name: "wait", by: By::Silent, fields: &[required("ms", Kind::Count)] },
    Action {
        name: "set",
        by: By::Silent,
        fields: &[required("name", Kind::Text), vars("value", Kind::Text), field("repeat", Kind::Count)],
    },
    Action {
        name: "assert",
        by: By::Silent,
        fields: &[
            vars("equals", Kind::Any),
            vars("notEquals", Kind::Any),
            vars("contains", Kind::Any),
            vars("matches", Kind::Any),
            field("message", Kind::Text),
        ],
    },
    Action {
        name: "inject-error",
        by: By::Silent,
        fields: &[
            path(),
            field("count", Kind::Count),
            field("method", Kind::Text),
            field("probability", Kind::Number),
            field("delayMs", Kind::Count),
            field("jitterMs", Kind::Count),
            field("dropConnection", Kind::Bool),
            field("status", Kind::Count),
            field("retryAfter", Kind::Count),
            field("truncateBodyBytes", Kind::Count),
            field("corruptBody", Kind::Bool),
            field("injectSseEvent", Kind::Any),
        ],
    },
    Action { name: "clear-errors", by: By::Silent, fields: &[] },
    Action {
        name: "set-dynamic-header",
        by: By::Adapter,
        fields: &[required("name", Kind::Text), required("valueType", Kind::Text), field("initialValue", Kind::Text)],
    },
    Action {
        name: "set-dynamic-param",
        by: By::Adapter,
        fields: &[required("name", Kind::Text), required("valueType", Kind::Text), field("initialValue", Kind::Text)],
    },
    Action { name: "clear-dynamic", by: By::Adapter, fields: &[] },
    Action { name: "reset", by: By::Silent, fields: &[] },
    Action { name: "validate", by: By::Adapter, fields: &[required("target", Kind::Any)] },
    Action {
        name: "configure",
        by: By::Adapter,
        fields: &[field("longPollTimeoutMs", Kind::Count), field("requestTimeoutMs", Kind::Count)],
    },
    Action {
        name: "wire",
        by: By::Silent,
        fields: &[
            path(),
            field("method", Kind::Text),
            field("query", Kind::Any),
            field("headers", Kind::Any),
            field("skip", Kind::Count),
            field("count", Kind::Count),
            field("answer", Kind::Any),
            field("edit", Kind::Any),
            field("lose", Kind::Bool),
            field("hold", Kind::Bool),
            field("delayMs", Kind::Count),
            field("untilAnswered", Kind::Count),
        ],
    },
    Action { name: "clear-wire", by: By::Silent, fields: &[] },
    Action { name: "mark", by: By::Silent, fields: &[required("name", Kind::Text)] },
    Action {
        name: "expect-requests",
        by: By::Silent,
        fields: &[
            path(),
            field("since", Kind::Text),
            field("method", Kind::Text),
            field("where", Kind::Any),
            field("count", Kind::Count),
            field("atLeast", Kind::Count),
            field("atMost", Kind::Count),
            field("each", Kind::Any),
            field("list", Kind::Any),
            field("first", Kind::Any),
            field("last", Kind::Any),
            field("same", Kind::Texts),
            field("different", Kind::Texts),
            field("maxOverlap", Kind::Count),
            field("minOverlap", Kind::Count),
            field("firstAlone", Kind::Bool),
            field("gapMs", Kind::Any),
            field("abandoned", Kind::Bool),
            field("withinMs", Kind::Count),
        ],
    },
];

/// Every key of `expect`.
pub static EXPECTATIONS: &[Field] = &[
    field("status", Kind::Count),
    field("statusAnyOf", Kind::Counts),
    field("errorCode", Kind::Text),
    field("errorCodeAnyOf", Kind::Texts),
    field("messageContains", Kind::Texts),
    field("errorContains", Kind::Text),
    field("error", Kind::Bool),
    field("success", Kind::Bool),
    field("valid", Kind::Bool),
    field("details", Kind::Any),
    field("data", Kind::Text),
    field("dataContains", Kind::Text),
    field("dataContainsAll", Kind::Texts),
    field("dataExact", Kind::Texts),
    field("messages", Kind::Any),
    field("countedTo", Kind::Count),
    field("bytes", Kind::Base64),
    vars("sameDataAs", Kind::Text),
    field("dataLength", Kind::Count),
    field("upToDate", Kind::Bool),
    field("streamClosed", Kind::Bool),
    field("finalOffset", Kind::Text),
    vars("sameFinalOffsetAs", Kind::Text),
    vars("sameOffsetAs", Kind::Text),
    vars("otherOffsetThan", Kind::Text),
    field("chunkCount", Kind::Count),
    field("minChunks", Kind::Count),
    field("maxChunks", Kind::Count),
    field("contentType", Kind::Text),
    field("hasOffset", Kind::Bool),
    field("ttlSeconds", Kind::Count),
    field("expiresAt", Kind::Text),
    field("headersSent", Kind::Headers),
    field("paramsSent", Kind::Headers),
    field("duplicate", Kind::Bool),
    field("producerEpoch", Kind::Count),
    field("producerSeq", Kind::Count),
    field("producerExpectedSeq", Kind::Count),
    field("producerReceivedSeq", Kind::Count),
    field("allSucceed", Kind::Bool),
    field("succeedIndices", Kind::Counts),
    field("failIndices", Kind::Counts),
    field("cursor", Kind::Text),
    field("withinMs", Kind::Count),
    field("afterMs", Kind::Count),
    field("storeOffsetAs", Kind::Text),
    field("storeDataAs", Kind::Text),
    field("storeAs", Kind::Text),
];
