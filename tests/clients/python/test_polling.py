"""Long polling with plain httpx, for networks that break streaming."""

import httpx
import pytest

from tailrace import Server, demo
from whole import expect_whole

JSON = {"accept": "application/json"}


@pytest.fixture
def client(server: Server) -> httpx.Client:
    """A client that waits as long as a poll may take."""
    with httpx.Client(
        base_url=server.url, headers={**server.headers, **JSON}, timeout=60
    ) as client:
        yield client


def poll(client: httpx.Client, stream: dict, last: str | None, wait: float | None = 25) -> dict:
    """One poll, its cursor in the query."""
    parameters = {"last_event_id": last, "wait": wait}
    given = {name: value for name, value in parameters.items() if value is not None}
    response = client.get(stream["events_url"], params=given)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    return response.json()


@pytest.mark.parametrize("text", ["awkward", "huge"])
def test_a_stream_comes_whole_in_pages(server: Server, client: httpx.Client, text: str) -> None:
    stream = server.create(
        demo(text=text, tokens=120 if text == "awkward" else 3, tokens_per_second=60)
    )
    events, last, pages = [], None, 0
    while True:
        page = poll(client, stream, last)
        assert page["events"], "a poll that waits long enough is not empty"
        events += page["events"]
        last = page["last_event_id"]
        pages += 1
        if page["closed"]:
            break
    assert pages > 2
    expect_whole(events, server.snapshot(stream["id"]))
    assert last == server.snapshot(stream["id"])["last_event_id"]


def test_a_poll_answers_as_soon_as_there_is_an_event(server: Server, client: httpx.Client) -> None:
    stream = server.create(demo(tokens=1, first_token_delay_ms=1000))
    after_start = {"last_event_id": f"{stream['id']}.0", "wait": 25}
    response = client.get(stream["events_url"], params=after_start)
    assert response.json()["events"][0]["type"] == "token"
    assert response.elapsed.total_seconds() < 5


def test_a_poll_that_waits_in_vain_keeps_its_cursor(server: Server, client: httpx.Client) -> None:
    stream = server.create(demo(stall_after=2, tokens_per_second=0, first_token_delay_ms=0))
    page = poll(client, stream, None)
    while page["events"]:
        page = poll(client, stream, page["last_event_id"], wait=0.2)
    assert page == {"events": [], "last_event_id": f"{stream['id']}.2", "closed": False}
    assert poll(client, stream, page["last_event_id"], wait=None) == page
    client.post(f"/v1/streams/{stream['id']}/cancel")


def test_a_poll_after_the_end_says_closed(server: Server, client: httpx.Client) -> None:
    stream = server.create(demo(tokens=2, tokens_per_second=0))
    page = poll(client, stream, None)
    while not page["closed"]:
        page = poll(client, stream, page["last_event_id"])
    expected = {"events": [], "last_event_id": page["last_event_id"], "closed": True}
    assert poll(client, stream, page["last_event_id"]) == expected


def test_the_header_wins_over_the_query(server: Server, client: httpx.Client) -> None:
    stream = server.create(demo(tokens=5, tokens_per_second=0, first_token_delay_ms=0))
    while not poll(client, stream, None)["closed"]:
        pass
    response = client.get(
        stream["events_url"],
        params={"last_event_id": f"{stream['id']}.1"},
        headers={"last-event-id": f"{stream['id']}.4"},
    )
    assert [event["seq"] for event in response.json()["events"]] == [5, 6]


@pytest.mark.parametrize("wait", ["-1", "56", "nan", "soon", ""])
def test_a_wait_that_is_no_number_of_seconds_is_refused(
    server: Server, client: httpx.Client, wait: str
) -> None:
    stream = server.create(demo(tokens=1, tokens_per_second=0))
    response = client.get(stream["events_url"], params={"wait": wait})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "wait"
