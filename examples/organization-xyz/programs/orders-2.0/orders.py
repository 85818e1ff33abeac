"""What was ordered, as JSON, with the name of who ordered it (it uses people 1)."""

import http.server
import json
import sys
import urllib.request

SETTINGS = json.load(open(sys.argv[1]))
ORDERS = [{"person": 0, "price": 12.5}, {"person": 1, "price": 40}]


def orders():
    with urllib.request.urlopen(SETTINGS["people"], timeout=5) as answer:
        people = json.load(answer)["people"]
    for order in ORDERS:
        name = people[order["person"]]["name"]
        yield {"by": name, "price": order["price"], "currency": SETTINGS["currency"]}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        try:
            status = 200
            if self.path == "/health":
                answer = "well"
            else:
                answer = {"release": SETTINGS["release"], "orders": list(orders())}
        except (OSError, ValueError, KeyError) as why:
            status, answer = 502, f"people does not answer: {why}"
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", SETTINGS["port"]), Handler).serve_forever()
