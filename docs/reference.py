"""The reference pages: every key of every kind, written from the code while the site is built."""

import re
from itertools import groupby
from pathlib import Path
from typing import Any

from ufgraphfr.cli.kinds import every
from ufgraphfr.core.describe import KeyFacts, keys_of, summary_of

ROOT = Path(__file__).parents[1]
PAGES = {
    "[protocol]": "protocol",
    "[federation]": "federation",
    "[evaluation]": "evaluation",
    "[run]": "run",
    "[run] trackers": "trackers",
    "[tune]": "tune",
    "[data]": "data",
    "[text]": "text",
    "[algorithm]": "algorithms",
    "[algorithm], [evaluation] baselines": "baselines",
    "[evaluation] metrics": "metrics",
    "[privacy]": "privacy",
    "[federation.adversary]": "adversaries",
    "[federation.defence]": "defences",
    "[federation] transport": "transports",
    "ufgraphfr audit --attack": "attacks",
}
"""File names by where a kind is named."""
SHIM = "https://unpkg.com/iframe-worker/shim"
"""What the theme asks for where a page is opened from a file."""
HEAD = "| key | values | default | meaning |\n|---|---|---|---|"


def pages() -> dict[str, str]:
    """Markdown by file name: one page for each place that names kinds."""
    written = {}
    for place, kinds in groupby(every(), key=lambda each: each[0]):
        sections = [f"# `{place}`", "*Written from the code; `ufgraphfr describe` shows the same.*"]
        for _, kind, spec in kinds:
            keys = [_row(key) for key in keys_of(spec)]
            table = "\n".join((HEAD, *keys)) if keys else "It has no keys."
            sections += [f"## {kind}", _cell(summary_of(spec)), table]
        written[f"reference/{PAGES[place]}.md"] = "\n\n".join(sections) + "\n"
    return written


def _row(key: KeyFacts) -> str:
    olds = f" Was `{'`, `'.join(key.renamed)}`." if key.renamed else ""
    values = f"{key.type} {key.range}".strip()
    cells = (f"`{key.name}`", _cell(values), f"`{key.default}`", _cell(key.meaning) + olds)
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """Text that Markdown takes for text."""
    for character in "\\|*_<[":
        text = text.replace(character, f"\\{character}")
    return text


def leaderboard() -> str:
    """The leaderboard of the repository's root; what it links to is not in the site."""
    text = (ROOT / "LEADERBOARD.md").read_text(encoding="utf-8")
    text = re.sub(r"\]\(docs/([\w./#-]+)\)", r"](\1)", text)
    return re.sub(r"\[([^\]]+)\]\((?:experiments|benchmarks)/[^)]*\)", r"`\1`", text)


API = {
    "ufgraphfr": ("What `import ufgraphfr` offers", ("ufgraphfr.api",)),
    "seams": (
        "Seams: the classes that parts derive from",
        (
            "ufgraphfr.algorithms.base",
            "ufgraphfr.algorithms.capabilities",
            "ufgraphfr.baselines.base",
            "ufgraphfr.data.sources.base",
            "ufgraphfr.text.base",
            "ufgraphfr.privacy.base",
            "ufgraphfr.evaluation.metrics.base",
            "ufgraphfr.federation.adversaries.base",
            "ufgraphfr.federation.defences.base",
            "ufgraphfr.audit.attacks.base",
            "ufgraphfr.trackers.base",
        ),
    ),
    "testing": (
        "Contracts: what parts of your own are held to",
        (
            "ufgraphfr.testing.contracts",
            "ufgraphfr.testing.algorithms",
            "ufgraphfr.testing.baselines",
            "ufgraphfr.testing.encoders",
            "ufgraphfr.testing.mechanisms",
            "ufgraphfr.testing.metrics",
            "ufgraphfr.testing.sources",
        ),
    ),
}
"""Pages that are made of docstrings: file names to titles and modules."""


def api() -> dict[str, str]:
    """Markdown by file name, which mkdocstrings fills."""
    return {
        f"api/{name}.md": f"# {title}\n\n" + "\n\n".join(f"::: {each}" for each in modules) + "\n"
        for name, (title, modules) in API.items()
    }


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to the site; called by mkdocs."""
    from mkdocs.structure.files import File

    for path, text in (pages() | api() | {"leaderboard.md": leaderboard()}).items():
        files.append(File.generated(config, path, content=text))
    return files


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Search from a file without a network: our own file in place of one that is fetched."""
    from mkdocs.utils import get_relative_url

    return output.replace(SHIM, get_relative_url("assets/file-worker.js", page.url))


def on_post_template(output_content: str, **_: Any) -> str:
    """The same of the page for what is not found, which a server shows."""
    return output_content.replace(SHIM, "/assets/file-worker.js")
