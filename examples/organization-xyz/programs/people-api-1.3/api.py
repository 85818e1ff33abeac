"""Who works here, as JSON (people 1: each has a name)."""

import http.server
import json
import sys

SETTINGS = json.load(open(sys.argv[1]))
PEOPLE = [{"name": "Anna Peeters"}, {"name": "Bert Claes"}]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/health":
            answer = "well"
        else:
            answer = {"release": SETTINGS["release"], "people": PEOPLE}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", SETTINGS["port"]), Handler).serve_forever()
