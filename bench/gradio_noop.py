"""Runs in .venv-bench: times calls of a no-op function through Gradio's queue."""

import json
import os
import sys
import time

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio
from gradio_client import Client

app = gradio.Interface(lambda text: text, "text", "text", api_name="echo")
_, url, _ = app.queue().launch(prevent_thread_lock=True, quiet=True)
client = Client(url, verbose=False)
times = []
for _ in range(int(sys.argv[1])):
    began = time.monotonic()
    client.predict("x", api_name="/echo")
    times.append(time.monotonic() - began)
app.close()
sys.stdout.write("\n" + json.dumps(times) + "\n")
