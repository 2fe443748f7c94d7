"""What every client must have seen at the end of a stream."""

import hashlib


def text_of(events: list[dict]) -> str:
    """The text of the token events."""
    return "".join(event["text"] for event in events if event["type"] == "token")


def expect_whole(events: list[dict], snapshot: dict) -> dict:
    """Every event once and in order, one end, and the snapshot's text. Answers with the end."""
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "start"
    assert events[0]["stream"] == snapshot["id"]
    ends = [event for event in events if event["type"] in ("done", "error")]
    assert ends == events[-1:]
    end = ends[0]
    assert snapshot["last_event_id"] == f"{snapshot['id']}.{end['seq']}"
    assert text_of(events) == snapshot["text"]
    if end["type"] == "done":
        assert hashlib.sha256(text_of(events).encode()).hexdigest() == end["text_sha256"]
    return end


def expect_whole_sse(received: list, snapshot: dict) -> dict:
    """The same for Server-Sent Events, given as (event, id, data parsed as JSON)."""
    events = []
    for name, identity, event in received:
        assert name == event["type"]
        assert identity == f"{snapshot['id']}.{event['seq']}"
        events.append(event)
    return expect_whole(events, snapshot)
