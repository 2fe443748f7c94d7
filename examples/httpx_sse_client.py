"""Streams an answer with httpx-sse, and goes on after the last event when the connection breaks.

    pip install httpx-sse httpx
    TOKEN=$(tailrace token) python httpx_sse_client.py "Tell me about rivers"

SERVER_URL says where the server is, if not at http://127.0.0.1:8080.
"""

import os
import sys
import time
import uuid

import httpx
from httpx_sse import connect_sse

SERVER = os.environ.get("SERVER_URL", "http://127.0.0.1:8080")
ATTEMPTS = 6


def events(client: httpx.Client, request: dict):
    """The events of a new stream, each once, whatever happens to the connection."""
    # The key makes a repeated POST attach to the first one's stream if the answer was cut before
    # its first event; with the id of an event it follows that event's stream.
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    failures = 0
    while True:
        try:
            with connect_sse(client, "POST", "/v1/streams", json=request, headers=headers) as source:
                refuse(source.response)
                for event in source.iter_sse():
                    failures = 0
                    headers["Last-Event-ID"] = event.id
                    data = event.json()
                    yield data
                    if data["type"] in ("done", "error"):
                        return
        except httpx.TransportError:
            failures += 1
            if failures == ATTEMPTS:
                raise
            time.sleep(min(2**failures / 4, 10))


def refuse(response: httpx.Response) -> None:
    """Raises what the server says is wrong."""
    if response.is_success:
        return
    response.read()
    problem = response.json()
    # 429 and 503 say in Retry-After when to come back; a program that may wait would do so.
    again = response.headers.get("retry-after")
    raise RuntimeError(problem["message"] + (f" (again in {again} s)" if again else ""))


def main() -> None:
    prompt = sys.argv[1] if len(sys.argv) > 1 else "Tell me about lighthouse keepers"
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
    with httpx.Client(base_url=SERVER, headers=headers) as client:
        for event in events(client, {"prompt": prompt}):
            if event["type"] == "token":
                print(event["text"], end="", flush=True)
            elif event["type"] == "error":
                raise RuntimeError(event["error"]["message"])
    print()


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, httpx.HTTPError) as error:
        sys.exit(f"\n{error}")
