"""Who works here, as JSON (people 2: each has a name, and where the flag says so, its parts)."""

import http.server
import json
import sys

SETTINGS = json.load(open(sys.argv[1]))
PEOPLE = [("Anna", "Peeters"), ("Bert", "Claes")]


def has_first_names():
    """The flag, as it is in the file now."""
    try:
        flag = json.load(open(SETTINGS["flags"]))["flags"]["first-names"]
    except (OSError, ValueError, KeyError):
        return False
    return flag["variants"][flag["defaultVariant"]]


def people():
    for first, last in PEOPLE:
        person = {"name": f"{first} {last}"}
        if has_first_names():
            person |= {"first": first, "last": last}
        yield person


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/health":
            answer = "well"
        else:
            answer = {"release": SETTINGS["release"], "people": list(people())}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", SETTINGS["port"]), Handler).serve_forever()
