#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A small shop: JSON, pages, sessions, a bounded cache - and one bug, somewhere. Serves itself its own visitors."""
import argparse
import collections
import contextlib
import http.client
import http.server
import itertools
import json
import os
import random
import string
import sys
import threading
import time
import urllib.parse

PRODUCTS = {number: {"id": number, "name": "product %d" % number, "price": 5 + number * 7 % 90, "tags": ["a", "b"]}
            for number in range(500)}
PAGE = string.Template("""<!doctype html>
<title>$title</title><h1>$title</h1>
<ul>
$rows
</ul>
<p>$count items, $visitor</p>
""")


class PageCache:
    """The last pages that were rendered: bounded, the oldest goes."""

    def __init__(self, limit):
        self.limit = limit
        self.pages = collections.OrderedDict()
        self.lock = threading.Lock()

    def get(self, key, make):
        with self.lock:
            if key in self.pages:
                self.pages.move_to_end(key)
                return self.pages[key]
        page = make()
        with self.lock:
            self.pages[key] = page
            if len(self.pages) > self.limit:
                self.pages.popitem(last=False)
        return page


class Session:
    def __init__(self, token):
        self.token = token
        self.seen = time.monotonic()
        self.basket = []


class Sessions:
    """Visitors; who has been away for some seconds is forgotten."""

    def __init__(self, life):
        self.life = life
        self.by_token = collections.OrderedDict()
        self.lock = threading.Lock()

    def of(self, token):
        now = time.monotonic()
        with self.lock:
            session = self.by_token.get(token) or Session(token)
            session.seen = now
            self.by_token[token] = session
            self.by_token.move_to_end(token)
            while self.by_token and now - next(iter(self.by_token.values())).seen > self.life:
                self.by_token.popitem(last=False)
        return session


class AuditEntry:
    """Who paid how much for what, until it has been written out."""

    __slots__ = ("order", "visitor", "items", "payload", "written")

    def __init__(self, order, visitor, items, payload):
        self.order = order
        self.visitor = visitor
        self.items = items
        self.payload = payload
        self.written = False


class AuditLog:
    """Entries wait here for the writer, in case it has to try again."""

    def __init__(self):
        self.pending = {}

    def record(self, order, visitor, basket):
        items = [dict(item, order=order) for item in basket]
        entry = AuditEntry(order, visitor, items, json.dumps({"order": order, "items": items, "visitor": visitor}))
        self.pending[order] = entry
        self.write(entry)

    def write(self, entry):
        entry.written = len(entry.payload) > 0
        # the bug: what has been written stays in self.pending


CACHE = PageCache(100)
SESSIONS = Sessions(3)
AUDIT = AuditLog()
ORDERS = itertools.count(1)


def search(query):
    wanted = query.get("tag", ["a"])[0]
    limit = int(query.get("limit", ["20"])[0])
    return [dict(product) for product in PRODUCTS.values() if wanted in product["tags"]][:limit]


def render(query, visitor):
    first = int(query.get("page", ["0"])[0]) * 10

    def make():
        rows = "\n".join("<li>%s: %.2f" % (PRODUCTS[n % 500]["name"], PRODUCTS[n % 500]["price"])
                         for n in range(first, first + 10))
        return PAGE.substitute(title="Products from %d" % first, rows=rows, count=10, visitor="welcome")

    return CACHE.get(first, make)


def add_to_basket(session, query):
    session.basket.append(dict(PRODUCTS[int(query["product"][0]) % 500], at=time.time()))
    del session.basket[:-5]
    return {"items": len(session.basket)}


def checkout(session):
    order = next(ORDERS)
    AUDIT.record(order, session.token, session.basket)
    total = sum(item["price"] for item in session.basket)
    session.basket = []
    return {"order": order, "total": total}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "shop"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        visitor = self.headers.get("X-Visitor", "nobody")
        session = SESSIONS.of(visitor)
        if url.path == "/api/products":
            self.answer(json.dumps(search(query)), "application/json")
        elif url.path == "/products":
            self.answer(render(query, visitor), "text/html")
        elif url.path == "/basket/add":
            self.answer(json.dumps(add_to_basket(session, query)), "application/json")
        elif url.path == "/checkout":
            self.answer(json.dumps(checkout(session)), "application/json")
        elif url.path == "/health":
            self.answer("ok", "text/plain")
        else:
            self.send_error(404)

    def answer(self, text, kind):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


def visit(port, seed, rate, stop):
    """A visitor's day, over one connection: looks around, fills a basket, sometimes pays."""
    choice = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for number in itertools.count():
        if stop.wait(1 / rate):
            break
        path = choice.choices(
            ["/api/products?limit=%d" % choice.randrange(5, 40), "/products?page=%d" % choice.randrange(300),
             "/basket/add?product=%d" % choice.randrange(500), "/checkout", "/health"],
            [25, 30, 20, 20, 5])[0]
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", path, headers={"X-Visitor": "visitor-%d-%d" % (seed, number // 40)})
            connection.getresponse().read()
            continue
        connection.close()


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--visitors", type=int, default=4)
    options.add_argument("--rate", type=float, default=40, help="requests a second of each visitor")
    options = options.parse_args()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # the visitors are another process: what is traced is the service alone
    service, visitors = os.getpid(), os.fork()
    if not visitors:
        stop = threading.Event()
        for seed in range(options.visitors):
            threading.Thread(target=visit, args=(port, seed, options.rate, stop), daemon=True).start()
        while os.getppid() == service:
            time.sleep(0.2)
        os._exit(0)
    print("pid %d url http://127.0.0.1:%d/" % (service, port), flush=True)
    try:
        os.waitpid(visitors, 0)
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
