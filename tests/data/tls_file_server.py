"""Serves the folder /files by TLS on port 8443; /away redirects to plain HTTP."""

from __future__ import annotations

import functools
import http.server
import ssl


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files, and one redirect that a careful client doesn't follow."""

    def do_GET(self) -> None:
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://example.org/churn.bento")
            self.end_headers()
        else:
            super().do_GET()


if __name__ == "__main__":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/files/tls.crt", "/files/tls.key")
    serve = functools.partial(Handler, directory="/files")
    server = http.server.ThreadingHTTPServer(("", 8443), serve)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
