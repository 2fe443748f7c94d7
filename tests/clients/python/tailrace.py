"""A Tailrace server for tests alone, and the few calls that they make beside their client."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import httpx

HERE = Path(__file__).parent
PROGRAM = Path(os.environ.get("TAILRACE_BIN", HERE / "../../../target/debug/tailrace")).resolve()

START_SECONDS = 20
STOP_SECONDS = 15


class Server:
    """A running server with its own port, home directory, key and configuration."""

    def __init__(self, toml: str = "", port: int = 0, key: bytes | None = None) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="tailrace-clients-")
        home = self.state = Path(self._directory.name)
        if key:
            (home / "tailrace").mkdir()
            (home / "tailrace" / "development.key").write_bytes(key)
        self._config = home / "tailrace.toml"
        self._config.write_text(toml)
        self._log = home / "log"
        # Nothing of ours: TAILRACE_BIN, for one, would be taken for a setting.
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_STATE_HOME": str(home),
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [PROGRAM, "--config", self._config],
                env={**self._environment, "TAILRACE_BIND": f"127.0.0.1:{port}"},
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        self.port = self._wait_for_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = self.mint()
        self.headers = {"authorization": f"Bearer {self.token}"}

    def _wait_for_port(self) -> int:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if found := re.search(r'"Listening","address":"[^"]*:(\d+)"', self.log()):
                return int(found[1])
            time.sleep(0.01)
        self._process.kill()
        raise RuntimeError(f"the server does not listen: {self.log()}")

    def log(self) -> str:
        """What it has logged so far."""
        return self._log.read_text()

    def mint(self, *options: str) -> str:
        """Mints a token, as a person would."""
        command = [PROGRAM, "--config", self._config, "token", *options]
        return subprocess.check_output(command, env=self._environment, text=True).strip()

    def kill(self) -> None:
        """Ends the server as a crash would."""
        self._process.kill()
        self._process.wait()
        self._directory.cleanup()

    def pause(self, paused: bool) -> None:
        """Has the whole process stand still, or go on."""
        self._process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a person who may use this server as its owner does."""
        return {**self._environment, "TAILRACE_CONFIG": str(self._config), "TAILRACE_URL": self.url}

    def shell(self, script: str) -> str:
        """Runs a script as a person would, with the program on the path; what it prints."""
        path = f"{PROGRAM.parent}:{self._environment['PATH']}"
        environment = {**self._environment, "PATH": path, "TAILRACE_CONFIG": str(self._config)}
        command = ["bash", "-euo", "pipefail", "-c", script]
        return subprocess.check_output(command, env=environment, text=True)

    def stop(self) -> None:
        """Stops the server at once. Fails if it had ended by itself, or if a task panicked."""
        ended = self._process.poll() is not None
        log = self.log()
        # The second signal means: without draining.
        for number in (signal.SIGTERM, signal.SIGINT):
            self._process.send_signal(number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        finally:
            self._directory.cleanup()
        assert not ended, f"the server had ended by itself: {log}"
        assert "A task panicked" not in log, log

    def create(self, request: dict) -> dict:
        """Starts a generation, and answers with its snapshot."""
        headers = {**self.headers, "prefer": "respond-async"}
        return self._json(httpx.post(f"{self.url}/v1/streams", json=request, headers=headers))

    def snapshot(self, stream: str) -> dict:
        """Looks at a stream."""
        return self._json(httpx.get(f"{self.url}/v1/streams/{stream}", headers=self.headers))

    @staticmethod
    def _json(response: httpx.Response) -> dict:
        response.raise_for_status()
        return json.loads(response.content)


def demo(**knobs: object) -> dict:
    """A request for the demo generator."""
    metadata = {f"demo.{knob}": str(value) for knob, value in knobs.items()}
    return {"prompt": "Tell me about lighthouse keepers", "metadata": metadata}
