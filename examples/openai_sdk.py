"""Streams an answer with OpenAI's SDK for Python, as it comes.

    pip install openai
    TOKEN=$(tailrace token) python openai_sdk.py "Tell me about rivers"

SERVER_URL says where the server is, if not at http://127.0.0.1:8080.
"""

import os
import sys

from openai import APIError, OpenAI

SERVER = os.environ.get("SERVER_URL", "http://127.0.0.1:8080")

client = OpenAI(base_url=f"{SERVER}/v1", api_key=os.environ["TOKEN"])
prompt = sys.argv[1] if len(sys.argv) > 1 else "Tell me about lighthouse keepers"
try:
    # The SDK repeats a request that was refused with 429 or 5xx, and waits as long as the server says.
    stream = client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": prompt}], stream=True
    )
    for chunk in stream:
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()
except APIError as error:  # refused, or failed in the middle
    sys.exit(f"\n{error.message}")
