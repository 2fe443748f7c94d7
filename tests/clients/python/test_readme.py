"""The README's Python and shell, run as they stand there, with another address."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tailrace import Server

README = (Path(__file__).parents[3] / "README.md").read_text()

# What stands there for one's own: where the server is, and the id of a stream.
ADDRESS = "http://127.0.0.1:8080"
STREAM = "01a1fb215cf474538c6442ebd4a9f1c3"


def snippets(heading: str, language: str) -> list[str]:
    """The blocks of code in this language under this heading."""
    _, section = re.split(rf"^#+ {re.escape(heading)}$", README, flags=re.MULTILINE)
    section = re.split(r"^#+ [A-Z]", section, maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


@pytest.fixture
def quick() -> Iterator[Server]:
    """A server whose demo does not take its time."""
    server = Server('[models.demo]\ngenerator = "demo"\ntokens_per_second = 0.0\n')
    yield server
    server.stop()


def test_a_first_stream_with_curl(quick: Server) -> None:
    first, again = snippets("A first stream", "sh")
    assert ADDRESS in first and ADDRESS in again and STREAM in again
    whole = quick.shell(first.replace(ADDRESS, quick.url))
    data = re.findall(r"^data: (.*)$", whole, re.MULTILINE)
    stream = json.loads(data[0])["stream"]
    assert json.loads(data[-1])["type"] == "done"
    token = f"TOKEN={quick.token}\n"
    rest = quick.shell(token + again.replace(ADDRESS, quick.url).replace(STREAM, stream))
    assert re.findall(r"^data: (.*)$", rest, re.MULTILINE) == data[58:]


def test_your_own_model(tmp_path: Path) -> None:
    (code,) = snippets("Your own model", "python")
    (tmp_path / "my_model.py").write_text(code)
    (config,) = snippets("Configuration", "toml")
    section = config[config.index("[models.mine]") :]
    server = Server(section.replace("my_model.py", str(tmp_path / "my_model.py")))
    try:
        created = server.create({"prompt": "good morning"})
        events = f"{server.url}/v1/streams/{created['id']}/events"
        assert "event: done" in httpx.get(events, headers=server.headers).text
        assert server.snapshot(created["id"])["text"] == "You said: good morning "
    finally:
        server.stop()
