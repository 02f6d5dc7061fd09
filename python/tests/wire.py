"""A scripted HTTP/1.1 server: records requests, holds answers back, notices clients that leave."""

import queue
import socket
import threading
from urllib.parse import parse_qsl, urlsplit

PATIENCE = 10.0


class Request:
    """What came in."""

    def __init__(self, method, target, headers, body):
        parts = urlsplit(target)
        self.method = method
        self.path = parts.path
        self.params = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.headers = headers
        self.body = body


class Answer:
    """What goes out: whole, or held before or after its body."""

    def __init__(self, status=200, headers=None, body=b"", *, hold_head=False, hold_body=False, drop=False):
        self.status = status
        self.headers = dict(headers or {})
        self.body = body
        self.hold_head = hold_head
        self.hold_body = hold_body
        self.drop = drop


def up_to_date(body=b"", offset="b", content_type="text/plain", **more):
    """The answer of a stream whose end has been reached."""
    headers = {"Content-Type": content_type, "Stream-Next-Offset": offset, "Stream-Up-To-Date": "true"}
    return Answer(200, {**headers, **more}, body)


# Answers never; the client has to leave.
SILENCE = Answer(hold_head=True)
# Answers an SSE head and nothing more.
OPEN_SSE = Answer(200, {"Content-Type": "text/event-stream"}, hold_body=True)


class Wire:
    """The server. `answer` decides; `arrived` and `left` are events to wait for."""

    def __init__(self):
        self.answer = lambda request: SILENCE
        self.requests = []
        self._arrivals = queue.Queue()
        self._departures = queue.Queue()
        self._connections = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1/stream/scripted"

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.close()

    def script(self, *answers):
        """Answers in this order, then silence."""
        left = list(answers)
        self.answer = lambda request: left.pop(0) if left else SILENCE

    def arrived(self):
        """Waits for the next request."""
        return self._arrivals.get(timeout=PATIENCE)

    def left(self):
        """Waits until a client has left a request that was held."""
        return self._departures.get(timeout=PATIENCE)

    def nobody_left(self):
        return self._departures.empty()

    def close_connections(self):
        """Hangs up on everybody, also on who waits for an answer."""
        while self._connections:
            try:
                self._connections.pop().shutdown(socket.SHUT_RDWR)
            except OSError:
                # It is closed already.
                continue

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection):
        with connection, connection.makefile("rb") as incoming:
            try:
                while request := read_request(incoming):
                    self.requests.append(request)
                    self._arrivals.put(request)
                    answer = self.answer(request)
                    if answer.drop or not self._send(connection, incoming, request, answer):
                        return
            except OSError:
                return

    def _send(self, connection, incoming, request, answer):
        try:
            self._send_what_there_is(connection, request, answer)
            if not (answer.hold_head or answer.hold_body):
                return True
            incoming.read(1)
        except OSError:
            # It has left already.
            pass
        self._departures.put(request)
        return False

    def _send_what_there_is(self, connection, request, answer):
        if not answer.hold_head:
            length = {} if answer.hold_body else {"Content-Length": str(len(answer.body))}
            lines = [f"HTTP/1.1 {answer.status} X"]
            lines += [f"{name}: {value}" for name, value in {**answer.headers, **length}.items()]
            if answer.hold_body:
                lines.append("Connection: close")
            connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
            if request.method != "HEAD":
                connection.sendall(answer.body)


def read_request(incoming):
    line = incoming.readline()
    # A client that leaves may have sent a part of it.
    if not line.endswith(b"\n") or not line.strip():
        return None
    method, target, _ = line.decode().split(" ", 2)
    headers = {}
    while (line := incoming.readline().strip()):
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(incoming.readline().strip() or b"0", 16):
            body += incoming.read(size)
            incoming.readline()
        incoming.readline()
    else:
        body = incoming.read(int(headers.get("content-length", 0)))
    return Request(method, target, headers, body)
