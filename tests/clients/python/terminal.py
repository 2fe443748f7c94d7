"""A person at a terminal: a program on a pty, the screen that they see, and the keys that they press."""

import time

import pexpect
import pyte

from tailrace import PROGRAM

SECONDS = 30


class Terminal:
    """A program on a terminal of its own."""

    def __init__(
        self, *arguments: str, env: dict[str, str], columns: int = 80, rows: int = 50
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.process = pexpect.spawn(
            str(PROGRAM),
            list(arguments),
            env={"TERM": "xterm-256color", **env},
            dimensions=(rows, columns),
            timeout=SECONDS,
        )

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.close(force=True)

    def press(self, keys: str) -> None:
        """Presses keys."""
        self.process.send(keys)

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def read(self) -> bool:
        """Reads what has come; False when the program has closed the terminal."""
        try:
            piece = self.process.read_nonblocking(65536, timeout=0.05)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += piece
        self._stream.feed(piece)
        return True

    def wait(self, what: str | bytes) -> None:
        """Waits until this is on the screen; bytes, until they were written."""
        deadline = time.monotonic() + SECONDS
        while (what not in self.text) if isinstance(what, str) else (what not in self.raw):
            more = self.read()
            assert more and time.monotonic() < deadline, f"{what!r} did not come: {self.text}"

    def exit(self) -> int:
        """Waits for the end, and answers with the exit status."""
        deadline = time.monotonic() + SECONDS
        while self.read():
            assert time.monotonic() < deadline, f"it does not end: {self.text}"
        self.process.close()
        assert self.process.exitstatus is not None, f"signal {self.process.signalstatus}"
        return self.process.exitstatus

    def style(self, word: str) -> pyte.screens.Char:
        """How the first character of a word looks."""
        for row, line in enumerate(self.screen.display):
            if (column := line.find(word)) >= 0:
                return self.screen.buffer[row][column]
        raise AssertionError(f"{word!r} is not on the screen: {self.text}")
