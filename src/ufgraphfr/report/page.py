"""The page: sections of each run, what is personal marked, and a comparison of several before."""

import base64
from collections.abc import Callable, Sequence
from html import escape
from string import Template

from ufgraphfr.audit.privacy_page import STYLE, audited, drawing, spent, verdict
from ufgraphfr.experiment.compare import Row
from ufgraphfr.report.about import chosen, costs, sentence, settings
from ufgraphfr.report.gather import RunFacts
from ufgraphfr.report.groups import by_activity, by_profile, cold
from ufgraphfr.report.html import code, folded, lines, paragraph
from ufgraphfr.report.results import comparison, learning, results
from ufgraphfr.report.shown import shown_items

OWN_STYLE = """
:root { --c1: #1d5fa8; --c2: #b3541e; --c3: #3a7d44; --c4: #7a4fa0; }
@media (prefers-color-scheme: dark) {
  :root { --c1: #7db8f5; --c2: #f0a36b; --c3: #8fd19e; --c4: #c6a5e8; } }
@media print { :root { --c1: #1d5fa8; --c2: #b3541e; --c3: #3a7d44; --c4: #7a4fa0; } }
body { max-width: 64rem; } h3 { font-size: 1rem; margin: 1rem 0 .3rem; }
.skip { position: absolute; left: -99rem; } .skip:focus { position: static; }
a { color: var(--c1); } :focus-visible { outline: 2px solid var(--c1); outline-offset: 2px; }
nav { display: flex; flex-wrap: wrap; gap: .2rem .9rem; margin: .8rem 0; font-size: .92rem; }
.wide { overflow-x: auto; margin: .5rem 0; } table { border-collapse: collapse; }
th, td { padding: .2rem .7rem .2rem 0; text-align: right; font-variant-numeric: tabular-nums;
  border-bottom: 1px solid var(--line); white-space: nowrap; vertical-align: top; }
th:first-child { text-align: left; } thead th { color: var(--pale); font-weight: 500; }
.text td, .text th { text-align: left; }
.text td:last-child { white-space: normal; min-width: 16rem; }
tbody th { font-weight: 400; }
dl { grid-template-columns: fit-content(60%) 1fr; } .said { border-color: var(--c1); }
.strong th, .strong td { font-weight: 700; }
figure { margin: .5rem 0; } figcaption { font-weight: 600; }
figure svg { max-width: 32rem; } img { max-width: 100%; background: #fff; }
pre { background: var(--box); padding: .7rem 1rem; overflow-x: auto; font-size: .85rem; }
summary { cursor: pointer; padding: .3rem 0; } .both > div { min-width: 0; }
.personal { border-left: .2rem solid var(--bad); padding-left: .8rem; }
.tag { color: var(--bad); font-size: .8rem; font-weight: 500; }
@media print { nav, .skip { display: none; } details::details-content {
  content-visibility: visible; height: auto; } pre { white-space: pre-wrap; }
  .wide { overflow: visible; } table { font-size: .72rem; overflow-wrap: normal; }
  th, td { padding-right: .4rem; } th { white-space: normal; } section { break-inside: auto; }
  h2, h3 { break-after: avoid; } figure, tr, .both { break-inside: avoid; } }
"""

PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">$refresh
<link rel="icon" href="data:,"><title>$title</title><style>
$style</style></head><body>
<a class="skip" href="#content">To the results</a>
<h1>$title</h1>$notice
<main id="content">$content</main>
</body></html>
""")

TAG = ' <span class="tag">personal: not to be shared</span>'
Section = tuple[str, str, Callable[[RunFacts], str], bool]


def report_page(
    runs: Sequence[RunFacts], rows: Sequence[Row] = (), refresh: int | None = None
) -> str:
    """One page about runs, which needs nothing from elsewhere.

    Args:
        runs: at least one.
        rows: the runs beside each other, see `experiment.compare`.
        refresh: seconds after which a browser asks for the page again.
    """
    content = []
    if rows:
        content.append(f"<section><h2>Comparison</h2>{comparison(rows, runs[0].test)}</section>")
    content += [_run(run, place if len(runs) > 1 else None) for place, run in enumerate(runs, 1)]
    title = ", ".join(dict.fromkeys(run.name for run in runs))
    return framed(title, "".join(content), "".join(dict.fromkeys(map(_notice, runs))), refresh)


def framed(title: str, content: str, notice: str = "", refresh: int | None = None) -> str:
    """A whole page around its content, which is HTML; see `report_page`."""
    again = f'<meta http-equiv="refresh" content="{refresh}">' if refresh else ""
    return PAGE.substitute(
        title=escape(title),
        style=STYLE + OWN_STYLE,
        refresh=again,
        notice=notice,
        content=content,
    )


def _notice(run: RunFacts) -> str:
    """To whom the page may be given."""
    if run.public:
        return paragraph("This report holds what may be shared: no figures of held-out items.")
    if run.guaranteed:
        return paragraph(
            "For you, not to be shared: sections marked as personal are not covered by the "
            "guarantee. --public leaves them out.",
            "bad",
        )
    return paragraph(
        "For you, not to be shared unless the data are public: no guarantee covers a figure here.",
        "small",
    )


def _run(run: RunFacts, place: int | None) -> str:
    own = "" if place is None else f"r{place}-"
    sections = [each for each in SECTIONS if not (each[3] and run.public)]
    menu = "".join(f'<a href="#{own}{key}">{title}</a>' for key, title, *_ in sections)
    head = "" if place is None else f"<h2>{escape(run.name)}</h2>"
    # it names a figure of held-out items
    tag = TAG if run.guaranteed and not run.public else ""
    said = f'<p class="verdict said">{escape(sentence(run))}{tag}</p>'
    parts = [f"<section>{head}{said}"]
    parts.append(f'<nav aria-label="Sections of {escape(run.name, quote=True)}">{menu}</nav>')
    parts.append("</section>")
    for key, title, inside, personal in sections:
        marked = personal and run.guaranteed
        tag = TAG if marked else ""
        kind = ' class="personal"' if marked else ""
        parts.append(f'<section{kind}><h2 id="{own}{key}">{title}{tag}</h2>{inside(run)}</section>')
    return "".join(parts)


def _privacy(run: RunFacts) -> str:
    facts = run.privacy
    drawn = f"<div><h3>Who sees what</h3>{drawing(facts['trust'])}</div>"
    over = spent(facts) if facts["promise"] else ""
    title = "Not covered" if facts["promise"] else "What a run without a guarantee reveals"
    return (
        f'{verdict(facts)}<div class="both">{drawn}{over}</div>'
        f"<h3>{title}</h3>{lines(facts['not_covered'])}"
        + folded("The statement in full", code(run.statement))
    )


def _audit(run: RunFacts) -> str:
    pictures = [
        f'<img alt="{escape(name, quote=True)}" '
        f'src="data:image/png;base64,{base64.b64encode(data).decode()}">'
        for name, data in run.pictures.items()
    ]
    return audited(run.privacy["audit"]) + "".join(pictures)


SECTIONS: tuple[Section, ...] = (
    ("results", "Results", results, True),
    ("learning", "Learning curves", learning, True),
    ("activity", "By activity", by_activity, True),
    ("profile", "By profile group", by_profile, True),
    ("shown", "Popularity and coverage", shown_items, True),
    ("cold", "Cold users", cold, True),
    ("privacy", "Privacy", _privacy, False),
    ("audit", "Audit", _audit, True),
    ("costs", "Bytes and seconds", costs, True),
    ("chosen", "What was chosen, and why", chosen, False),
    ("settings", "Configuration and environment", settings, False),
)
"""Anchor, title, what is in it, and whether it is personal: no guarantee covers it."""
