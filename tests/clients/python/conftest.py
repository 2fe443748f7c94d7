"""The server and the proxy that most tests share."""

from collections.abc import Iterator

import pytest

from cutting_proxy import CuttingProxy
from tailrace import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server as it comes, but that it listens somewhere free."""
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def proxy(server: Server) -> Iterator[CuttingProxy]:
    """A proxy before the server, without a plan."""
    proxy = CuttingProxy(server.port)
    yield proxy
    proxy.stop()
