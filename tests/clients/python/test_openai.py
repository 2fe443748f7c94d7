"""The OpenAI SDK and LangChain, as they come, with a JWT as their key."""

import time
from collections.abc import Iterator

import httpx
import openai
import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from openai import OpenAI

from scripted_upstream import ScriptedUpstream
from tailrace import Server

TEXT = "Hello, wörld \U0001f600!"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    upstream = ScriptedUpstream()
    yield upstream
    upstream.stop()


@pytest.fixture(scope="module")
def front(upstream: ScriptedUpstream) -> Iterator[Server]:
    """A server whose model is the scripted upstream."""
    server = Server(
        f'[models.up]\ngenerator = "openai"\nbase_url = "{upstream.url}"\nmodel = "real"\n'
    )
    yield server
    server.stop()


@pytest.fixture
def client(front: Server) -> OpenAI:
    return OpenAI(base_url=f"{front.url}/v1", api_key=front.token)


def say(content: str) -> dict:
    return {"model": "up", "messages": [{"role": "user", "content": content}]}


def test_models(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["up"]
    assert client.models.retrieve("up").id == "up"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("none")


def test_create(client: OpenAI, upstream: ScriptedUpstream) -> None:
    answer = client.chat.completions.create(**say("hi"), extra_body={"top_k": 7})
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 7
    assert upstream.requests[-1]["model"] == "real"
    assert upstream.requests[-1]["top_k"] == 7


def test_stream(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        **say("hi"), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT
    assert chunks[-1].usage.completion_tokens == 4
    assert len({chunk.id for chunk in chunks}) == 1


def test_stream_helper(client: OpenAI) -> None:
    with client.chat.completions.stream(**say("hi")) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(deltas) == TEXT
    assert final.choices[0].message.content == TEXT


def test_tools(client: OpenAI, upstream: ScriptedUpstream) -> None:
    messages = say("weather?")["messages"]
    first = client.chat.completions.create(model="up", messages=messages, tools=[WEATHER])
    message = first.choices[0].message
    [call] = message.tool_calls
    assert (call.function.name, call.function.arguments) == ("weather", '{"city":"Oslo"}')
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    second = client.chat.completions.create(model="up", messages=messages, tools=[WEATHER])
    assert second.choices[0].message.content == TEXT
    assert upstream.requests[-1]["messages"][-1]["tool_call_id"] == call.id
    with client.chat.completions.stream(**say("weather?"), tools=[WEATHER]) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.arguments == '{"city":"Oslo"}'


def test_images_reach_the_upstream(client: OpenAI, upstream: ScriptedUpstream) -> None:
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    client.chat.completions.create(model="up", messages=[{"role": "user", "content": parts}])
    assert upstream.requests[-1]["messages"][0]["content"] == parts


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("status 400", openai.BadRequestError),
        ("status 429", openai.RateLimitError),
        ("status 500", openai.InternalServerError),
    ],
)
def test_typed_errors(client: OpenAI, content: str, error: type[openai.APIStatusError]) -> None:
    with pytest.raises(error) as caught:
        client.with_options(max_retries=0).chat.completions.create(**say(content), stream=True)
    assert caught.value.code.startswith("upstream_")
    assert caught.value.response.headers["x-request-id"]


def test_our_own_refusals_are_typed(client: OpenAI, front: Server) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**{**say("hi"), "model": "none"})
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.chat.completions.create(**say("hi"), n=2)
    assert caught.value.param == "n"
    with pytest.raises(openai.AuthenticationError):
        OpenAI(base_url=f"{front.url}/v1", api_key="none").models.list()


def test_what_may_pass_is_retried(client: OpenAI, upstream: ScriptedUpstream) -> None:
    answer = client.chat.completions.create(**say("once 503"))
    assert answer.choices[0].message.content == TEXT
    assert upstream.asked("once 503") == 2
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**say("status 400 only once"))
    assert upstream.asked("status 400 only once") == 1


def test_a_failure_in_the_middle_raises(client: OpenAI) -> None:
    received = []
    with pytest.raises(openai.APIError, match="the upstream reported an error"):
        for chunk in client.chat.completions.create(**say("break"), stream=True):
            received.append(chunk.choices[0].delta.content or "")
    assert "".join(received) == "Half an"


def test_closing_stops_the_upstream(client: OpenAI, upstream: ScriptedUpstream) -> None:
    upstream.left.clear()
    stream = client.chat.completions.create(**say("for ever"), stream=True)
    next(iter(stream))
    stream.close()
    assert upstream.left.wait(5), "the upstream was not left"


def test_a_completion_that_is_cut_can_be_read_to_its_end(client: OpenAI, front: Server) -> None:
    raw = client.chat.completions.with_raw_response.create(
        **say("hi"), stream=True, extra_body={"on_disconnect": "continue"}
    )
    stream = raw.headers["x-stream-id"]
    next(iter(raw.parse()))
    raw.http_response.close()
    deadline = time.monotonic() + 10
    while (snapshot := front.snapshot(stream))["status"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert snapshot["text"] == TEXT
    url = f"{front.url}/v1/streams/{stream}/events"
    rest = httpx.get(url, headers={**front.headers, "last-event-id": f"{stream}.1"}).text
    assert rest.count("event: token") == 4 and rest.count("event: done") == 1


def test_langchain(front: Server) -> None:
    model = ChatOpenAI(model="up", base_url=f"{front.url}/v1", api_key=front.token, stream_usage=True)
    assert model.invoke([HumanMessage("hi")]).content == TEXT
    chunks = list(model.stream([HumanMessage("hi")]))
    assert "".join(chunk.content for chunk in chunks) == TEXT
    assert sum((chunk.usage_metadata or {}).get("total_tokens", 0) for chunk in chunks) == 7
    called = model.bind_tools([WEATHER]).invoke([HumanMessage("weather?")])
    assert called.tool_calls[0]["args"] == {"city": "Oslo"}
