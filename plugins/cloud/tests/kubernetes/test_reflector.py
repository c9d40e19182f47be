"""Lists and watches against an API server that fails in every documented way."""

import contextlib
import threading
import time
from collections.abc import Collection, Iterator
from typing import Any

import pytest

client = pytest.importorskip("kubernetes.client", reason="the extra `kubernetes` is not installed")

from dgpg_cloud.kubernetes.reflector import Backoff, Reflector  # noqa: E402

from .api_server import ApiServer  # noqa: E402
from .objects import Object, eventually, node, pod  # noqa: E402

QUICK = Backoff(first=0.01, longest=0.05)


class Kept:
    """A store that remembers names and versions, and how often it was written as a whole."""

    def __init__(self) -> None:
        self.there: dict[str, str] = {}

    def keep(self, objects: Collection[Object]) -> None:
        self.there = {}
        for thing in objects:
            self.put(thing)

    def put(self, thing: Any) -> None:
        self.there[thing["metadata"]["name"]] = thing["metadata"]["resourceVersion"]

    def drop(self, thing: Any) -> None:
        self.there.pop(thing["metadata"]["name"], None)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


@pytest.fixture
def watched(server: ApiServer) -> Iterator[tuple[ApiServer, Kept, Reflector]]:
    """Three nodes, listed and watched."""
    for name in "abc":
        server.put("nodes", node(name))
    kept = Kept()
    with running(Reflector("nodes", api(server).list_node, kept, silent_s=1.0, backoff=QUICK)) as reflector:
        eventually(lambda: bool(server.streams))
        yield server, kept, reflector


@contextlib.contextmanager
def running(reflector: Reflector) -> Iterator[Reflector]:
    """Whatever fails, no thread is left to talk to servers that are gone."""
    reflector.start()
    try:
        yield reflector
    finally:
        reflector.stop()


def api(server: ApiServer) -> Any:
    return client.CoreV1Api(client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{server.port}")))


def same(server: ApiServer, kept: Kept, resource: str = "nodes") -> bool:
    return kept.there == {
        x["metadata"]["name"]: x["metadata"]["resourceVersion"] for x in server.objects[resource].values()
    }


def test_what_is_there_is_listed_and_what_happens_is_followed(watched: tuple[ApiServer, Kept, Reflector]) -> None:
    server, kept, reflector = watched
    assert kept.there.keys() == {"a", "b", "c"}
    server.put("nodes", node("d"))
    server.put("nodes", node("a", cpu="4"))
    server.delete("nodes", "b")
    eventually(lambda: same(server, kept))
    assert kept.there.keys() == {"a", "c", "d"} and reflector.relists == 1 and reflector.failures == 0


def test_nothing_is_known_before_the_first_list() -> None:
    reflector = Reflector("nodes", lambda **_: None, Kept())
    assert reflector.behind == float("inf")


def test_a_long_list_comes_in_pages(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgpg_cloud.kubernetes.reflector.PAGE", 7)
    for number in range(30):
        server.put("nodes", node(f"n{number}"))
    kept = Kept()
    with running(Reflector("nodes", api(server).list_node, kept, backoff=QUICK)):
        eventually(lambda: bool(server.streams))
        assert same(server, kept) and server.asked.count(("list", "nodes")) == 5


def test_a_dropped_connection_is_taken_up_where_it_was(watched: tuple[ApiServer, Kept, Reflector]) -> None:
    server, kept, reflector = watched
    for number in range(5):
        server.drop()
        server.put("nodes", node(f"during-{number}"))
        eventually(lambda: same(server, kept))
    assert reflector.relists == 1, "what happened meanwhile comes from the last version, without a list"
    assert reflector.failures >= 1


def test_a_version_that_is_gone_is_listed_anew(watched: tuple[ApiServer, Kept, Reflector]) -> None:
    server, kept, reflector = watched
    with server.changed:  # nobody hears of what happens until it is forgotten
        server.epoch += 1
        server.put("nodes", node("new"))
        server.delete("nodes", "a")
        server.compact()
    eventually(lambda: same(server, kept))
    assert kept.there.keys() == {"b", "c", "new"} and reflector.relists == 2


def test_bookmarks_keep_the_version_young(watched: tuple[ApiServer, Kept, Reflector]) -> None:
    server, kept, reflector = watched
    for number in range(20):  # of another kind: no event for who watches nodes, but versions go on
        server.put("pods", pod(f"p{number}"))
    version = server.version
    eventually(lambda: reflector.version == str(version))
    server.compact()
    server.oldest = version
    server.drop()
    server.put("nodes", node("later"))
    eventually(lambda: same(server, kept))
    assert reflector.relists == 1
    assert server.watches[-1]["allowWatchBookmarks"].lower() == "true"


def test_a_server_that_is_down_is_waited_for(watched: tuple[ApiServer, Kept, Reflector]) -> None:
    server, kept, reflector = watched
    server.down()
    server.put("nodes", node("while-down"))
    eventually(lambda: reflector.failures >= 3)
    assert reflector.behind > 0
    server.up()
    eventually(lambda: same(server, kept) and reflector.behind == 0)


def test_after_a_long_gap_it_lists_anew_before_it_looks_new(server: ApiServer) -> None:
    server.put("nodes", node("a"))
    kept = Kept()
    with running(Reflector("nodes", api(server).list_node, kept, gap_s=0.2, backoff=QUICK)) as reflector:
        eventually(lambda: bool(server.streams))
        server.down()
        eventually(lambda: reflector.behind > 0.2)
        server.put("nodes", node("missed"))
        server.up()
        eventually(lambda: reflector.behind == 0)
        assert same(server, kept) and reflector.relists == 2


def test_a_watch_that_opens_late_lists_anew_before_it_looks_new(server: ApiServer) -> None:
    """The gap is that between news, however long a connection took to open."""
    listed, late, kept = api(server).list_node, threading.Event(), Kept()

    def slowly(**options: Any) -> Any:
        if options.get("watch") and late.is_set():
            late.clear()
            time.sleep(0.4)
        return listed(**options)

    with running(Reflector("nodes", slowly, kept, gap_s=0.2, backoff=QUICK)) as reflector:
        eventually(lambda: bool(server.streams) and reflector.behind == 0)
        late.set()
        server.drop()
        eventually(lambda: not late.is_set())
        server.put("nodes", node("missed"))
        eventually(lambda: reflector.behind == 0)
        assert same(server, kept) and reflector.relists == 2


def test_refusals_are_tried_again(server: ApiServer) -> None:
    server.put("nodes", node("a"))
    server.refuse(500, 429, 503)
    kept = Kept()
    with running(Reflector("nodes", api(server).list_node, kept, backoff=QUICK)) as reflector:
        eventually(lambda: same(server, kept))
        assert reflector.failures == 3


def test_a_forbidden_watch_is_told_and_tried_again_ever_more_slowly(caplog: pytest.LogCaptureFixture) -> None:
    with (
        ApiServer(allowed={("list", "nodes")}) as server,
        running(Reflector("nodes", api(server).list_node, Kept(), backoff=QUICK)) as reflector,
    ):
        eventually(lambda: reflector.failures >= 3)
        assert "403" in caplog.text or "Forbidden" in caplog.text
        assert reflector.behind > 0


def test_silence_is_a_dead_connection(server: ApiServer) -> None:
    server.put("nodes", node("a"))
    kept = Kept()
    with running(Reflector("nodes", api(server).list_node, kept, silent_s=0.3, backoff=QUICK)) as reflector:
        eventually(lambda: bool(server.streams))
        server.silent = True
        server.put("nodes", node("unheard"))
        time.sleep(0.1)
        assert "unheard" not in kept.there
        eventually(lambda: reflector.failures > 0)
        server.silent = False
        eventually(lambda: same(server, kept))


def test_a_thread_that_died_is_old_at_once_and_can_be_started_again(watched: tuple[ApiServer, Kept, Reflector]) -> None:
    server, kept, reflector = watched
    assert reflector.behind == 0
    reflector.stop()
    assert reflector.behind == float("inf") and not reflector.alive
    server.put("nodes", node("meanwhile"))
    reflector.start()
    eventually(lambda: same(server, kept) and reflector.behind == 0)
    assert reflector.relists == 1


def test_waits_double_up_to_the_longest_and_differ() -> None:
    waits = [Backoff()(n) for n in range(1, 40)]
    assert all(0.8 * 2 ** min(n, 20) <= wait for n, wait in enumerate(waits[:5]))
    assert all(30 <= wait <= 60 for wait in waits[8:]) and len(set(waits)) == len(waits)


def test_under_load_every_event_arrives(watched: tuple[ApiServer, Kept, Reflector]) -> None:
    server, kept, _ = watched
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            server.drop()
            time.sleep(0.03)
            server.compact()
            time.sleep(0.03)

    thread = threading.Thread(target=disturb)
    thread.start()
    for number in range(300):
        server.put("nodes", node(f"n{number % 40}", cpu=str(1 + number % 7)))
        if number % 3 == 0:
            server.delete("nodes", f"n{number % 40}")
    stop.set()
    thread.join()
    eventually(lambda: same(server, kept))
