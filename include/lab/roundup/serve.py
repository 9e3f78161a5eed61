"""The client's own server of the tracker: Roundup's WSGI handler behind the standard library's server.

Usage: serve.py TRACKER_HOME ADDRESS PORT, with the Python of the release to serve. (The roundup-server that comes with
2.0.0 does not start on Python 3.9 and newer.)
"""

import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer, make_server

from roundup import __version__
from roundup.cgi.wsgi_handler import RequestDispatcher


class Server(ThreadingMixIn, WSGIServer):
    """One thread per request: a slow reader must not stop the others."""

    daemon_threads = True
    request_queue_size = 64


class Handler(WSGIRequestHandler):
    def address_string(self):
        return self.client_address[0]


# Every answer says which release gave it: read from the code that runs, not from what is installed.
ServerHandler.server_software = f"Roundup/{__version__}"


def main(tracker, address, port):
    with make_server(
        address, int(port), RequestDispatcher(tracker), server_class=Server, handler_class=Handler
    ) as server:
        server.serve_forever()


main(*sys.argv[1:])
