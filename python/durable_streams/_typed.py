"""Messages as Python programs want them: plain, mapped by a function, or as a model's type.

``type=`` takes whatever pydantic or msgspec can validate, a dataclass, or a callable. The two
libraries are not needed; whichever defines the type does the work, straight from the batch's
JSON text, in one call.
"""

from __future__ import annotations

import dataclasses
import sys
import typing
from typing import TYPE_CHECKING, Any, Callable, List, Optional

from . import _durable_streams as _native
from ._errors import DurableStreamError

if TYPE_CHECKING:
    from ._reading import Response

Decode = Optional[Callable[[Any], Any]]

class InvalidItemError(DurableStreamError, ValueError):
    """A message is not what ``type=`` asks for. ``__cause__`` says why."""

    item: Any
    """The message."""
    index: int
    """Its place among the messages of the answer it came in, from 0."""
    offset: str
    """Where that answer began: reading from here brings the message again."""


class RefusedItem(Exception):
    """A message did not fit: what is before it, why, and what is behind it, still plain."""

    def __init__(self, before: List[Any], error: InvalidItemError, behind: List[Any]) -> None:
        super().__init__()
        self.before = before
        self.error = error
        self.behind = behind


class Decoder:
    """Messages as JSON gives them."""

    in_parts = True
    """Whether a batch may come part by part."""

    def batch(self, batch: _native.Batch, response: "Response") -> List[Any]:
        """The messages of a batch."""
        return self.rest(plain(batch, response), response)

    def rest(self, items: List[Any], response: "Response", first: int = 0) -> List[Any]:
        """Plain messages, made into what was asked for; the first has this place in its answer."""
        return items


class Mapped(Decoder):
    """Each message through a function."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def rest(self, items: List[Any], response: "Response", first: int = 0) -> List[Any]:
        return [self._function(item) for item in items]


class Typed(Decoder):
    """Each message through a function that may refuse it."""

    in_parts = False

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def rest(self, items: List[Any], response: "Response", first: int = 0) -> List[Any]:
        made = []
        for index, item in enumerate(items):
            try:
                made.append(self._function(item))
            except Exception as error:
                refused = _refused(item, first + index, error, response)
                raise RefusedItem(made, refused, items[index + 1 :]) from None
        return made


class InOneCall(Typed):
    """A whole batch of JSON text at once, by a library that validates as it parses."""

    def __init__(self, whole: Callable[[bytes], List[Any]], one: Callable[[Any], Any], failure: Any) -> None:
        super().__init__(one)
        self._whole = whole
        self._failure = failure

    def batch(self, batch: _native.Batch, response: "Response") -> List[Any]:
        try:
            return self._whole(batch.bytes())
        except self._failure:
            # Once more, to find the one that is wrong.
            return self.rest(plain(batch, response), response)


def decoder(decode: Decode, kind: Any) -> Decoder:
    """What turns batches into items."""
    if kind is None:
        return Decoder() if decode is None else Mapped(decode)
    if decode is not None:
        raise TypeError("decode and type exclude each other; set one of them")
    return _of_type(kind)


def plain(batch: _native.Batch, response: "Response") -> List[Any]:
    """The messages of a batch as dicts, lists and so on."""
    try:
        value = batch.json()
    except (ValueError, RecursionError) as error:
        from ._reading import parse_error

        raise parse_error(response, f"the data is not JSON: {error}") from error
    # A lone value on a stream that is not in JSON mode is one message.
    return value if isinstance(value, list) else [value]


def _of_type(kind: Any) -> Decoder:
    msgspec = sys.modules.get("msgspec")
    if msgspec is not None and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _msgspec(msgspec, kind)
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None:
        if isinstance(kind, pydantic.TypeAdapter):
            return Typed(kind.validate_python)
        if isinstance(kind, type) and (
            issubclass(kind, pydantic.BaseModel) or hasattr(kind, "__pydantic_validator__")
        ):
            return _pydantic(pydantic, kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        made = kind
        return Typed(lambda item: made(**item))
    if callable(kind) and not isinstance(kind, type) and typing.get_origin(kind) is None:
        return Typed(kind)
    # Generic aliases, TypedDict and the like, for whichever library is in use.
    if msgspec is not None:
        return _msgspec(msgspec, kind)
    if pydantic is not None:
        return _pydantic(pydantic, kind)
    if isinstance(kind, type):
        return Typed(kind)
    raise TypeError(f"type: {kind!r} needs pydantic or msgspec, and neither is imported")


def _msgspec(msgspec: Any, kind: Any) -> Decoder:
    whole = msgspec.json.Decoder(List[kind])
    one = msgspec.json.Decoder(kind)
    return InOneCall(whole.decode, lambda item: one.decode(_native.json_dumps(item)), msgspec.DecodeError)


def _pydantic(pydantic: Any, kind: Any) -> Decoder:
    whole = pydantic.TypeAdapter(List[kind])
    one = pydantic.TypeAdapter(kind)
    return InOneCall(whole.validate_json, lambda item: one.validate_json(_native.json_dumps(item)), ValueError)


def _refused(item: Any, index: int, error: Exception, response: "Response") -> InvalidItemError:
    offset = response._before
    refused = InvalidItemError(
        f"{response.url}: message {index} after offset {offset} is not what was asked for: {error}", None, "INVALID_ITEM"
    )
    refused.url, refused.item, refused.index, refused.offset = response.url, item, index, offset
    refused.__cause__ = error
    return refused
