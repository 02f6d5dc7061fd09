"""Tokens of a language model as a durable stream.

`generate` plays the model and writes each token as it comes, through an idempotent producer: run
again after a crash it stores nothing twice, since every token has its number. `watch` prints the answer as it grows and
keeps its position in a file: cut off at any moment and started again, it prints exactly the rest.
"""

import argparse
import asyncio
import pathlib
import typing

from durable_streams import AsyncDurableStream, IdempotentProducer, StreamClosedError, StreamExistsError


async def model(prompt: str, pause: float) -> typing.AsyncIterator[str]:
    """Stands for a language model."""
    for word in f"You asked: {prompt} Here is a long answer, word by word. The end.".split(" "):
        await asyncio.sleep(pause)
        yield word + " "


async def generate(url: str, prompt: str, pause: float) -> None:
    try:
        answer = await AsyncDurableStream.create(url, content_type="application/json")
    except StreamExistsError:
        # With the same settings it is no error; so this one is complete, or not ours.
        answer = await AsyncDurableStream.connect(url)
    # One token, one number: what a second run repeats is known by it.
    producer = IdempotentProducer(answer, producer_id="model", linger_ms=0, max_batch_items=1)
    try:
        async with answer, producer:
            async for token in model(prompt, pause):
                # Does not wait: the model sets the pace, the producer batches and repeats.
                producer.append_nowait({"token": token})
            # Readers see this as the end; whoever reads later gets the whole answer.
            await producer.close_stream()
    except StreamClosedError:
        print("this answer is complete already")


async def watch(url: str, checkpoint: pathlib.Path) -> None:
    offset = checkpoint.read_text() if checkpoint.exists() else "-1"
    async with AsyncDurableStream(url) as answer, answer.stream(offset=offset, live="sse") as res:
        async for event in res.iter_events(mode="json_batches"):
            print("".join(item["token"] for item in event.data or []), end="", flush=True)
            # After printing: what has not been printed is read again.
            checkpoint.write_text(event.next_offset)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    generating = commands.add_parser("generate")
    generating.add_argument("url")
    generating.add_argument("prompt")
    generating.add_argument("--pause", type=float, default=0.05, help="seconds between tokens")
    watching = commands.add_parser("watch")
    watching.add_argument("url")
    watching.add_argument("--checkpoint", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    if arguments.command == "generate":
        asyncio.run(generate(arguments.url, arguments.prompt, arguments.pause))
    else:
        asyncio.run(watch(arguments.url, arguments.checkpoint))


if __name__ == "__main__":
    main()
