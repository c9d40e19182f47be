"""A small Kubernetes API server for tests: nodes and pods, listed in pages and watched, with the ways it fails in."""

from __future__ import annotations

import contextlib
import copy
import json
import socket
import threading
import time
from bisect import bisect_right
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]
PATHS = {"/api/v1/nodes": "nodes", "/api/v1/pods": "pods"}
OVER = ("Succeeded", "Failed")


class ApiServer:
    """Objects with versions, and every event since the last compaction.

    Attributes:
        asked: verb and resource of every request that was answered, for what RBAC must allow.
        bookmark_s: seconds between bookmarks.
        allowed: verb and resource that the service account may use; None for everything.
    """

    def __init__(self, bookmark_s: float = 0.1, allowed: set[tuple[str, str]] | None = None) -> None:
        self.changed = threading.Condition()
        self.objects: dict[str, dict[str, Object]] = {"nodes": {}, "pods": {}}
        self.events: dict[str, list[tuple[int, str, Object]]] = {"nodes": [], "pods": []}
        self.version, self.oldest, self.epoch = 100, 100, 0
        self.bookmark_s, self.allowed = bookmark_s, allowed
        self.asked: list[tuple[str, str]] = []
        self.watches: list[dict[str, Any]] = []
        self.answers: list[int] = []
        self.silent = False
        self.streams: set[socket.socket] = set()
        self._http: ThreadingHTTPServer | None = None
        self.port = 0

    def __enter__(self) -> ApiServer:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        """Listen; on the same port after a time down."""
        handler = type("Handler", (Handler,), {"api": self})
        self._http = Server(("127.0.0.1", self.port), handler)
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Stop listening, break every connection."""
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None
        self.drop()

    def drop(self) -> None:
        """Break every watch in the middle."""
        with self.changed:
            self.epoch += 1
            for stream in list(self.streams):
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                with contextlib.suppress(OSError):
                    stream.shutdown(socket.SHUT_RDWR)
            self.changed.notify_all()

    def compact(self) -> None:
        """Forget all events: who watches from an earlier version is told 410 Gone."""
        with self.changed:
            self.version += 1
            self.oldest = self.version
            self.events = {"nodes": [], "pods": []}

    def refuse(self, *status: int) -> None:
        """Answer the next requests with these."""
        self.answers += status

    def put(self, resource: str, thing: Object) -> None:
        """Make or change an object."""
        with self.changed:
            self.version += 1
            thing = copy.deepcopy(thing)
            key = self._key(thing)
            old = self.objects[resource].get(key)
            thing["metadata"]["resourceVersion"] = str(self.version)
            self.objects[resource][key] = thing
            self.events[resource].append((self.version, "ADDED" if old is None else "MODIFIED", thing))
            self.changed.notify_all()

    def delete(self, resource: str, name: str, namespace: str = "default") -> None:
        """Remove an object."""
        with self.changed:
            self.version += 1
            gone = copy.deepcopy(self.objects[resource].pop(name if resource == "nodes" else f"{namespace}/{name}"))
            gone["metadata"]["resourceVersion"] = str(self.version)
            self.events[resource].append((self.version, "DELETED", gone))
            self.changed.notify_all()

    @staticmethod
    def _key(thing: Object) -> str:
        meta = thing["metadata"]
        return f"{meta['namespace']}/{meta['name']}" if "namespace" in meta else str(meta["name"])


class Server(ThreadingHTTPServer):
    """Ports may be taken again at once; what breaks is the client's to notice."""

    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are what tests are about."""


class Handler(BaseHTTPRequestHandler):
    """Lists and watches."""

    api: ClassVar[ApiServer]
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        """One of the two."""
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        resource = PATHS[address.path]
        verb = "watch" if query.get("watch", "").lower() == "true" else "list"
        api = self.api
        if api.allowed is not None and (verb, resource) not in api.allowed:
            self._status(403, "Forbidden", f"{resource} is forbidden: cannot {verb}")
            return
        api.asked.append((verb, resource))
        if api.answers:
            self._status(api.answers.pop(0), "InternalError", "asked to fail")
        elif verb == "watch":
            self._watch(resource, query)
        else:
            self._list(resource, query)

    def _list(self, resource: str, query: dict[str, str]) -> None:
        api, limit = self.api, int(query.get("limit", 0)) or 10**9
        with api.changed:
            start, version = 0, api.version
            if "continue" in query:
                start, version = (int(part) for part in query["continue"].split("-"))
                if version < api.oldest:
                    self._status(410, "Expired", "The provided continue parameter is too old")
                    return
            found = [x for x in api.objects[resource].values() if selected(x, query)]
            rest = f"{start + limit}-{version}" if start + limit < len(found) else ""
            meta = {"resourceVersion": str(version), **({"continue": rest} if rest else {})}
            body = {"kind": "List", "apiVersion": "v1", "metadata": meta, "items": found[start : start + limit]}
            self._send(200, body)

    def _send(self, status: int, body: Object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _status(self, code: int, reason: str, message: str) -> None:
        self._send(code, {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": code})

    def _watch(self, resource: str, query: dict[str, str]) -> None:
        api = self.api
        seen = int(query["resourceVersion"])
        api.watches.append(query)
        until = time.monotonic() + float(query.get("timeoutSeconds", 300))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with api.changed:
            epoch = api.epoch
            api.streams.add(self.connection)
        bookmark = time.monotonic() + api.bookmark_s
        try:
            while time.monotonic() < until:
                with api.changed:
                    if api.epoch != epoch:
                        self.close_connection = True
                        return
                    if seen < api.oldest:
                        gone = {
                            "kind": "Status",
                            "code": 410,
                            "reason": "Expired",
                            "message": "too old resource version",
                        }
                        self._event("ERROR", gone)
                        break
                    history, now = api.events[resource], time.monotonic()
                    new = history[bisect_right(history, seen, key=lambda event: event[0]) :]
                    if not new and (api.silent or now < bookmark):
                        api.changed.wait(max(bookmark - now, 0.01))
                        continue
                    if not new:
                        seen, bookmark = api.version, now + api.bookmark_s
                        if query.get("allowWatchBookmarks", "").lower() == "true":
                            self._event("BOOKMARK", {"metadata": {"resourceVersion": str(seen)}})
                        continue
                for version, kind, thing in new:
                    seen = version
                    if not selected(thing, query):
                        kind = "DELETED"
                    if not api.silent:
                        self._event(kind, thing)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True
        finally:
            with api.changed:
                api.streams.discard(self.connection)

    def _event(self, kind: str, thing: Object) -> None:
        line = json.dumps({"type": kind, "object": thing}).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.flush()


def selected(thing: Object, query: dict[str, str]) -> bool:
    """Does a field selector of the form `status.phase!=X,...` take the object?"""
    unwanted = {part.partition("!=")[2] for part in query.get("fieldSelector", "").split(",") if part}
    return (thing.get("status") or {}).get("phase") not in unwanted
