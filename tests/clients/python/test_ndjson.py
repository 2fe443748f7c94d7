"""NDJSON with plain httpx and its `iter_lines`, which takes every Unicode line end for one."""

import json
from collections.abc import Iterator

import httpx
import pytest

from cutting_proxy import CuttingProxy
from tailrace import Server, demo
from whole import expect_whole

NDJSON = {"accept": "application/x-ndjson"}


@pytest.fixture(scope="module")
def quick() -> Iterator[Server]:
    """A server with frequent heartbeats."""
    server = Server('[http]\nheartbeat = "100ms"')
    yield server
    server.stop()


def read(url: str, headers: dict, events: list[dict]) -> httpx.Response:
    """Appends what comes on one connection."""
    with httpx.stream("GET", url, headers={**headers, **NDJSON}) as response:
        for line in response.iter_lines():
            events.append(json.loads(line))
    return response


@pytest.mark.parametrize("text", ["awkward", "huge"])
def test_every_line_is_an_event(server: Server, text: str) -> None:
    stream = server.create(
        demo(text=text, tokens=48 if text == "awkward" else 2, tokens_per_second=200)
    )
    events = []
    response = read(server.url + stream["events_url"], server.headers, events)
    assert response.headers["content-type"] == "application/x-ndjson"
    expect_whole(events, server.snapshot(stream["id"]))


def test_heartbeats_are_no_lines(quick: Server) -> None:
    stream = quick.create(demo(tokens=3, first_token_delay_ms=1000, tokens_per_second=2))
    events = []
    read(quick.url + stream["events_url"], quick.headers, events)
    expect_whole(events, quick.snapshot(stream["id"]))


def test_a_cut_connection_is_resumed_after_the_last_event(
    server: Server, proxy: CuttingProxy
) -> None:
    stream = server.create(demo(text="awkward", tokens=60, tokens_per_second=200))
    cuts = (rb'"seq":9,"te', rb'"seq":19,[^\n]*\n', rb'"seq":2\d')
    proxy.plan(*cuts)
    events, failures = [], 0
    while not events or events[-1]["type"] != "done":
        last = {"last-event-id": f"{stream['id']}.{events[-1]['seq']}"} if events else {}
        try:
            read(proxy.url + stream["events_url"], {**server.headers, **last}, events)
        except httpx.TransportError:
            failures += 1
    assert failures == len(cuts)
    expect_whole(events, server.snapshot(stream["id"]))


def test_after_the_end_there_is_nothing(server: Server) -> None:
    stream = server.create(demo(tokens=3, tokens_per_second=0))
    events = []
    read(server.url + stream["events_url"], server.headers, events)
    last = {"last-event-id": f"{stream['id']}.{events[-1]['seq']}"}
    response = read(server.url + stream["events_url"], {**server.headers, **last}, [])
    assert response.status_code == 204
