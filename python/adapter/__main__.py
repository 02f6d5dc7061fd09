"""The Python client behind the conformance kit's adapter protocol.

One JSON command per line on standard input, one JSON result per line on standard output:

    python python/adapter --async [--backend asyncio|uvloop|trio]
    python python/adapter --sync

Both modes run the same code. `mode.py` holds what differs, `session.py` what is kept between
commands, `oneshot.py`, `read.py` and `produce.py` one function per command, `outcome.py` the
shape of results and errors.
"""

import argparse
import json
import sys

import benchmark
import oneshot
import produce
import read
import validate
from mode import AsyncMode, SyncMode
from outcome import NotSupported, error, failure, success
from session import Session


async def shutdown(_session, _command):
    return success("shutdown")


COMMANDS = {
    "init": Session.init,
    "configure": Session.configure,
    "shutdown": shutdown,
    "set-dynamic-header": Session.set_dynamic_header,
    "set-dynamic-param": Session.set_dynamic_param,
    "clear-dynamic": Session.clear_dynamic,
    "validate": validate.validate,
    "benchmark": benchmark.run,
    "create": oneshot.create,
    "connect": oneshot.connect,
    "append": oneshot.append,
    "head": oneshot.head,
    "delete": oneshot.delete,
    "close": oneshot.close,
    "read": read.read,
    "idempotent-append": produce.append,
    "idempotent-append-batch": produce.append_batch,
    "idempotent-close": produce.close,
    "idempotent-detach": produce.detach,
    "idempotent-restart": produce.restart,
}


async def serve(mode):
    session = Session(mode)
    while line := await mode.next_line():
        if not line.strip():
            continue
        try:
            command = json.loads(line)
        except ValueError as problem:
            write(error("init", "PARSE_ERROR", str(problem)))
            continue
        write(await perform(session, command))
        if command["type"] == "shutdown":
            return


async def perform(session, command):
    kind = command["type"]
    try:
        if kind not in COMMANDS:
            raise NotSupported(f"there is no command {kind!r}")
        return await COMMANDS[kind](session, command)
    # Cancellation and exit are no `Exception`.
    except Exception as problem:
        return failure(kind, problem)


def write(result):
    # ASCII only, so that nothing in it can be taken for the end of the line.
    print(json.dumps(result), flush=True)


def main():
    arguments = argparse.ArgumentParser(prog="adapter")
    style = arguments.add_mutually_exclusive_group(required=True)
    style.add_argument("--sync", action="store_true")
    style.add_argument("--async", dest="is_async", action="store_true")
    arguments.add_argument("--backend", choices=["asyncio", "uvloop", "trio"], default="asyncio")
    options = arguments.parse_args()
    mode = SyncMode() if options.sync else AsyncMode(options.backend)
    mode.run(serve)


if __name__ == "__main__":
    sys.exit(main())
