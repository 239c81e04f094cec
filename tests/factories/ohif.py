"""The OHIF viewer for tests: its prebuilt files and the DICOMweb of an Orthanc on one origin.

What nginx does in deploy/compose, without nginx.
"""

from __future__ import annotations

import http.client
import mimetypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import urllib3

from tests.factories.orthanc import PASSWORD, USER, RealOrthanc

_ISOLATED = {  # browsers let such pages alone share memory among threads
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}


@contextmanager
def serving(dist: Path, config: Path, orthanc: RealOrthanc) -> Iterator[str]:
    """Serves the viewer on loopback meanwhile.

    Args:
        dist: Folder with its index.html.
        config: Its configuration, app-config.js.
        orthanc: Where the studies are.

    Yields:
        The address.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path.startswith("/dicom-web/"):
                self.answer(*self.forward())
                return
            name = self.path.partition("?")[0].lstrip("/")
            file = config if name == "app-config.js" else dist / name
            if not file.is_file():  # an address within the viewer
                file = dist / "index.html"
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            self.answer(200, kind, file.read_bytes())

        def forward(self) -> tuple[int, str, bytes]:
            headers = urllib3.make_headers(basic_auth=f"{USER}:{PASSWORD}")
            passed = ("Accept", "Host")
            headers |= {name: self.headers[name] for name in passed if name in self.headers}
            connection = http.client.HTTPConnection("127.0.0.1", orthanc.port)
            try:
                connection.request("GET", self.path, headers=headers)
                response = connection.getresponse()
                return response.status, response.getheader("Content-Type", ""), response.read()
            finally:
                connection.close()

        def answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            for name, value in _ISOLATED.items():
                self.send_header(name, value)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
