"""The page of metrics is what Prometheus' own parsers for Python make sense of, in both formats."""

import re
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from tailrace import Server


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    """Where a server that has been used has its metrics."""
    server = Server('[metrics]\nbind = "127.0.0.1:0"\n')
    found = re.search(r'"Metrics are at /metrics","address":"([^"]+)"', server.log())
    assert found, server.log()
    body = {"prompt": "x", "metadata": {"demo.tokens": "20"}}
    answer = httpx.post(f"{server.url}/v1/streams", json=body, headers=server.headers)
    assert "event: done" in answer.text
    httpx.get(f"{server.url}/v1/streams", headers={"authorization": "Bearer x"})
    yield f"http://{found[1]}/metrics"
    server.stop()


def families(page: str, accept: str, content_type: str, parse) -> dict[str, Metric]:
    answer = httpx.get(page, headers={"accept": accept})
    assert answer.headers["content-type"] == content_type
    return {family.name: family for family in parse(answer.text)}


def check(found: dict[str, Metric]) -> None:
    requests = found["http_server_request_duration_seconds"]
    assert requests.type == "histogram"
    labels = {
        "http_request_method": "POST",
        "http_route": "/v1/streams",
        "http_response_status_code": "200",
    }
    counts = [s.value for s in requests.samples if s.name.endswith("_count") and s.labels == labels]
    assert counts == [1]
    tokens = {
        sample.labels["gen_ai_token_type"]: sample.value
        for sample in found["tailrace_tokens"].samples
        if sample.name == "tailrace_tokens_total"
    }
    assert tokens["output"] == 20
    for family in found.values():
        assert family.documentation
        assert family.type in {"counter", "gauge", "histogram"}, family
    for family in (family for family in found.values() if family.type == "histogram"):
        series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                labels = {k: v for k, v in sample.labels.items() if k != "le"}
                bucket = (float(sample.labels["le"]), sample.value)
                series.setdefault(tuple(sorted(labels.items())), []).append(bucket)
        for labels, buckets in series.items():
            bounds, counts = zip(*buckets, strict=True)
            assert list(bounds) == sorted(bounds) and bounds[-1] == float("inf")
            assert list(counts) == sorted(counts), "each bucket has what the ones below it have"
            total = [
                sample.value
                for sample in family.samples
                if sample.name.endswith("_count") and tuple(sorted(sample.labels.items())) == labels
            ]
            assert total == [counts[-1]]


def test_prometheus_text(page: str) -> None:
    found = families(page, "text/plain", "text/plain; version=0.0.4; charset=utf-8", prometheus)
    check(found)


def test_open_metrics(page: str) -> None:
    accept = "application/openmetrics-text;version=1.0.0"
    content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    found = families(page, accept, content_type, open_metrics)
    check(found)
    assert found["process_cpu_seconds"].unit == "seconds"
    assert found["process_resident_memory_bytes"].unit == "bytes"
