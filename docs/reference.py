"""The reference pages: every key of every kind, written from the code while the site is built."""

from itertools import groupby
from typing import Any

from ufgraphfr.cli.kinds import every
from ufgraphfr.core.describe import KeyFacts, keys_of, summary_of

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
    "ufgraphfr audit --attack": "attacks",
}
"""File names by where a kind is named."""
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


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to the site; called by mkdocs."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files
