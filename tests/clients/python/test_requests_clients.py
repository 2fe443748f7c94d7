"""The two maintained SSE clients on requests: requests-sse, which reconnects, and sseclient-py."""

import json
from datetime import timedelta

import pytest
import requests
from requests_sse import EventSource, InvalidStatusCodeError
from sseclient import SSEClient

from cutting_proxy import CuttingProxy
from tailrace import Server, demo
from whole import expect_whole_sse


def test_requests_sse_resumes_by_itself_until_204(server: Server, proxy: CuttingProxy) -> None:
    stream = server.create(demo(text="awkward", tokens=90, tokens_per_second=100))
    proxy.plan(rb'"seq":9,"te', rb"id: \w+\.30\n")
    received = []
    source = EventSource(
        proxy.url + stream["events_url"],
        headers=server.headers.copy(),
        # It doubles this, and then what the server asks for.
        reconnection_time=timedelta(milliseconds=10),
        timeout=10,
    )
    with source, pytest.raises(InvalidStatusCodeError) as stopped:
        for event in source:
            received.append((event.type, event.last_event_id, json.loads(event.data)))
    assert stopped.value.status_code == 204
    assert proxy.connections == 3, "204 came on the connection that had brought the end"
    expect_whole_sse(received, server.snapshot(stream["id"]))


@pytest.mark.parametrize("text", ["awkward", "huge"])
def test_sseclient_py_reads_a_posted_stream(server: Server, text: str) -> None:
    request = demo(text=text, tokens=24 if text == "awkward" else 1, first_token_delay_ms=0)
    response = requests.post(
        f"{server.url}/v1/streams", json=request, headers=server.headers, stream=True, timeout=10
    )
    received = [(e.event, e.id, json.loads(e.data)) for e in SSEClient(response).events()]
    expect_whole_sse(received, server.snapshot(response.headers["x-stream-id"]))
