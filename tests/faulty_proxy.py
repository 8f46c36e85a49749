"""A proxy that does to a real server's replies what networks and servers do, and counts.

Faults are told by persona, one for each attempt in turn; after the last, replies pass untouched. So
success is never made up here: it always comes from the server behind.
"""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SAID = {
    "malformed": '{"home_0": 10, "out_0": ',
    "eval": "__import__('os').system('true')",
    "wrong number": '{"home_0": 900, "out_0": 1}',
    "off-schema": '{"home": 10, "out_0": 90}',
    "text for a number": '{"home_0": "10", "out_0": 90}',
    "none": '{"home_0": NaN, "out_0": 90}',
}


@dataclass
class Proxy:
    """What came and what went.

    Attributes:
        upstream: address of the real server.
        faults: by text that stands in a persona's description.
        seen: requests by the same.
        tokens: of replies that the server made, whether or not they were passed on.
        at_once: the most requests that were ever under way together.
    """

    upstream: str
    faults: Mapping[str, Sequence[str]]
    slow: float = 0.0
    url: str = ""
    seen: dict[str, int] = field(default_factory=dict)
    tokens: int = 0
    at_once: int = 0
    keys: set[str] = field(default_factory=set)
    _running: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def requests(self) -> int:
        return sum(self.seen.values())

    def take(self, body: bytes) -> str:
        """The fault for this request, if any."""
        system = json.loads(body)["messages"][0]["content"]
        with self._lock:
            self._running += 1
            self.at_once = max(self.at_once, self._running)
            name = next((n for n in self.faults if n in system), system)
            number = self.seen.get(name, 0)
            self.seen[name] = number + 1
            faults = self.faults.get(name, ())
            return faults[number] if number < len(faults) else ""

    def leave(self) -> None:
        with self._lock:
            self._running -= 1

    def ask_server(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        request = urllib.request.Request(
            f"{self.upstream}/v1/chat/completions", data=body, method="POST"
        )
        request.add_header("Content-Type", "application/json")
        request.add_header("Authorization", headers.get("Authorization", ""))
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                status, data = reply.status, reply.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        with self._lock:
            self.tokens += json.loads(data)["usage"]["total_tokens"]
        return status, data


@contextmanager
def faulty_proxy(
    upstream: str, faults: Mapping[str, Sequence[str]], slow: float = 0.0
) -> Iterator[Proxy]:
    """The proxy, on a free port of this machine; `slow` is what the fault of that name takes."""
    proxy = Proxy(upstream, faults, slow)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield proxy
    finally:
        proxy.done.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            proxy.keys.add(self.headers.get("Authorization", ""))
            fault = proxy.take(body)
            try:
                self.act(fault, body)
            except (BrokenPipeError, ConnectionResetError):
                pass
            finally:
                proxy.leave()

        def act(self, fault: str, body: bytes) -> None:
            if fault.isdigit():
                wait = {"Retry-After": "0.01"} if fault == "429" else {}
                told = {"error": {"message": f"planted {fault}", "code": int(fault)}}
                self.send(int(fault), json.dumps(told).encode(), wait)
                return
            if fault == "drop":
                self.close_connection = True
                return
            if fault == "slow":
                proxy.done.wait(proxy.slow)
            status, data = proxy.ask_server(self.headers, body)
            if fault in SAID:
                came = json.loads(data)
                came["choices"][0]["message"]["content"] = SAID[fault]
                came["choices"][0]["finish_reason"] = "stop"
                data = json.dumps(came).encode()
            elif fault == "truncation":
                came = json.loads(data)
                said = came["choices"][0]["message"]["content"]
                came["choices"][0]["message"]["content"] = said[: len(said) // 2]
                came["choices"][0]["finish_reason"] = "length"
                data = json.dumps(came).encode()
            elif fault == "refusal":
                came = json.loads(data)
                came["choices"][0]["message"] = {
                    "role": "assistant",
                    "content": None,
                    "refusal": "I would rather not say.",
                }
                data = json.dumps(came).encode()
            elif fault == "broken body":
                data = data[: len(data) // 2]
            elif fault == "no choices":
                data = b'{"choices": null, "object": "chat.completion"}'
            self.send(status, data, {}, cut=fault == "mid-stream drop")

        def send(
            self, status: int, data: bytes, headers: Mapping[str, str], cut: bool = False
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if cut else data)
            self.close_connection = cut

    return Handler
