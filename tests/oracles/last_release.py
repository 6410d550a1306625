"""A deployment's folder as the release before this one wrote it."""

import hashlib
import json
import sqlite3
import tomllib
from typing import Any

import tomli_w
from small_federation import NODES, Federation

from ufgraphfr.deploy.agreement.document import Agreement

OLD_KEYS = {"baselines": "yardsticks"}


def write_as_last_release(federation: Federation) -> str:
    """Rewrite a deployment that nobody has run yet, and return the digest that it was known by."""
    values = agreement_values(federation.agreement)
    server = federation.folder.server
    folders = (server, *(federation.shard(node) for node in NODES))
    for folder in folders:
        folder.agreement.write_bytes(tomli_w.dumps(values).encode())
    settings = tomllib.loads(server.settings.read_text())
    settings["deadline"] = settings.pop("round_timeout")
    settings["patience"] = settings.pop("startup_timeout")
    server.settings.write_bytes(tomli_w.dumps(settings).encode())
    for node in NODES:
        with sqlite3.connect(federation.shard(node).database) as database:
            database.execute("PRAGMA user_version = 0")
        database.close()
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def write_run_as_last_release(federation: Federation) -> None:
    """Rewrite what the server of a run that has begun keeps beside its run folder."""
    server = federation.folder.server
    for now, before in (("participants.json", "roster.json"), ("metrics.json", "tally.json")):
        document = json.loads((server.path / now).read_text())
        del document["schema"]
        (server.path / before).write_text(json.dumps(document))
        (server.path / now).unlink()


def agreement_values(agreement: Agreement) -> dict[str, Any]:
    """Schema 1: ``smallest``, and every key of the experiment with its value."""
    experiment = agreement.experiment.resolved()
    experiment["evaluation"] = {
        OLD_KEYS.get(key, key): value for key, value in experiment["evaluation"].items()
    }
    return {
        "schema": "ufgraphfr-agreement-1",
        "catalogue": agreement.catalogue,
        "smallest": agreement.min_users,
        "metrics": agreement.metrics,
        "nodes": [vars(node) for node in agreement.nodes],
        "table": agreement.table.model_dump(mode="json", exclude_none=True),
        "experiment": experiment,
    }
