"""One HTML file: page, model, runtime and licence, which asks nobody for anything."""

import base64
import gzip
import hashlib
import html
import json
import re
from importlib.resources import files
from typing import Any

from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.prepare import PreparedExperiment
from ufgraphfr.export.onnx.file import exportable, exported
from ufgraphfr.export.web.profiles import Profiles, profiles
from ufgraphfr.export.web.runtime import LICENCE, runtime
from ufgraphfr.serve.why import NAMED, OCCLUDED, SHOWN, words_of

LISTED = 10


def page(run: Run, prepared: PreparedExperiment) -> tuple[str, Profiles]:
    """The file's text, and what it asks of a profile.

    Raises:
        InputError: the run's algorithm cannot be exported, or there is no runtime.
    """
    _, shared = exportable(run, prepared)
    engine = runtime()
    model = exported(run, prepared, sentences=True)
    names = json.loads(next(each.value for each in model.metadata_props if each.key == "parts"))
    # the page has them already
    del model.metadata_props[:]
    asked = profiles(run, prepared, shared)
    facts = _facts(prepared.dataset.catalogue, names, asked)
    blobs = {
        "runtime": engine.script,
        "binary": engine.binary,
        "model": model.SerializeToString(),
        "coordinates": asked.coordinates.astype("<f4").tobytes(),
        "projected": asked.projected.astype("<f4").tobytes(),
        "facts": json.dumps(facts, ensure_ascii=False).encode(),
    }
    return _filled(blobs, run.guarantee), asked


def _facts(catalogue: Catalogue, names: list[str], asked: Profiles) -> dict[str, Any]:
    """What the page's script needs to know."""
    return {
        "items": catalogue.items,
        "titles": catalogue.titles,
        "words": [words_of(name) for name in names],
        "fields": asked.fields,
        "listed": LISTED,
        "named": NAMED,
        "occluded": OCCLUDED,
        "shown": SHOWN,
    }


def _filled(blobs: dict[str, bytes], guarantee: str) -> str:
    own, served = (
        files(f"ufgraphfr.{room}").joinpath("page.html").read_text(encoding="utf-8")
        for room in ("export.web", "serve")
    )
    (style,) = re.findall(r"<style>\n(.*?)</style>", served, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", own, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # equal runs make equal files: no time in the header
    packed = {
        name: base64.b64encode(gzip.compress(blob, mtime=0)).decode()
        for name, blob in blobs.items()
    }
    holders = "\n".join(
        f'<script type="application/x" id="{name}">{text}</script>' for name, text in packed.items()
    )
    parts = {
        "style": style,
        "digest": f"'sha256-{digest}'",
        "guarantee": html.escape(guarantee),
        "licence": html.escape(LICENCE),
        "blobs": holders,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], own)
