"""A model's server that answers what the last message asks for."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def chunk(delta: dict | None = None, finish: str | None = None, **more) -> dict:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "real", "choices": [choice], **more}


CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}


class ScriptedUpstream:
    """Runs until it is stopped; `requests` is what it was asked, `left` whether a client hung up."""

    def __init__(self) -> None:
        self.requests: list[dict] = []
        self.left = threading.Event()
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_) -> None:
                pass

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                upstream.requests.append(request)
                last = request["messages"][-1]
                wanted = last["content"] if isinstance(last["content"], str) else "parts"
                if wanted.startswith("status "):
                    return self.refuse(int(wanted.split()[1]))
                if wanted == "once 503" and upstream.asked(wanted) == 1:
                    return self.refuse(503)
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                self.answer(request, wanted)

            def refuse(self, status: int) -> None:
                body = json.dumps({"error": {"message": f"told to answer {status}"}}).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def send(self, data: dict | str) -> None:
                text = data if isinstance(data, str) else json.dumps(data)
                event = f"data: {text}\n\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))

            def answer(self, request: dict, wanted: str) -> None:
                self.send(chunk({"role": "assistant", "content": ""}))
                if wanted == "break":
                    self.send(chunk({"content": "Half an"}))
                    self.send({"error": {"message": "out of memory"}})
                elif wanted == "for ever":
                    try:
                        while True:
                            self.send(chunk({"content": "on and "}))
                            time.sleep(0.02)
                    except OSError:
                        upstream.left.set()
                    self.close_connection = True
                    return
                elif request.get("tools") and request["messages"][-1]["role"] != "tool":
                    self.send(chunk({"tool_calls": [CALL]}))
                    for piece in ('{"ci', 'ty":"Os', 'lo"}'):
                        self.send(chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}))
                    self.send(chunk(finish="tool_calls"))
                else:
                    self.send(chunk({"reasoning_content": "Hm. "}))
                    for piece in ("Hello", ", ", "wörld \U0001f600", "!"):
                        self.send(chunk({"content": piece}))
                    self.send(chunk(finish="stop"))
                usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
                self.send({**chunk(), "choices": [], "usage": usage})
                self.send("[DONE]")
                self.wfile.write(b"0\r\n\r\n")

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def asked(self, content: str) -> int:
        """How often the last message was this."""
        return sum(request["messages"][-1]["content"] == content for request in self.requests)

    def stop(self) -> None:
        self._server.shutdown()
