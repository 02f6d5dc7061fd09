"""Messages as Python programs want them: plain, mapped by a function, or as a model's type.

``type=`` takes whatever pydantic or msgspec can validate, a dataclass, or a callable. The two
libraries are not needed; whichever defines the type does the work, straight from the batch's
JSON text, in one call.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any, Callable, List, Optional

from . import _durable_streams as _native
from ._errors import DurableStreamError

if TYPE_CHECKING:
    from ._reading import Response

Decode = Optional[Callable[[Any], Any]]
Items = Callable[["_native.Batch", "Response"], List[Any]]


class InvalidItemError(DurableStreamError, ValueError):
    """A message is not what ``type=`` asks for. ``__cause__`` says why."""

    item: Any
    """The message."""
    index: int
    """Its place in the answer it came in, from 0."""
    offset: str
    """Where that answer began: reading from here brings the message again."""


def decoder(decode: Decode, kind: Any) -> Items:
    """The function that turns a batch into items."""
    if kind is None:
        if decode is None:
            return _plain
        mapped = decode
        return lambda batch, response: _each(mapped, _plain(batch, response), response)
    if decode is not None:
        raise TypeError("decode and type exclude each other; set one of them")
    return _of_type(kind)


def _plain(batch: _native.Batch, response: "Response") -> List[Any]:
    try:
        value = batch.json()
    except (ValueError, RecursionError) as error:
        from ._reading import parse_error

        raise parse_error(response, f"the data is not JSON: {error}") from error
    # A lone value on a stream that is not in JSON mode is one message.
    return value if isinstance(value, list) else [value]


def _each(decode: Callable[[Any], Any], items: List[Any], _response: "Response") -> List[Any]:
    return [decode(item) for item in items]


def _of_type(kind: Any) -> Items:
    msgspec = sys.modules.get("msgspec")
    if msgspec is not None and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _msgspec(msgspec, kind)
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None:
        if isinstance(kind, pydantic.TypeAdapter):
            return _one_by_one(kind.validate_python)
        if isinstance(kind, type) and (
            issubclass(kind, pydantic.BaseModel) or hasattr(kind, "__pydantic_validator__")
        ):
            return _pydantic(pydantic, kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        made = kind
        return _one_by_one(lambda item: made(**item))
    if isinstance(kind, type) or not callable(kind):
        # Generic aliases, TypedDict and the like, for whichever library is in use.
        if msgspec is not None:
            return _msgspec(msgspec, kind)
        if pydantic is not None:
            return _pydantic(pydantic, kind)
        if not callable(kind):
            raise TypeError(f"type: {kind!r} needs pydantic or msgspec, and neither is imported")
    return _one_by_one(kind)


def _msgspec(msgspec: Any, kind: Any) -> Items:
    whole = msgspec.json.Decoder(List[kind])
    one = msgspec.json.Decoder(kind)
    return _in_one_call(whole.decode, lambda item: one.decode(_text(item)), msgspec.DecodeError)


def _pydantic(pydantic: Any, kind: Any) -> Items:
    whole = pydantic.TypeAdapter(List[kind])
    one = pydantic.TypeAdapter(kind)
    return _in_one_call(whole.validate_json, lambda item: one.validate_json(_text(item)), ValueError)


def _in_one_call(whole: Callable[[bytes], List[Any]], one: Callable[[Any], Any], failure: Any) -> Items:
    def decode(batch: _native.Batch, response: "Response") -> List[Any]:
        try:
            return whole(batch.bytes())
        except failure:
            # Once more, to find the one that is wrong.
            return _checked(one, _plain(batch, response), response)

    return decode


def _one_by_one(one: Callable[[Any], Any]) -> Items:
    return lambda batch, response: _checked(one, _plain(batch, response), response)


def _checked(one: Callable[[Any], Any], items: List[Any], response: "Response") -> List[Any]:
    made = []
    for index, item in enumerate(items):
        try:
            made.append(one(item))
        except Exception as error:
            offset = response._before
            refused = InvalidItemError(
                f"{response.url}: message {index} after offset {offset} is not what was asked for: {error}",
                None,
                "INVALID_ITEM",
            )
            refused.url, refused.item, refused.index, refused.offset = response.url, item, index, offset
            raise refused from error
    return made


def _text(item: Any) -> bytes:
    return json.dumps(item).encode()
