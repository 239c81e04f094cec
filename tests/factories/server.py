"""A local file server with the faults of the real ones."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Site:
    """What the server gives.

    Attributes:
        files: By path.
        faults: By path, what the next answers do: "cut" ends after half of what is left, a
            number is a status, "redirect" points to the same file and names its hash.
        ranges: Whether it gives parts of files.
        hashes: By path, what a redirect says.
        asked: Path and Range header of every request.
    """

    files: dict[str, bytes]
    faults: dict[str, list[str | int]] = field(default_factory=lambda: defaultdict(list))
    ranges: bool = True
    hashes: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serve(site: Site) -> Iterator[Site]:
    """Runs the server, and fills `site.url`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, site)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(handler: BaseHTTPRequestHandler, site: Site) -> None:
    wanted = handler.headers.get("Range")
    site.asked.append((handler.path, wanted))
    fault = site.faults[handler.path].pop(0) if site.faults[handler.path] else None
    content = site.files.get(handler.path)
    if isinstance(fault, int) or content is None:
        handler.send_error(fault if isinstance(fault, int) else 404)
        return
    if fault == "redirect":
        handler.send_response(302)
        handler.send_header("Location", handler.path)
        handler.send_header("X-Linked-Etag", f'"{site.hashes[handler.path]}"')
        handler.end_headers()
        return
    start = int(re.findall(r"\d+", wanted)[0]) if wanted and site.ranges else 0
    if start >= len(content) > 0:
        handler.send_response(416)
        handler.send_header("Content-Range", f"bytes */{len(content)}")
        handler.end_headers()
        return
    rest = content[start:]
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    handler.send_header("Content-Length", str(len(rest)))
    handler.end_headers()
    handler.wfile.write(rest[: len(rest) // 2] if fault == "cut" else rest)
