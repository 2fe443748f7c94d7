"""A TCP proxy that breaks connections where a test wants it. It forwards bytes as they are."""

import re
import socket
import socketserver
import struct
import threading

RESET = struct.pack("ii", 1, 0)


class CuttingProxy(socketserver.ThreadingTCPServer):
    """Each planned cut breaks one connection, right after the first match in what it answers."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Link)
        self.target = ("127.0.0.1", port)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.connections = 0
        self._cuts: list[tuple[re.Pattern[bytes], bool]] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        self._thread.start()

    def plan(self, *patterns: bytes, reset: bool = False) -> None:
        """Cuts the next connections, one after each pattern; with `reset`, like a lost peer."""
        self._cuts.extend((re.compile(pattern), reset) for pattern in patterns)

    def next_cut(self) -> tuple[re.Pattern[bytes], bool] | None:
        """The cut for a connection that has just been made."""
        self.connections += 1
        return self._cuts.pop(0) if self._cuts else None

    def stop(self) -> None:
        """Stops listening."""
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Link(socketserver.BaseRequestHandler):
    server: CuttingProxy

    def handle(self) -> None:
        cut = self.server.next_cut()
        with socket.create_connection(self.server.target) as upstream:
            threading.Thread(target=_pump, args=(self.request, upstream), daemon=True).start()
            self._answer(upstream, cut)

    def _answer(self, upstream: socket.socket, cut: tuple[re.Pattern[bytes], bool] | None) -> None:
        seen = b""
        while piece := _receive(upstream):
            before = len(seen)
            seen += piece
            if cut and (found := cut[0].search(seen)):
                _send(self.request, piece[: max(0, found.end() - before)])
                if cut[1]:
                    self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                return
            _send(self.request, piece)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    while piece := _receive(source):
        _send(sink, piece)
    try:
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # It is closed already.


def _receive(source: socket.socket) -> bytes:
    try:
        return source.recv(65536)
    except OSError:
        return b""


def _send(sink: socket.socket, piece: bytes) -> None:
    try:
        sink.sendall(piece)
    except OSError:
        pass  # The other side is gone; the next receive says so.
