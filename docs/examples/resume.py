"""Asks, prints the answer as it comes, and goes on by itself when the connection breaks or a replica dies.

EPS_URL=http://127.0.0.1:8000/v1 EPS_KEY=… python resume.py "Count to 30"
"""

import os
import sys
import time
import uuid

from openai import APIConnectionError, InternalServerError, OpenAI

ENDS = ("response.completed", "response.incomplete", "response.failed")


def follow(client, question):
    """Every event of one answer, once and in order, whatever breaks in between."""
    once = {"Idempotency-Key": str(uuid.uuid4())}  # the same for every try, so that there is one answer
    response_id, last = None, -1
    while True:
        try:
            if response_id is None:
                events = client.responses.create(input=question, stream=True, extra_headers=once)
            else:
                events = client.responses.retrieve(response_id, stream=True, starting_after=last)
            for event in events:
                if event.type != "keepalive":  # it has no number
                    response_id, last = response_id or event.response.id, event.sequence_number
                    yield event
                if event.type in ENDS:
                    return
        except (APIConnectionError, InternalServerError):
            pass  # it broke off, or nobody serves for the moment; any other error is for the caller
        time.sleep(0.5)


for event in follow(OpenAI(base_url=os.environ["EPS_URL"], api_key=os.environ["EPS_KEY"]), sys.argv[1]):
    if event.type == "response.created":
        print(event.response.id, file=sys.stderr)
    if event.type == "response.output_text.delta":
        print(event.delta, end="", flush=True)
