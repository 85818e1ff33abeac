"""Who works here, as a page. It asks the API."""

import html
import http.server
import json
import sys
import urllib.request

SETTINGS = json.load(open(sys.argv[1]))


def page():
    with urllib.request.urlopen(SETTINGS["people"], timeout=5) as answer:
        people = json.load(answer)["people"]
    items = "".join(f"<li>{html.escape(person['name'])}</li>" for person in people)
    title = html.escape(SETTINGS["title"])
    return f"<!DOCTYPE html><title>{title}</title><h1>{title}</h1><ul>{items}</ul>\n"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        try:
            status, text = 200, "well\n" if self.path == "/health" else page()
        except (OSError, ValueError, KeyError) as why:
            status, text = 502, f"the API does not answer: {why}\n"
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", SETTINGS["port"]), Handler).serve_forever()
