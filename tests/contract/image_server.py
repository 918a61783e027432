"""An image service for tests: serves and takes bytes on loopback, counts, and misbehaves on order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ImageServer:
    """One image at `url`. `status` other than 200 is answered with no body; `declared_length` may lie.

    `received` has the bytes of each PUT, `promised` what each said of their checksum; `put_status` is the answer.
    """

    def __init__(self) -> None:
        self.content = b""
        self.status = 200
        self.declared_length: int | None = None
        self.requests = 0
        self.received: list[bytes] = []
        self.promised: list[str] = []
        self.put_status = 204
        self.put_words = b""
        self.gate = threading.Event()  # cleared: bodies wait
        self.gate.set()
        self.asked = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """The signed URL of the image."""
        return f"http://127.0.0.1:{self._server.server_port}/image?signature=secret-signature"

    @contextmanager
    def running(self) -> Iterator[ImageServer]:
        """Serves while inside it."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.gate.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with service._lock:
                    service.requests += 1
                service.asked.set()
                body = service.content if service.status == 200 else b""
                length = len(body) if service.declared_length is None else service.declared_length
                self.send_response(service.status)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                service.gate.wait(30)
                self.wfile.write(body)

            def do_PUT(self) -> None:
                service.received.append(self.rfile.read(int(self.headers["Content-Length"])))
                service.promised.append(self.headers.get("X-Image-Sha512", ""))
                self.send_response(service.put_status)
                self.send_header("Location", service.url)
                self.send_header("Content-Length", str(len(service.put_words)))
                self.end_headers()
                self.wfile.write(service.put_words)

            def log_message(self, *args: object) -> None:
                pass

        return Handler
