"""Arguments that must be refused before anything is sent."""

import re

import durable_streams as ds
from outcome import NotSupported, success

NOWHERE = "http://127.0.0.1:9/validated"


async def validate(session, command):
    target = dict(command["target"])
    kind = target.pop("target", None)
    arguments = {snake(name): value for name, value in target.items()}
    try:
        if kind == "retry-options":
            session.mode.stream_class(NOWHERE, retry=ds.RetryOptions(**arguments))
        elif kind == "idempotent-producer":
            producer_id = arguments.pop("producer_id", "validated")
            session.mode.producer_class(NOWHERE, producer_id, content_type="text/plain", **arguments)
        else:
            raise NotSupported(f"there is no target {kind!r}")
    except ValueError as problem:
        # The runner looks for the protocol's spelling of a field; Python has its own.
        raise ValueError(re.sub(r"_([a-z])", lambda found: found[1].upper(), str(problem))) from problem
    return success("validate")


def snake(name):
    return re.sub(r"[A-Z]", lambda found: "_" + found[0].lower(), name)
