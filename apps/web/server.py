"""The loopback server: hands out one site and nothing else, with the headers that threads in a browser need."""

from __future__ import annotations

import errno
import hashlib
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from s2m_edge.errors import S2MEdgeError

if TYPE_CHECKING:
    from s2m_edge.apps.web.site import Site

HOST = "127.0.0.1"
PORT = 8352

# Cross-origin isolation (COOP, COEP) is what browsers ask for before they share memory between threads.
ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}
POLICY = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob: mediastream:; worker-src 'self' blob:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
KINDS = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "webmanifest": "application/manifest+json",
    "wasm": "application/wasm",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpg": "image/jpeg",
    "md": "text/plain; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}


PATIENCE = 30.0
"""Seconds that a connection may be silent, in either direction, before it is closed: each holds a thread."""


class PortError(S2MEdgeError):
    """The asked-for port cannot be listened on."""


class SiteServer(ThreadingHTTPServer):
    """An HTTP server of one site on 127.0.0.1.

    Args:
        site: what is handed out.
        port: 0 for a free one.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, site: Site, port: int) -> None:
        self.site = site
        super().__init__((HOST, port), _Handler)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_address[1]}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up is no news."""


def open_server(site: Site, port: int | None) -> SiteServer:
    """Listen on `port`; with None on the default one, or on a free one where that is taken.

    Raises:
        PortError: the asked-for port is taken or not allowed.
    """
    try:
        return SiteServer(site, PORT if port is None else port)
    except (OSError, OverflowError) as error:
        if port is None and getattr(error, "errno", None) == errno.EADDRINUSE:
            return SiteServer(site, 0)
        reason = getattr(error, "strerror", None) or str(error)
        raise PortError(f"port {port} on {HOST} cannot be used ({reason})", "Choose another --port.") from None


class _Handler(BaseHTTPRequestHandler):
    server: SiteServer
    timeout = PATIENCE
    protocol_version = "HTTP/1.1"
    server_version = "s2m-edge"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(send_body=True)

    def do_HEAD(self) -> None:
        self._answer(send_body=False)

    def _answer(self, *, send_body: bool) -> None:
        # A foreign page can have its own name resolve to 127.0.0.1; it cannot change the Host that browsers then send.
        if (self.headers.get("Host") or "").rsplit(":", 1)[0] not in ("localhost", HOST):
            self._send(HTTPStatus.FORBIDDEN, "text/plain; charset=utf-8", b"loopback only\n", {}, send_body)
            return
        path = unquote(urlsplit(self.path).path).lstrip("/") or "index.html"
        try:
            content = self.server.site.content(path)
        except OSError:
            content = None
        if content is None:
            self._send(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"not found\n", {}, send_body)
            return
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        # Always asked for again, by its hash: a bundle that is exported anew under the same name must be seen.
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if self.headers.get("If-None-Match") == tag:
            self._send(HTTPStatus.NOT_MODIFIED, None, b"", headers, send_body)
            return
        kind = KINDS.get(path.rsplit(".", 1)[-1].lower(), "application/octet-stream")
        self._send(HTTPStatus.OK, kind, content, headers, send_body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses (another method, a request that is none), with the headers of every answer and
        without the words of whoever asked."""
        status = HTTPStatus(code)
        self.close_connection = True
        self.request_version = self.protocol_version  # else it may stand for HTTP/0.9, which has no headers
        content = f"{status.phrase.lower()}\n".encode()
        self._send(status, "text/plain; charset=utf-8", content, {"Connection": "close"}, self.command != "HEAD")

    def _send(
        self, status: HTTPStatus, kind: str | None, content: bytes, headers: dict[str, str], send_body: bool
    ) -> None:
        self.send_response(status)
        if kind is not None:
            self.send_header("Content-Type", kind)
        for name, value in {**ISOLATION, **POLICY, **headers}.items():
            self.send_header(name, value)
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if send_body and content:
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet: the console belongs to the command."""
