"""deploy/README.md's steps for systemd, run as they stand there, below another root and at other ports.

What a test cannot have is stood in for: cargo is the program under test, an editor that one line, and systemctl
copies the unit's credentials and runs its commands.
"""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace import PROGRAM

REPOSITORY = Path(__file__).parents[3]
README = (REPOSITORY / "deploy/README.md").read_text()

STAND_INS = r"""
set -euo pipefail
cargo() { mkdir -p target/release; cp "$PROGRAM" target/release/tailrace; }
editor() {
  case "$1" in
    */redis.password) echo "$PASSWORD" > "$1" ;;
    *) sed -i "s|redis://172.30.0.5:6379|redis://127.0.0.1:$REDIS|" "$1" ;;
  esac
}
systemctl() {
  [ "$1" = daemon-reload ] && return
  [ "$*" = "enable --now tailrace" ]
  local unit=$ROOT/etc/systemd/system/tailrace.service name file command
  cat "$unit" "$unit".d/*.conf 2>/dev/null > "$ROOT/unit" || true
  sed -i "s|/etc/|$ROOT/etc/|; s|/usr/local/|$ROOT/usr/local/|" "$ROOT/unit"
  sed -n 's/^LoadCredential=//p' "$ROOT/unit" | while IFS=: read -r name file; do
    install -D -m 400 "$file" "$ROOT/run/credentials/tailrace.service/$name"
  done
  command=$(sed -n 's/^ExecStartPre=//p' "$ROOT/unit")
  $command >&2
  command=$(sed -n 's/^ExecStart=//p' "$ROOT/unit")
  TAILRACE_BIND=127.0.0.1:$PORT TAILRACE_METRICS__BIND=127.0.0.1:$METRICS $command > "$ROOT/log" 2>&1 &
  echo $! > "$ROOT/pid"
}
"""


def blocks(heading: str) -> list[str]:
    """The commands under this heading."""
    _, section = re.split(rf"^## {re.escape(heading)}$", README, flags=re.MULTILINE)
    section = re.split(r"^## ", section, maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Machine:
    """A clone of the repository, and a root of its own."""

    def __init__(self, place: Path) -> None:
        self.root = place / "root"
        self._clone = place / "clone"
        for directory in ["etc/systemd/system", "usr/local/bin", "run"]:
            (self.root / directory).mkdir(parents=True)
        self._clone.mkdir()
        for name in ["deploy", "docs"]:
            (self._clone / name).symlink_to(REPOSITORY / name)
        self.port, self.redis = free_port(), free_port()
        self._environment = {
            "PATH": f"{self.root}/usr/local/bin:{os.environ['PATH']}",
            "HOME": str(place),
            "NO_PROXY": "127.0.0.1",
            "PROGRAM": str(PROGRAM),
            "ROOT": str(self.root),
            "PORT": str(self.port),
            "METRICS": str(free_port()),
            "REDIS": str(self.redis),
            "PASSWORD": "a password of this test",
        }

    def run(self, *commands: str) -> str:
        script = "\n".join(commands).replace("127.0.0.1:8080", f"127.0.0.1:{self.port}")
        script = re.sub(r"(?<![\w.])/(etc|usr/local|run/credentials)/", rf"{self.root}/\1/", script)
        ran = subprocess.run(
            ["bash", "-c", STAND_INS + script],
            cwd=self._clone,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr + self._log()
        return ran.stdout

    def _log(self) -> str:
        log = self.root / "log"
        return log.read_text() if log.exists() else ""

    def stop(self) -> None:
        if (self.root / "pid").exists():
            os.kill(int((self.root / "pid").read_text()), signal.SIGKILL)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.stop()


def assert_streams(said: str) -> None:
    """It is ready, the configuration is right by hand, a stream is whole, and a token follows."""
    assert said.startswith("ready")
    data = re.findall(r"^data: (.*)$", said, re.MULTILINE)
    assert json.loads(data[-1])["type"] == "done"
    assert said.strip().splitlines()[-1].count(".") == 2


def test_one_machine_with_systemd_to_a_first_stream(machine: Machine) -> None:
    install, first = blocks("One machine with systemd")
    assert_streams(machine.run(install, first))
    for secret in ["token.secret", "ticket.secret"]:
        assert (machine.root / "etc/tailrace" / secret).stat().st_mode & 0o777 == 0o600


def test_a_machine_of_several_with_systemd_to_a_first_stream(machine: Machine) -> None:
    _redis, install = blocks("Several machines with systemd")
    first = blocks("One machine with systemd")[1]
    secrets = [line for line in blocks("One machine with systemd")[0].splitlines() if "umask" in line]
    assert len(secrets) == 1
    redis = subprocess.Popen(
        ["redis-server", "--port", str(machine.redis), "--save", "", "--requirepass",
         "a password of this test"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        said = machine.run("install -d /etc/tailrace", secrets[0], install, first)
    finally:
        redis.kill()
        redis.wait()
    assert_streams(said)
