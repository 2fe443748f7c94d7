"""Schemathesis: whatever it makes of the OpenAPI 3.2 document that the server serves, no answer is
undocumented, and none is our fault. It reads event streams too, event by event."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace import Server

HERE = Path(__file__).parent

# Streams are short and end by themselves, and few are ever live at once.
CONFIGURATION = """
[http]
body_timeout = "2s"
[generation]
total_timeout = "2s"
abandon_after = "100ms"
[models.demo]
generator = "demo"
tokens = 5
tokens_per_second = 0
first_token_delay_ms = 0
"""

# Left out is `positive_data_acceptance`: that exactly one of `prompt` and `messages` is given, and
# what an id looks like, are not in the document, so many requests that fit it are refused.
CONFORMANCE = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ensure_resource_availability",
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose streams are short."""
    server = Server(CONFIGURATION)
    yield server
    server.stop()


def run(directory: Path, server: Server, *options: str, hooks: str | None = None) -> None:
    """Runs the command line tool, always the same way, and fails with what it says.

    It leaves files where it runs, so that is a directory of its own.
    """
    command = [sys.executable, "-m", "schemathesis.cli"]
    command += ["--config-file", HERE / "schemathesis.toml"]
    command += ["run", f"{server.url}/openapi-3.2.json"]
    command += ["--header", f"Authorization: Bearer {server.token}", *options]
    command += ["--no-color", "--continue-on-failure", "--request-timeout", "10"]
    command += ["--generation-deterministic"]
    # The operators' feed lasts for minutes; `tests/api/monitor.rs` holds it to its schemas.
    command += ["--exclude-operation-id", "watchServer"]
    # A second credential would be refused before anything else is looked at.
    command += ["--generation-with-security-parameters", "false"]
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    if hooks:
        environment["SCHEMATHESIS_HOOKS"] = hooks
    ended = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    print(ended.stdout, ended.stderr)
    if ended.returncode != 0:
        pytest.fail("Schemathesis found what stands in its output", pytrace=False)


def test_every_answer_is_documented(tmp_path: Path, server: Server) -> None:
    run(tmp_path, server, "--checks", ",".join(CONFORMANCE), "--max-examples", "100")


def test_wrong_requests_are_refused(tmp_path: Path, server: Server) -> None:
    run(
        tmp_path,
        server,
        *("--checks", "negative_data_rejection,not_a_server_error", "--mode", "negative"),
        *("--phases", "coverage,fuzzing", "--max-examples", "100"),
        hooks="schemathesis_hooks",
    )
