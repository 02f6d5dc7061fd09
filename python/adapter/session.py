"""What is kept between commands: content types, producers, dynamic values, time limits."""

import time

import durable_streams as ds
from outcome import NotSupported, success

FEATURES = [
    "batching",
    "sse",
    "longPoll",
    "auto",
    "streaming",
    "dynamicHeaders",
    "retryOptions",
    "batchItems",
    "strictZeroValidation",
    "configure",
    "etag",
    "cursor",
    "fork",
    "producerRestart",
    "requestCounter",
    "errorDetails",
    "appendProducer",
    "readers",
    "failingProvider",
    "sseIdle",
]
OCTETS = "application/octet-stream"


class Session:
    """Everything kept between commands."""

    def __init__(self, mode):
        self.mode = mode
        self._forget("")

    def _forget(self, server_url):
        self.server_url = server_url
        self.content_types = {}
        self.producers = {}
        self.headers = {}
        self.params = {}
        self.limits = {}

    async def init(self, command):
        self._forget(command["serverUrl"].rstrip("/"))
        return success(
            "init",
            clientName=f"durable-streams (Python, {self.mode.name})",
            clientVersion=ds.__version__,
            features=dict.fromkeys(FEATURES, True),
        )

    async def configure(self, command):
        """Time limits of the client from now on."""
        names = {
            "requestTimeoutMs": "timeout",
            "longPollTimeoutMs": "long_poll_timeout",
            "sseIdleTimeoutMs": "sse_idle_timeout",
        }
        self.limits = {names[key]: command[key] / 1000 for key in names if key in command}
        return success("configure")

    def stream(self, command, sent=None):
        """The handle of a command, with the content type known from earlier ones."""
        headers = dict(command.get("headers", {}))
        params = {}
        if sent is not None:
            sent.add_to(headers, params, self.mode)
        return self.mode.stream_class(
            self.server_url + command["path"],
            headers=headers,
            params=params,
            content_type=self.content_type(command),
            **self.limits,
        )

    def content_type(self, command):
        return self.content_types.get(command["path"], OCTETS)

    def is_json(self, command):
        media_type = command.get("contentType") or self.content_type(command)
        return media_type.split(";")[0].strip().lower() == "application/json"

    def learn(self, command, content_type):
        """Remembers the content type of a path, or forgets it."""
        if content_type:
            self.content_types[command["path"]] = content_type
        else:
            self.content_types.pop(command["path"], None)

    def sent(self, command):
        """The dynamic values of one command."""
        for dynamic in (*self.headers.values(), *self.params.values()):
            dynamic.count_command()
        return Sent(self, command)

    async def set_dynamic_header(self, command):
        self.headers[command["name"]] = Dynamic(command)
        return success("set-dynamic-header")

    async def set_dynamic_param(self, command):
        self.params[command["name"]] = Dynamic(command)
        return success("set-dynamic-param")

    async def clear_dynamic(self, _command):
        self.headers.clear()
        self.params.clear()
        return success("clear-dynamic")


class Dynamic:
    """A header or parameter whose value changes; the client gets it as a function."""

    def __init__(self, command):
        self.kind = command["valueType"]
        if self.kind not in ("counter", "request-counter", "timestamp", "token", "failing"):
            raise NotSupported(f"there is no valueType {self.kind!r}")
        # What a token is, or why a function fails.
        self.text = command.get("initialValue", "")
        self.count = 0

    def count_command(self):
        if self.kind != "request-counter":
            self.count += 1

    def next(self):
        if self.kind == "request-counter":
            self.count += 1
        if self.kind == "timestamp":
            return str(time.time_ns() // 1_000_000)
        if self.kind == "failing":
            raise RuntimeError(self.text)
        return self.text if self.kind == "token" else str(self.count)


class Sent:
    """Which dynamic values a command has sent."""

    def __init__(self, session, command):
        own = {name.lower() for name in command.get("headers", {})}
        self.sources = {
            # What the command says itself wins.
            "headersSent": {name: value for name, value in session.headers.items() if name.lower() not in own},
            "paramsSent": session.params,
        }
        self.values = {"headersSent": {}, "paramsSent": {}}

    def add_to(self, headers, params, mode):
        for name in self.sources["headersSent"]:
            headers[name] = mode.dynamic(self._evaluated("headersSent", name))
        for name in self.sources["paramsSent"]:
            params[name] = self._evaluated("paramsSent", name)

    def _evaluated(self, key, name):
        dynamic = self.sources[key][name]

        def evaluate():
            self.values[key][name] = dynamic.next()
            return self.values[key][name]

        return evaluate

    def fields(self):
        """The fields of a result."""
        return {key: values for key, values in self.values.items() if values}
