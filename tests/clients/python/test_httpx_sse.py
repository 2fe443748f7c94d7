"""httpx-sse, with httpx as it comes: a client that hears nothing for 5 s gives up."""

import asyncio
import json

import httpx
import pytest
from httpx_sse import aconnect_sse, connect_sse

from cutting_proxy import CuttingProxy
from tailrace import Server, demo
from whole import expect_whole_sse

CUTS = (
    rb'"seq":9,"te',
    rb'"seq":19,[^\n]*\n',
    rb"id: \w+\.30\n",
    rb"id: \w+\.4",
    rb"id: \w+\.60\n\n",
)


def follow(client: httpx.Client, url: str, last: str | None, received: list, **options) -> None:
    """Appends what comes on one connection."""
    headers = {"last-event-id": last} if last else {}
    method = "POST" if "json" in options else "GET"
    with connect_sse(client, method, url, headers=headers, **options) as source:
        assert source.response.status_code == 200
        for event in source.iter_sse():
            received.append((event.event, event.id, json.loads(event.data)))


def test_heartbeats_keep_a_client_that_waits_long_for_its_first_token(server: Server) -> None:
    received = []
    with httpx.Client(headers=server.headers) as client:
        assert client.timeout.read == 5.0
        request = demo(tokens=3, first_token_delay_ms=7000, tokens_per_second=0)
        follow(client, f"{server.url}/v1/streams", None, received, json=request)
    end = expect_whole_sse(received, server.snapshot(received[0][2]["stream"]))
    assert end["timing"]["first_token_ms"] >= 7000


def test_the_first_event_says_when_to_come_back(server: Server) -> None:
    with httpx.Client(headers=server.headers) as client:
        with connect_sse(client, "POST", f"{server.url}/v1/streams", json=demo(tokens=2)) as source:
            retries = [event.retry for event in source.iter_sse()]
    assert retries == [1000, None, None, None]


@pytest.mark.parametrize("text", ["awkward", "huge"])
def test_text_comes_as_it_is(server: Server, text: str) -> None:
    received = []
    with httpx.Client(headers=server.headers) as client:
        request = demo(text=text, tokens=24 if text == "awkward" else 1, tokens_per_second=0)
        follow(client, f"{server.url}/v1/streams", None, received, json=request)
    expect_whole_sse(received, server.snapshot(received[0][2]["stream"]))


def test_the_asynchronous_client_reads_the_same(server: Server) -> None:
    async def read() -> list:
        async with httpx.AsyncClient(headers=server.headers) as client:
            request = demo(text="awkward", tokens=48, tokens_per_second=100)
            url = f"{server.url}/v1/streams"
            async with aconnect_sse(client, "POST", url, json=request) as source:
                return [(e.event, e.id, json.loads(e.data)) async for e in source.aiter_sse()]

    received = asyncio.run(read())
    expect_whole_sse(received, server.snapshot(received[0][2]["stream"]))


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_cut_connection_is_resumed_after_the_last_event(
    server: Server, proxy: CuttingProxy, reset: bool
) -> None:
    stream = server.create(demo(text="awkward", tokens=90, tokens_per_second=200))
    proxy.plan(*CUTS, reset=reset)
    received, failures = [], 0
    with httpx.Client(headers=server.headers) as client:
        while not received or received[-1][0] != "done":
            last = received[-1][1] if received else None
            try:
                follow(client, proxy.url + stream["events_url"], last, received)
            except httpx.TransportError:
                failures += 1
    assert failures == len(CUTS)
    expect_whole_sse(received, server.snapshot(stream["id"]))


def test_posting_with_the_last_event_id_generates_nothing(
    server: Server, proxy: CuttingProxy
) -> None:
    proxy.plan(rb"id: \w+\.5\n\n")
    request = demo(tokens=50, tokens_per_second=100)
    headers = {"authorization": f"Bearer {server.mint('--sub', 'poster')}"}
    received = []
    with httpx.Client(headers=headers) as client:
        with pytest.raises(httpx.TransportError):
            follow(client, f"{proxy.url}/v1/streams", None, received, json=request)
        follow(client, f"{proxy.url}/v1/streams", received[-1][1], received, json=request)
        streams = client.get(f"{server.url}/v1/streams").json()["streams"]
        assert len(streams) == 1
        snapshot = client.get(f"{server.url}/v1/streams/{streams[0]['id']}").json()
    expect_whole_sse(received, snapshot)


def test_after_the_end_get_is_204_and_post_has_the_end_again(server: Server) -> None:
    received = []
    with httpx.Client(headers=server.headers) as client:
        url = f"{server.url}/v1/streams"
        follow(client, url, None, received, json=demo(tokens=3, tokens_per_second=0))
        end = received[-1]
        stream = received[0][2]["stream"]
        headers = {"last-event-id": end[1], "accept": "text/event-stream"}
        assert client.get(f"{url}/{stream}/events", headers=headers).status_code == 204
        again = []
        follow(client, url, end[1], again, json={})
    assert again == [end]


def test_a_stream_has_the_headers_that_keep_proxies_from_breaking_it(server: Server) -> None:
    with httpx.Client(headers=server.headers) as client:
        with connect_sse(client, "POST", f"{server.url}/v1/streams", json=demo(tokens=1)) as source:
            headers = source.response.headers
    assert headers["content-type"] == "text/event-stream"
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in headers
