"""Flower's ClientApp: hands a request to the shard agent's socket, and its reply back.

It runs for a moment in the engine's own process, holds no data and knows no model. Whatever goes
wrong here, the server gets an empty reply: an exception's text could reveal something.
"""

import os
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from ufgraphfr.deploy.flower.records import from_record, to_record
from ufgraphfr.deploy.wire.unix_socket import call

SOCKET, SECONDS = "UFGRAPHFR_AGENT", "UFGRAPHFR_AGENT_SECONDS"

app = ClientApp()


@app.query()
def forward(message: Message, context: Context) -> Message:
    """One request, one reply."""
    try:
        path = Path(str(context.node_config.get("agent") or os.environ[SOCKET]))
        seconds = float(os.environ.get(SECONDS, "600"))
        chunks = call(path, from_record(message.content), seconds)
    except Exception as error:
        # to this node's own log, without the text
        print(f"no answer from the agent: {type(error).__name__}", flush=True)  # noqa: T201
        chunks = []
    return Message(to_record(chunks), reply_to=message)
