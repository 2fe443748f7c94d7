"""`tailrace chat` on a real terminal, and in pipes."""

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import termios
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from cutting_proxy import CuttingProxy
from tailrace import PROGRAM, Server
from terminal import Terminal

MODEL = r"""
import json, sys
prompt = json.load(sys.stdin)
said = [message["content"] for message in prompt["messages"]]
last = said[-1] if isinstance(said[-1], str) else said[-1][0]["text"]
def say(**delta): print(json.dumps(delta), flush=True)
if last == "markdown":
    for piece in ["# A hea", "ding\n\nSome **bo", "ld** and `co", "de`.\n\n- one\n- two\n\n```\nx **y**\n```\n"]:
        say(text=piece)
elif last == "attack":
    for piece in ["\x1b]0;owned\x07\x1b]52;c;aGk=\x07", "\x1b[2J\x1b[31mred\x9b5m", "\x1bP+q\x1b\\ \u202eend&#27;[7m"]:
        say(text=piece)
elif last == "tool":
    say(tool_call={"index": 0, "id": "a", "name": "search", "arguments": "{\"q\":"})
    say(tool_call={"index": 0, "arguments": "\"rivers\"}"})
    say(finish_reason="tool_calls")
elif last == "refuse":
    say(refusal="I would rather not.")
elif last == "short":
    say(text="cut"); say(finish_reason="length")
else:
    say(text=json.dumps(prompt["messages"]))
"""

TOML = f"""
default_model = "demo"
[models.demo]
generator = "demo"
[models.scripted]
generator = "command"
program = "python3"
args = ["-c", '''{MODEL}''']
"""


@pytest.fixture(scope="module")
def chatty() -> Iterator[Server]:
    """A server with a model that says what the tests want."""
    server = Server(TOML)
    yield server
    server.stop()


@pytest.fixture
def person(chatty: Server, tmp_path) -> dict[str, str]:
    """The variables of a person who has not chatted before. The development key is the server's."""
    token = chatty.token
    return {**chatty.environment, "XDG_STATE_HOME": str(tmp_path), "TAILRACE_TOKEN": token}


def knobs(**knobs: object) -> list[str]:
    """Options that set the demo's knobs."""
    return [part for name, value in knobs.items() for part in ("--metadata", f"demo.{name}={value}")]


def run(env: dict[str, str], *arguments: str, input: str = "") -> subprocess.CompletedProcess:
    """Runs `tailrace chat` in pipes."""
    command = [PROGRAM, "chat", *arguments]
    return subprocess.run(command, env=env, input=input, capture_output=True, text=True, timeout=60)


def newest(server: Server) -> dict:
    """The snapshot of the stream that was started last."""
    streams = httpx.get(f"{server.url}/v1/streams", headers=server.headers).json()["streams"]
    return server.snapshot(streams[0]["id"])


def squeezed(text: str) -> str:
    """A text without its spaces: a terminal breaks lines elsewhere."""
    return re.sub(r"\s+", "", text)


def test_words_appear_before_the_answer_is_over(chatty: Server, person: dict) -> None:
    with Terminal("chat", *knobs(tokens=400, tokens_per_second=20), "rivers", env=person) as it:
        it.wait("rivers")
        assert newest(chatty)["status"] == "running"
        it.press("\x03")
        assert it.exit() == 130


def test_a_cut_connection_is_resumed_and_the_text_is_whole(chatty: Server, person: dict) -> None:
    proxy = CuttingProxy(chatty.port)
    proxy.plan(rb'"seq":9,"te', rb"id: \w+\.30\n", rb"id: \w+\.60\n\n")
    try:
        env = {**person, "TAILRACE_URL": proxy.url}
        with Terminal("chat", *knobs(tokens=120, tokens_per_second=60), "rivers", env=env) as it:
            assert it.exit() == 0
    finally:
        proxy.stop()
    assert proxy.connections == 4
    assert it.raw.count(b"connection lost, again in") == 3
    assert "connection lost" not in it.text
    notes = re.findall(r"^resumed after (\d+), (\d+) tokens? replayed$", it.text, re.MULTILINE)
    # The second cut is before the blank line that would have ended event 30.
    assert [int(after) for after, _ in notes] == [8, 29, 60]
    answer = it.text[: it.text.index("resumed after")]
    assert squeezed(answer) == squeezed(newest(chatty)["text"])


def test_a_restarted_server_that_kept_its_streams_in_memory_says_so(tmp_path) -> None:
    server = Server(TOML)
    env = {**server.environment, "TAILRACE_TOKEN": server.token, "XDG_STATE_HOME": str(tmp_path)}
    # The next one knows the same key.
    key = tmp_path / "tailrace" / "development.key"
    key.parent.mkdir()
    key.write_bytes((server.state / "tailrace" / "development.key").read_bytes())
    with Terminal("chat", *knobs(tokens=400, tokens_per_second=20), "rivers", env=env) as it:
        it.wait("rivers")
        port = server.port
        server.kill()
        it.wait("connection lost")
        again = Server(TOML, port=port, key=key.read_bytes())
        try:
            assert it.exit() == 4
        finally:
            again.stop()
    assert "The server has lost this generation" in it.text.replace("\n", " ")
    assert "rivers" in it.text


CLUSTER = """
store = "redis"
[redis]
url = "redis://127.0.0.1:{port}"
[generation]
takeover = "continue"
[[auth.keys]]
algorithm = "HS256"
secret = "a secret of at least thirty-two bytes, for tests"
"""


@pytest.fixture
def redis(tmp_path) -> Iterator[int]:
    """The port of a Redis of this test."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    yield port
    process.terminate()
    process.wait()


def test_another_node_goes_on_when_one_is_killed(redis: int, tmp_path) -> None:
    toml = CLUSTER.format(port=redis)
    one, other = Server(toml), Server(toml)
    proxy = CuttingProxy(one.port)
    env = {**one.environment, "TAILRACE_TOKEN": one.token, "TAILRACE_URL": proxy.url}
    env["XDG_STATE_HOME"] = str(tmp_path)
    arguments = knobs(tokens=150, tokens_per_second=20)
    try:
        with Terminal("chat", *arguments, "rivers", env=env) as it:
            it.wait("rivers")
            proxy.target = ("127.0.0.1", other.port)
            one.kill()
            assert it.exit() == 0
        assert "resumed after" in it.text
        answer = it.text[: it.text.index("resumed after")]
        other.token, other.headers = one.token, one.headers
        snapshot = newest(other)
        assert snapshot["status"] == "done"
        assert squeezed(answer) == squeezed(snapshot["text"])
    finally:
        proxy.stop()
        other.stop()


def test_ctrl_c_cancels_the_generation_and_keeps_what_was_there(
    chatty: Server, person: dict
) -> None:
    with Terminal("chat", *knobs(tokens=400, tokens_per_second=20), "rivers", env=person) as it:
        it.wait("rivers")
        it.press("\x03")
        assert it.exit() == 130
    snapshot = newest(chatty)
    assert (snapshot["status"], snapshot["finish_reason"]) == ("done", "cancelled")
    assert squeezed(snapshot["text"]) == squeezed(it.text.replace("^C", ""))


def test_a_second_ctrl_c_leaves_at_once(tmp_path) -> None:
    server = Server(TOML)
    env = {**server.environment, "TAILRACE_TOKEN": server.token}
    try:
        with Terminal("chat", *knobs(tokens=400, tokens_per_second=20), "rivers", env=env) as it:
            it.wait("rivers")
            server.pause(True)
            it.press("\x03")
            it.wait("^C")
            pressed = time.monotonic()
            it.press("\x03")
            assert it.exit() == 130
            # Without the second it would have waited for the server for 3 s.
            assert time.monotonic() - pressed < 2.5
    finally:
        server.pause(False)
        server.stop()


def unread(pipe) -> int:
    """How many bytes lie in a pipe."""
    count = fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))
    return int.from_bytes(count, "little")


def test_ctrl_c_twice_leaves_also_where_nobody_reads_the_output(
    chatty: Server, person: dict
) -> None:
    # More than a pipe holds, so that the program stands in a write.
    command = [PROGRAM, "chat", "--json", *knobs(tokens=4000, tokens_per_second=100000), "rivers"]
    chat = subprocess.Popen(command, env=person, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        room = fcntl.fcntl(chat.stdout, fcntl.F_GETPIPE_SZ)
        deadline = time.monotonic() + 10
        while unread(chat.stdout) < room - 8192:
            assert chat.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        chat.send_signal(signal.SIGINT)
        # Two signals that come together are one.
        with contextlib.suppress(subprocess.TimeoutExpired):
            chat.wait(0.3)
        chat.send_signal(signal.SIGINT)
        assert chat.wait(10) == 130
    finally:
        chat.kill()
        chat.communicate()


def keep_the_first_answer(front: socket.socket, port: int) -> None:
    """Passes requests on, but what is answered on the first connection does not arrive."""
    kept = None
    while True:
        try:
            client, _ = front.accept()
        except OSError:
            return
        server = socket.create_connection(("127.0.0.1", port))
        threading.Thread(target=pump, args=(client, server), daemon=True).start()
        if kept:
            threading.Thread(target=pump, args=(server, client), daemon=True).start()
        kept = kept or (client, server)


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # One of them is gone.


def test_ctrl_c_cancels_also_before_anything_has_come(chatty: Server, person: dict) -> None:
    def streams() -> list[dict]:
        listed = httpx.get(f"{chatty.url}/v1/streams", headers=chatty.headers)
        return [stream for stream in listed.json()["streams"] if stream["id"] not in known]

    known: set[str] = set()
    known = {stream["id"] for stream in streams()}
    with socket.create_server(("127.0.0.1", 0)) as front:
        port = front.getsockname()[1]
        threading.Thread(target=keep_the_first_answer, args=(front, chatty.port), daemon=True).start()
        env = {**person, "TAILRACE_URL": f"http://127.0.0.1:{port}"}
        with Terminal("chat", *knobs(tokens=400, tokens_per_second=20), "levees", env=env) as it:
            deadline = time.monotonic() + 10
            while not streams():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            it.press("\x03")
            pressed = time.monotonic()
            assert it.exit() == 130
            assert time.monotonic() - pressed < 2.5
    snapshot = newest(chatty)
    assert (snapshot["status"], snapshot["finish_reason"]) == ("done", "cancelled")


def test_markdown_is_rendered_on_a_terminal_and_left_in_a_pipe(person: dict) -> None:
    with Terminal("chat", "-m", "scripted", "markdown", env=person) as it:
        assert it.exit() == 0
    shown = "A heading\n\nSome bold and code.\n\n• one\n• two\n\n```\nx **y**\n```"
    assert it.text == shown
    assert it.style("A heading").bold and it.style("bold").bold
    assert not it.style("Some").bold
    assert it.style("code").fg == "cyan"
    piped = run(person, "-m", "scripted", "markdown").stdout
    assert piped.startswith("# A heading\n\nSome **bold** and `code`.\n")
    assert "\x1b" not in piped
    forced = run({**person, "CLICOLOR_FORCE": "1"}, "-m", "scripted", "--markdown", "always", "markdown")
    assert "\x1b[0;1m" in forced.stdout
    with Terminal("chat", "-m", "scripted", "--markdown", "never", "markdown", env=person) as it:
        assert it.exit() == 0
    assert it.text == piped.rstrip()


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_there_are_no_styles_where_they_are_not_wanted(person: dict, variables: dict) -> None:
    env = {**person, **variables}
    arguments = knobs(tokens=20, reasoning=5, tokens_per_second=200)
    with Terminal("chat", *arguments, "rivers", env=env) as it:
        assert it.exit() == 0
    assert b"\x1b" not in it.raw


def test_a_model_cannot_control_the_terminal(person: dict) -> None:
    for options in (["--markdown", "never"], []):
        with Terminal("chat", "-m", "scripted", *options, "attack", env=person) as it:
            assert it.exit() == 0
        assert it.screen.title == ""
        written = it.raw.decode()
        for sequence in ("\x1b]", "\x07", "\x1bP", "\x1b[2J", "\x1b[31m", "\x1b[7m", "\x9b", "\u202e"):
            assert sequence not in written
        assert "␛]0;owned␇" in it.text and "red" in it.text


def test_lines_are_broken_between_words_on_a_narrow_terminal(chatty: Server, person: dict) -> None:
    arguments = knobs(tokens=150, tokens_per_second=500)
    with Terminal("chat", *arguments, "rivers", env=person, columns=22, rows=120) as it:
        assert it.exit() == 0
    text = newest(chatty)["text"]
    assert squeezed(it.text) == squeezed(text)
    assert set(it.text.split()) <= set(text.split())


def test_standard_input_is_the_prompt_or_follows_it(chatty: Server, person: dict) -> None:
    def asked(*arguments: str, input: str) -> str:
        answered = run(person, "-m", "scripted", *arguments, input=input)
        assert answered.returncode == 0, answered.stderr
        return json.loads(answered.stdout)[-1]["content"]

    assert "all of it" in json.dumps(asked(input="all of it\n"))
    assert "all of it" in json.dumps(asked("-", input="all of it\n"))
    assert "sum up\\n\\nthis" in json.dumps(asked("sum up", input="this\n"))
    for arguments, input in [((), ""), (("-",), " \n"), (("",), "")]:
        empty = run(person, *arguments, input=input)
        assert (empty.returncode, empty.stdout) == (2, "")
        assert "the prompt is empty" in empty.stderr


def test_json_is_what_the_server_sends_and_nothing_else(chatty: Server, person: dict) -> None:
    printed = run(person, "--json", *knobs(tokens=20, text="awkward", tokens_per_second=500), "hi")
    assert (printed.returncode, printed.stderr) == (0, "")
    events = [json.loads(line) for line in printed.stdout.splitlines()]
    headers = {**chatty.headers, "accept": "application/x-ndjson"}
    url = f"{chatty.url}/v1/streams/{events[0]['stream']}/events"
    sent = httpx.get(url, headers=headers).text
    assert events == [json.loads(line) for line in sent.split("\n") if line]


def test_a_conversation_is_remembered(person: dict, tmp_path) -> None:
    def said(*arguments: str) -> str:
        answered = run(person, "-m", "scripted", *arguments)
        assert answered.returncode == 0, answered.stderr
        return answered.stdout

    said("--system", "Be short.", "the first")
    second = json.loads(said("--continue", "the second"))
    assert [message["role"] for message in second] == ["system", "user", "assistant", "user"]
    assert "the first" in json.dumps(second[1]) and "the second" in json.dumps(second[3])
    said("--conversation", "work", "something else")
    third = json.loads(said("-C", "and on"))
    assert [message["role"] for message in third] == ["user", "assistant", "user"]
    said("--forget", "a secret")
    assert run(person, "--list").stdout.split() == ["last", "work"]
    path = tmp_path / "tailrace" / "conversations" / "work.json"
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert "a secret" not in (tmp_path / "tailrace" / "conversations" / "last.json").read_text()


def test_tool_calls_and_refusals_are_shown(person: dict) -> None:
    with Terminal("chat", "-m", "scripted", "tool", env=person) as it:
        assert it.exit() == 0
    assert it.text == '→ search({"q":"rivers"})'
    refused = run(person, "-m", "scripted", "refuse")
    assert (refused.returncode, refused.stdout) == (5, "I would rather not.\n")


def test_reasoning_is_dim_on_a_terminal_and_not_in_a_pipe(chatty: Server, person: dict) -> None:
    arguments = knobs(tokens=10, reasoning=4, tokens_per_second=200)
    with Terminal("chat", *arguments, "rivers", env=person) as it:
        assert it.exit() == 0
    answer = newest(chatty)["text"]
    reasoning, shown = it.text.split("\n\n", 1)
    assert squeezed(shown) == squeezed(answer) and reasoning
    assert b"\x1b[0;2m" in it.raw
    assert run(person, *arguments, "rivers").stdout.strip() == answer.strip()
    both = run(person, "--reasoning", "show", *arguments, "rivers").stdout
    assert both.startswith(reasoning.split()[0])


def test_each_exit_status(chatty: Server, person: dict) -> None:
    def status(*arguments: str, **variables: str) -> tuple[int, str]:
        answered = run({**person, **variables}, *arguments)
        return answered.returncode, answered.stderr

    assert status(*knobs(tokens=3), "hi") == (0, "")
    code, said = status(*knobs(fail_after=3), "hi")
    assert code == 1 and "generator_error" in said and "trying again may help" in said
    for arguments in (["--nothing"], ["--temperature", "warm", "hi"], ["--url", "ftp://a", "hi"]):
        assert status(*arguments)[0] == 2
    assert status("hi", TAILRACE_TOKEN="wrong")[0] == 3
    code, said = status("-m", "nobody", "hi")
    assert code == 3 and "nobody" in said
    code, said = status("--timeout", "300ms", "--url", "http://127.0.0.1:1", "hi")
    assert code == 4 and "Cannot get an answer from http://127.0.0.1:1" in said
    code, said = status("-m", "scripted", "short")
    assert code == 5 and "length" in said
    remote = {**person, "TAILRACE_TOKEN": ""}
    assert run(remote, "--url", "http://192.0.2.1", "hi").returncode == 2


def test_a_reader_that_leaves_ends_the_generation(chatty: Server, person: dict) -> None:
    command = [PROGRAM, "chat", *knobs(tokens=400, tokens_per_second=50), "rivers"]
    chat = subprocess.Popen(command, env=person, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            stdin=subprocess.DEVNULL)
    assert chat.stdout.read(1)
    chat.stdout.close()
    assert chat.wait(30) == 141
    assert chat.stderr.read() == b""
    assert newest(chatty)["finish_reason"] == "cancelled"


def test_a_person_has_a_conversation(chatty: Server, person: dict) -> None:
    env = person
    with Terminal("chat", *knobs(tokens=300, tokens_per_second=50), env=env) as it:
        it.wait(b"> ")
        it.press("Tell me of rivers\r")
        it.wait("rivers is")
        it.press("\x03")
        it.wait("\n\n>")
        assert newest(chatty)["finish_reason"] == "cancelled"
        it.press("/help\r")
        it.wait("/model [NAME]")
        it.press("/model scripted\r")
        it.press("what was that\r")
        it.wait("what was that\"")
        it.press("/quit\r")
        assert it.exit() == 0
    assert "Tell me of rivers" in it.text


def test_a_new_conversation_leaves_the_named_one_as_it_is(person: dict, tmp_path) -> None:
    folder = tmp_path / "tailrace" / "conversations"
    arguments = ("chat", "--conversation", "work", "-m", "scripted")
    with Terminal(*arguments, env=person) as it:
        it.wait(b"> ")
        it.press("alpha\r")
        it.wait('alpha"')
        it.wait("\n\n>")
        it.press("/new\r")
        it.wait("work is kept as it is.")
        it.press("beta\r")
        it.wait('beta"')
        it.wait('beta"}]\n\n>')
        it.press("/quit\r")
        assert it.exit() == 0
    work, last = ((folder / f"{name}.json").read_text() for name in ("work", "last"))
    assert "alpha" in work and "beta" not in work
    assert "beta" in last and "alpha" not in last


def test_two_in_one_conversation_do_not_overwrite_each_other(
    chatty: Server, person: dict, tmp_path
) -> None:
    folder = tmp_path / "tailrace" / "conversations"
    slow = knobs(tokens=40, tokens_per_second=20)
    with Terminal("chat", "--conversation", "work", *slow, "rivers", env=person) as it:
        it.wait("rivers")
        assert run(person, "--conversation", "work", "-m", "scripted", "other").returncode == 0
        assert it.exit() == 0
    assert "workwaschangedelsewheremeanwhile;thisoneiswork-2." in squeezed(it.text)
    assert "other" in (folder / "work.json").read_text()
    assert "rivers" in (folder / "work-2.json").read_text()


def test_json_on_a_terminal_cannot_control_it(person: dict) -> None:
    with Terminal("chat", "-m", "scripted", "--json", "attack", env=person) as it:
        assert it.exit() == 0
    written = it.raw.decode()
    assert not re.search("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", written)
    assert r"\u202e" in written and r"\u009b" in written.lower()


def test_a_server_cannot_write_lines_as_if_they_were_ours(person: dict) -> None:
    problem = json.dumps({"message": "no\ntailrace: all is well\u202e"}).encode()
    head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
    with socket.create_server(("127.0.0.1", 0)) as front:
        def refuse() -> None:
            client, _ = front.accept()
            client.recv(65536)
            client.sendall(head + b"content-length: %d\r\n\r\n" % len(problem) + problem)
            client.recv(65536)

        threading.Thread(target=refuse, daemon=True).start()
        port = front.getsockname()[1]
        refused = run({**person, "TAILRACE_URL": f"http://127.0.0.1:{port}"}, "hi")
    assert refused.returncode == 3
    assert refused.stderr.startswith("tailrace: no␊tailrace: all is well\ufffd (")
    assert refused.stderr.count("\n") == 1


def test_a_token_is_made_for_a_server_on_this_machine(chatty: Server) -> None:
    env = {**chatty.environment}
    assert "TAILRACE_TOKEN" not in env
    assert run(env, "--forget", *knobs(tokens=3), "hi").returncode == 0
    # Nobody gives a token where everybody on the machine can read it.
    assert run(env, "--token", chatty.token, "hi").returncode == 2


def test_a_url_with_a_path_is_understood_or_explained(chatty: Server, person: dict) -> None:
    answered = run(person, "--url", f"{chatty.url}/v1/", *knobs(tokens=3), "hi")
    assert (answered.returncode, answered.stderr) == (0, "")
    answered = run(person, "--url", f"{chatty.url}/nowhere", "hi")
    assert answered.returncode == 3 and "route_not_found" in answered.stderr
    answered = run(person, "--url", "localhost:8080", "hi")
    assert answered.returncode == 2 and "/v1" not in answered.stderr


def test_a_token_that_was_made_with_another_key_is_explained(chatty: Server, tmp_path) -> None:
    env = {**chatty.environment, "XDG_STATE_HOME": str(tmp_path)}
    answered = run(env, "--forget", *knobs(tokens=3), "hi")
    assert answered.returncode == 3
    assert "invalid_token" in answered.stderr
    assert "The token was made with the development key of this user" in answered.stderr
    assert "--token-file" in answered.stderr
    # Of a token that was given nothing of that is known.
    answered = run({**env, "TAILRACE_TOKEN": "a.b.c"}, "--forget", "hi")
    assert answered.returncode == 3 and "development key" not in answered.stderr


def test_a_full_disk_is_told_and_ends_the_generation(chatty: Server, person: dict) -> None:
    command = [PROGRAM, "chat", *knobs(tokens=400, tokens_per_second=50), "rivers"]
    with open("/dev/full", "wb") as full:
        answered = subprocess.run(command, env=person, stdin=subprocess.DEVNULL, stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=60)
    assert answered.returncode == 6
    assert "cannot be written" in answered.stderr
    assert newest(chatty)["finish_reason"] == "cancelled"


def test_the_list_says_what_conversations_were_about(person: dict, tmp_path) -> None:
    for name, question in [("work", "tell me\nabout weirs " + "and more " * 20), ("play", "short")]:
        assert run(person, "-m", "scripted", "--conversation", name, question).returncode in (0, 5)
    (tmp_path / "tailrace" / "conversations" / "broken.json").write_text("{")
    with Terminal("chat", "--list", env=person, columns=60) as it:
        assert it.exit() == 0
        rows = {row.split()[0]: row for row in it.text.splitlines()}
    assert set(rows) == {"work", "play", "broken"}
    assert re.search(r"scripted +1 question +just now +tell me about weirs.*…$", rows["work"])
    assert re.search(r"scripted +1 question +just now +short$", rows["play"])
    assert "damaged" in rows["broken"]


def test_what_is_told_of_the_connection_shows_that_it_is_cut(person: dict) -> None:
    env = {**person, "TAILRACE_URL": "http://127.0.0.1:1"}
    with Terminal("chat", "--timeout", "20s", "hi", env=env, columns=30) as it:
        it.wait("…")
        assert any(line.startswith("no answer yet") and line.rstrip().endswith("…") for line in it.screen.display)
        it.press("\x03")
    # Where it stays, it is whole.
    with Terminal("chat", "--timeout", "1s", "hi", env={**env, "TERM": "dumb"}, columns=30) as it:
        assert it.exit() == 4
        assert "…" not in it.text


def test_shells_complete_commands_and_options(person: dict, tmp_path) -> None:
    def completions(shell: str) -> str:
        return subprocess.check_output([PROGRAM, "completions", shell], env=person, text=True)

    script = tmp_path / "tailrace.bash"
    script.write_text(completions("bash"))
    ask = f"""
        source {script}
        COMP_WORDS=(tailrace ch) COMP_CWORD=1; _tailrace tailrace ch tailrace; echo "${{COMPREPLY[@]}}"
        COMP_WORDS=(tailrace chat --conv) COMP_CWORD=2; _tailrace tailrace --conv chat; echo "${{COMPREPLY[@]}}"
    """
    answers = subprocess.check_output(["bash", "-uc", ask], text=True).splitlines()
    assert answers == ["chat check", "--conversation"]
    subprocess.run(["zsh", "-n", "/dev/stdin"], input=completions("zsh"), text=True, check=True)
    fish = tmp_path / "tailrace.fish"
    fish.write_text(completions("fish"))
    subprocess.run(["fish", "--no-execute", fish], check=True)


def test_the_manual_pages_can_be_read(person: dict, tmp_path) -> None:
    subprocess.run([PROGRAM, "man", "--dir", tmp_path], env=person, check=True)
    pages = sorted(tmp_path.glob("*.1"))
    assert {"tailrace.1", "tailrace-chat.1", "tailrace-serve.1"} <= {page.name for page in pages}
    # Its warnings are about spacing and a date that is not there.
    subprocess.run(["mandoc", "-Tlint", "-Werror", *pages], check=True)
    chat = subprocess.check_output(["mandoc", "-Tascii", tmp_path / "tailrace-chat.1"], text=True)
    chat = re.sub(".\x08", "", chat)
    for part in ("EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO", "TAILRACE_URL"):
        assert part in chat
    printed = subprocess.check_output([PROGRAM, "man", "chat"], env=person)
    assert printed == (tmp_path / "tailrace-chat.1").read_bytes()
