"""No client at all: httpx, json and orjson, with the protocol followed by hand."""

import json
import sys
import time

import httpx
import orjson
import work

SERVER = sys.argv[2]


def pages(url):
    """The bodies of a catch-up read."""
    with httpx.Client(timeout=60) as client:
        offset = "-1"
        while True:
            answer = client.get(url, params={"offset": offset}).raise_for_status()
            yield answer.content
            if "stream-up-to-date" in answer.headers:
                return
            offset = answer.headers["stream-next-offset"]


def read_json():
    started = time.perf_counter()
    count = sum(len(json.loads(page)) for page in pages(work.json_url(SERVER)))
    assert count == work.MESSAGES, count
    work.report(messages_per_second=work.rate(count, started))


def orjson_in_memory():
    """The floor: making the objects, from the same bodies, without a network."""
    bodies = list(pages(work.json_url(SERVER)))
    started = time.perf_counter()
    count = sum(len(orjson.loads(body)) for body in bodies)
    assert count == work.MESSAGES, count
    work.report(messages_per_second=work.rate(count, started))


def create(name, content_type):
    url = work.new_url(SERVER, name)
    httpx.put(url, headers={"Content-Type": content_type}).raise_for_status()
    return url


def produce_dicts():
    messages = [work.message(number) for number in range(work.MESSAGES // 5)]
    url = create("plain-dicts", "application/json")
    headers = {"Content-Type": "application/json"}
    with httpx.Client() as client:
        started = time.perf_counter()
        for start in range(0, len(messages), work.BATCH):
            batch = json.dumps(messages[start : start + work.BATCH], separators=(",", ":"))
            client.post(url, content=batch, headers=headers).raise_for_status()
        work.report(messages_per_second=work.rate(len(messages), started))


def produce_bytes():
    payload = b"x" * work.MESSAGE_BYTES
    url = create("plain-bytes", "application/octet-stream")
    headers = {"Content-Type": "application/octet-stream"}
    count = 2_000
    with httpx.Client() as client:
        started = time.perf_counter()
        for _ in range(count):
            client.post(url, content=payload, headers=headers).raise_for_status()
        work.report(messages_per_second=work.rate(count, started))


WORK = {
    "read-json": read_json,
    "orjson": orjson_in_memory,
    "produce-dicts": produce_dicts,
    "produce-bytes": produce_bytes,
}

if __name__ == "__main__":
    WORK[sys.argv[1]]()
