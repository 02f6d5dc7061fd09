"""The event loops that the client works on."""

import asyncio

import anyio
import trio

from releases import released

uvloop = released("uvloop")


def on_asyncio(main):
    return asyncio.run(main())


def on_uvloop(main):
    loop = uvloop.new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main())
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()


def on_trio(main):
    return trio.run(main)


def on_anyio_asyncio(main):
    return anyio.run(main, backend="asyncio")


def on_anyio_trio(main):
    return anyio.run(main, backend="trio")


LOOPS = {
    "asyncio": on_asyncio,
    "uvloop": on_uvloop,
    "trio": on_trio,
    "anyio-asyncio": on_anyio_asyncio,
    "anyio-trio": on_anyio_trio,
}
if uvloop is None:
    del LOOPS["uvloop"]
