"""Durable Streams: append-only streams over HTTP that can be resumed from any offset, tailed
live, and written exactly once.

    from durable_streams import DurableStream

    meters = DurableStream.create("http://localhost:4437/v1/stream/meters", content_type="application/json")
    meters.append({"kwh": 3})
    with meters.stream(live=False) as res:
        for reading in res.iter_json():
            print(reading)

Read next: ``DurableStream`` and ``AsyncDurableStream`` for the operations, ``stream`` and
``astream`` to read, ``SyncProducer`` and ``IdempotentProducer`` to write exactly once,
``DurableStreamError`` for what can go wrong, ``durable_streams.testing`` for a server in tests.
"""

from ._async_response import AsyncStreamResponse, AsyncStreamSession
from ._async_stream import AsyncDurableStream
from ._durable_streams import __version__
from ._errors import (
    DurableStreamError,
    FetchError,
    HTTPStatusError,
    InvalidArgumentError,
    RetentionGoneError,
    SeqConflictError,
    SequenceGapError,
    SSEBytesIterationError,
    SSEEncodingError,
    SSENotSupportedError,
    SSEReadAllError,
    StaleEpochError,
    StreamClosedError,
    StreamConsumedError,
    StreamExistsError,
    StreamNotFoundError,
)
from ._follow import AsyncFollow, Follow
from ._functions import astream, stream
from ._producer import IdempotentProducer, SyncProducer
from ._receipt import Receipt, SyncReceipt
from ._response import StreamResponse
from ._source import AsyncSource, Source
from ._stream import DurableStream
from ._typed import InvalidItemError
from ._types import (
    AppendResult,
    AsyncHeadersLike,
    AsyncParamsLike,
    CloseResult,
    CreateResult,
    FlushResult,
    HeadersLike,
    HeadResult,
    IdempotentAppendResult,
    LiveMode,
    Offset,
    ParamsLike,
    RetryOptions,
    SSEEncoding,
    StreamEvent,
)

__all__ = [
    "AppendResult",
    "AsyncDurableStream",
    "AsyncFollow",
    "AsyncHeadersLike",
    "AsyncParamsLike",
    "AsyncSource",
    "AsyncStreamResponse",
    "AsyncStreamSession",
    "CloseResult",
    "CreateResult",
    "DurableStream",
    "DurableStreamError",
    "FetchError",
    "FlushResult",
    "Follow",
    "HTTPStatusError",
    "HeadResult",
    "HeadersLike",
    "IdempotentAppendResult",
    "IdempotentProducer",
    "InvalidArgumentError",
    "InvalidItemError",
    "LiveMode",
    "Offset",
    "ParamsLike",
    "Receipt",
    "RetentionGoneError",
    "RetryOptions",
    "SSEBytesIterationError",
    "SSEEncoding",
    "SSEEncodingError",
    "SSENotSupportedError",
    "SSEReadAllError",
    "SeqConflictError",
    "SequenceGapError",
    "Source",
    "StaleEpochError",
    "StreamClosedError",
    "StreamConsumedError",
    "StreamEvent",
    "StreamExistsError",
    "StreamNotFoundError",
    "StreamResponse",
    "SyncProducer",
    "SyncReceipt",
    "__version__",
    "astream",
    "stream",
]
