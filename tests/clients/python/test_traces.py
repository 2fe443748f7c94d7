"""Spans reach a real collector, which understands and forwards them: Rotel, an OpenTelemetry collector of its own
making, between the server and a receiver that reads OTLP with OpenTelemetry's own package."""

import gzip
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import rotel
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tailrace import Server

AGENT = Path(rotel.__file__).parent / "rotel-agent"
SECONDS = 20


class Receiver:
    """Where the collector forwards to."""

    def __init__(self) -> None:
        self.spans: list[tuple[dict[str, str], Span]] = []
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers["content-encoding"] == "gzip":
                    body = gzip.decompress(body)
                for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                    who = {it.key: it.value.string_value for it in group.resource.attributes}
                    for scope in group.scope_spans:
                        spans.extend((who, span) for span in scope.spans)
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(holds, what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def collector(receiver: Receiver, tmp_path: Path) -> Iterator[str]:
    """The collector's address."""
    port, grpc = free_port(), free_port()
    arguments = {
        "otlp-http-endpoint": f"127.0.0.1:{port}",
        "otlp-grpc-endpoint": f"127.0.0.1:{grpc}",
        "pid-file": tmp_path / "pid",
        "exporter": "otlp",
        "otlp-exporter-endpoint": receiver.url,
        "otlp-exporter-protocol": "http",
    }
    command = [AGENT, "start"]
    for name, value in arguments.items():
        command += [f"--{name}", str(value)]
    with (tmp_path / "log").open("wb") as log:
        agent = subprocess.Popen(command, stdout=log, stderr=log, env={"NO_PROXY": "127.0.0.1"})

    def listens() -> bool:
        assert agent.poll() is None, (tmp_path / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(listens, "the collector does not listen")
    yield f"http://127.0.0.1:{port}"
    agent.terminate()
    agent.wait(SECONDS)


def test_spans_go_through_a_collector(collector: str, receiver: Receiver) -> None:
    server = Server(f'[traces]\nendpoint = "{collector}"\n[metrics]\nbind = "127.0.0.1:0"\n')
    trace = "0af7651916cd43dd8448eb211c80319c"
    body = {"prompt": "a secret question", "metadata": {"demo.tokens": "20"}}
    headers = {**server.headers, "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    answer = httpx.post(f"{server.url}/v1/streams", json=body, headers=headers)
    assert "event: done" in answer.text
    until(lambda: len(receiver.spans) >= 2, f"the spans do not come: {server.log()}")
    found = re.search(r'"Metrics are at /metrics","address":"([^"]+)"', server.log())
    assert found
    # What the collector has taken, it has said so of.
    metrics = httpx.get(f"http://{found[1]}/metrics").text
    assert 'tailrace_spans_total{result="exported"} 2' in metrics
    server.stop()
    by_name = {span.name: (who, span) for who, span in receiver.spans}
    assert set(by_name) == {"POST /v1/streams", "chat demo"}
    who, request = by_name["POST /v1/streams"]
    assert who["service.name"] == "tailrace"
    assert who["telemetry.sdk.language"] == "rust"
    generation = by_name["chat demo"][1]
    assert request.trace_id.hex() == generation.trace_id.hex() == trace
    assert request.parent_span_id.hex() == "b7ad6b7169203331"
    assert generation.parent_span_id == request.span_id
    assert (request.kind, generation.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
    said = {it.key: it.value for it in generation.attributes}
    assert said["gen_ai.usage.output_tokens"].int_value == 20
    reasons = said["gen_ai.response.finish_reasons"].array_value.values
    assert [it.string_value for it in reasons] == ["stop"]
    assert 0 < said["gen_ai.response.time_to_first_chunk"].double_value < SECONDS
    assert request.start_time_unix_nano <= generation.start_time_unix_nano
    assert "secret" not in str(receiver.spans)
