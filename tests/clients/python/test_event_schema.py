"""Every kind of event, read as NDJSON, fits the schemas that the server documents."""

import json
from collections.abc import Iterator
from itertools import groupby

import httpx
import jsonschema_rs
import pytest

from tailrace import Server, demo

# A model that says one of everything; the demo makes no tool calls.
TALKER = """
[models.demo]
generator = "demo"
[models.talker]
generator = "command"
program = "/bin/cat"
args = ["{file}"]
"""

DELTAS = [
    {"reasoning": "Which keeper?\u2028"},
    {"text": "I will look."},
    {"refusal": "I will not call.\u2028"},
    {"tool_call": {"index": 0, "id": "call_1", "name": "search", "arguments": '{"q":'}},
    {"tool_call": {"index": 0, "arguments": '"lighthouse\u2029"}'}},
    {"logprobs": {"content": [{"token": "\u2028", "logprob": -0.5}], "refusal": None}},
    {
        "finish_reason": "tool_calls",
        "usage": {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12},
    },
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the demo and the talker."""
    file = tmp_path_factory.mktemp("talker") / "deltas"
    file.write_text("".join(json.dumps(delta) + "\n" for delta in DELTAS))
    server = Server('default_model = "demo"' + TALKER.format(file=file))
    yield server
    server.stop()


def read(server: Server, request: dict) -> list[dict]:
    """The events of a new stream."""
    stream = server.create(request)
    headers = {**server.headers, "accept": "application/x-ndjson"}
    response = httpx.get(server.url + stream["events_url"], headers=headers)
    return [json.loads(line) for line in response.iter_lines()]


@pytest.mark.parametrize(
    ("request_body", "types"),
    [
        (
            demo(reasoning=2, tokens=4),
            ["start", "reasoning", "token", "done"],
        ),
        (demo(fail_after=1), ["start", "token", "error"]),
        (demo(fail_after=0), ["start", "error"]),
        (
            {"model": "talker", "prompt": "x"},
            ["start", "reasoning", "token", "refusal", "tool_call", "logprobs", "done"],
        ),
    ],
    ids=["reasoning", "failed", "failed at once", "tool calls"],
)
def test_events_fit_their_documented_schema(
    server: Server, request_body: dict, types: list[str]
) -> None:
    components = httpx.get(f"{server.url}/openapi.json").json()["components"]
    schema = {"$ref": "#/components/schemas/Event", "components": components}
    validator = jsonschema_rs.Draft202012Validator(schema)
    events = read(server, request_body)
    assert [kind for kind, _ in groupby(event["type"] for event in events)] == types
    for event in events:
        validator.validate(event)
