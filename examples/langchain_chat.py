"""Streams an answer with LangChain.

    pip install langchain-openai
    TOKEN=$(tailrace token) python langchain_chat.py "Tell me about rivers"

SERVER_URL says where the server is, if not at http://127.0.0.1:8080.
"""

import os
import sys

from langchain_openai import ChatOpenAI
from openai import APIError

SERVER = os.environ.get("SERVER_URL", "http://127.0.0.1:8080")

model = ChatOpenAI(model="demo", base_url=f"{SERVER}/v1", api_key=os.environ["TOKEN"])
prompt = sys.argv[1] if len(sys.argv) > 1 else "Tell me about lighthouse keepers"
try:
    for chunk in model.stream(prompt):
        print(chunk.text, end="", flush=True)
    print()
except APIError as error:  # LangChain passes on the errors of OpenAI's SDK
    sys.exit(f"\n{error.message}")
