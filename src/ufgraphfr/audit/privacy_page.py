"""One page about a run's privacy for a board: HTML with drawings and nothing from elsewhere."""

from datetime import UTC, datetime
from html import escape
from string import Template
from typing import Any

Facts = dict[str, Any]

SEES = {
    "server": (
        ("Users' devices", "keep history, profile and scores"),
        ("clipped updates, one by one", False),
        ("Server, trusted", "sees each update; adds the noise"),
        ("noised sums", True),
        ("Other users, the public", "see what the guarantee covers"),
    ),
    "shard": (
        ("Data holders", "know their own users; add all the noise"),
        ("noised sums", True),
        ("Server, not trusted", "sees noised sums only"),
        ("what it makes of them", True),
        ("Other users, the public", "see what the guarantee covers"),
    ),
    "secure-sum": (
        ("Data holders", "know their own users; add noise and masks"),
        ("masked sums, which only add up together", True),
        ("Server, not trusted", "sees the noised total only"),
        ("what it makes of it", True),
        ("Other users, the public", "see what the guarantee covers"),
    ),
    "device": (
        ("Users' devices", "add the noise themselves"),
        ("noised numbers, one by one", True),
        ("Server, not trusted", "sees noised numbers only"),
        ("what it makes of them", True),
        ("Other users, the public", "see what the guarantee covers"),
    ),
    None: (
        ("Users' devices", "keep the rows, and send what they learn"),
        ("updates that nothing hides", False),
        ("Server", "can read users' histories from them"),
        ("sums that nothing hides", False),
        ("Other users, the public", "nothing is promised to anybody"),
    ),
}
"""By trust model: who holds what, and whether the guarantee covers the way to the next."""
WIDE = 360
"""Of a drawing, in its own units: what a phone shows."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --pale: #5b6470; --paper: #fff; --box: #f3f5f8;
  --line: #c9d1db; --good: #1a6b3c; --bad: #b02a2a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebef; --pale: #a3adb9; --paper: #14171b;
  --box: #1f242b; --line: #3a434e; --good: #6fcf97; --bad: #ff8a80; } }
@media print { :root { color-scheme: light; --ink: #000; --pale: #444; --paper: #fff;
  --box: #fff; --line: #999; --good: #1a6b3c; --bad: #b02a2a; } section { break-inside: avoid; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.2rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.1rem; margin: 0 0 .5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 0; }
dt { color: var(--pale); } dd { margin: 0; } ul { padding-left: 1.2rem; margin: .3rem 0; }
section { margin: 1.4rem 0 0; } .both { display: grid; gap: 1.4rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); }
.verdict { border-left: .35rem solid var(--good); background: var(--box); padding: .7rem 1rem;
  font-size: 1.15rem; } .verdict p { margin: 0; } .verdict p + p { margin-top: .5rem;
  font-size: 1rem; } .small { color: var(--pale); font-size: .88rem; }
svg { width: 100%; max-width: 26rem; height: auto; display: block; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; } svg .pale { fill: var(--pale);
  font-size: 12px; } .good { color: var(--good); } .bad { color: var(--bad); }
.verdict.bad { border-color: var(--bad); color: inherit; } .verdict.good { color: inherit; }
"""
"""The style sheet of pages about a run: light, dark and on paper."""

PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title><style>$style</style></head><body>
<h1>Privacy of $title</h1>
$verdict
<section><dl>$facts</dl></section>
<div class="both"><section><h2>Who sees what</h2>$drawing</section>$spent</div>
<section><h2>$audit_title</h2>$audit</section>
<section><h2>$rest_title</h2><ul>$rest</ul></section>
</body></html>
""")


def privacy_page(facts: Facts) -> str:
    """The page of `privacy_facts`: it needs no network and no script, and prints."""
    promise, audit = facts["promise"], facts["audit"]
    named = {
        "Owner": facts["owner"] or "not named",
        "Started": _date(facts["started"]),
        "Data set": facts["data"],
        "Model": facts["algorithm"],
        "Version": f"{facts['version']}, commit {str(facts['commit'])[:12]}",
        "State": "finished" if facts["finished"] else "not finished",
    }
    return PAGE.substitute(
        title=escape(facts["name"]),
        style=STYLE,
        verdict=verdict(facts),
        facts="".join(f"<dt>{k}</dt><dd>{escape(str(v))}</dd>" for k, v in named.items()),
        drawing=drawing(facts["trust"]),
        spent=spent(facts) if promise is not None else "",
        audit_title="What audits found",
        audit=audited(audit),
        rest_title="What a run without a guarantee reveals" if promise is None else "Not covered",
        rest="".join(f"<li>{escape(sentence)}</li>" for sentence in facts["not_covered"]),
    )


def tone(facts: Facts) -> str:
    """Whether something is promised, and no audit speaks against it: ``good`` or ``bad``."""
    audit = facts["audit"]
    return "good" if facts["promise"] and not (audit and audit["failed"]) else "bad"


def verdict(facts: Facts) -> str:
    """The guarantee in a sentence, and in words: a box of paragraphs."""
    said = "".join(f"<p>{each}</p>" for each in _promised(facts))
    return f'<div class="verdict {tone(facts)}">{said}</div>'


def _promised(facts: Facts) -> tuple[str, ...]:
    promise = facts["promise"]
    if promise is None:
        seeded = " Its noise came from a seed, for tests." if "seed" in facts["guarantee"] else ""
        return (
            f"<b>No guarantee.</b> What this run sends is not protected: nothing limits what "
            f"others can learn of a user from it.{seeded}",
        )
    local = promise["kind"] == "ldp"
    what = "which of two histories a user has" if local else "whether a user took part"
    return (
        f"<b>epsilon = {promise['epsilon']:.3g}, delta = {promise['delta']:.0e}</b> for each of "
        f"{promise['clients']:,} users, over the whole run. It protects against "
        f"{escape(facts['protects_against'])}",
        f"In words: whoever has to guess at even odds "
        f"{what}, with all that the run made public and whatever else they know, is right at most "
        f"{100 * facts['guess']:.0f} times in 100; 50 is chance.",
    )


def _date(started: str | None) -> str:
    if started is None:
        return "not yet"
    return datetime.fromisoformat(started).astimezone(UTC).strftime("%-d %B %Y, %H:%M UTC")


def drawing(trust: str | None) -> str:
    """Boxes from the users down to the public, and arrows: broken where nothing is hidden."""
    drawn, top = [], 4
    for place, (text, more) in enumerate(SEES[trust]):
        if place % 2 == 0:
            drawn.append(
                f'<rect x="4" y="{top}" width="{WIDE - 8}" height="56" rx="8" '
                f'style="fill:var(--box);stroke:var(--line)"/>'
                f'<text x="16" y="{top + 23}" font-weight="600">{text}</text>'
                f'<text x="16" y="{top + 43}" class="pale">{more}</text>'
            )
            top += 56
            continue
        colour, broken = ("good", "") if more else ("bad", 'stroke-dasharray="5 4"')
        covered = "covered" if more else "not covered"
        drawn.append(
            f'<g style="stroke:var(--{colour});stroke-width:2;fill:none">'
            f'<path d="M40 {top + 3}V{top + 37}" {broken}/>'
            f'<path d="M34 {top + 31}L40 {top + 38}L46 {top + 31}"/></g>'
            f'<text x="56" y="{top + 18}">{text}</text>'
            f'<text x="56" y="{top + 34}" style="fill:var(--{colour})">{covered}</text>'
        )
        top += 41
    return _svg(top + 4, "Who sees what, from the users to the public", drawn)


def spent(facts: Facts) -> str:
    """Epsilon after each release, as steps up to what was promised."""
    most, steps = float(facts["promise"]["epsilon"]), facts["spent"]
    left, right, base, height = 36, WIDE - 12, 176, 150
    last = steps[-1]["round"] if steps else 1

    def x(number: float) -> float:
        return left + (right - left) * number / last

    def y(epsilon: float) -> float:
        return float(base - height * epsilon / most)

    path = f"M{left} {base}"
    for step in steps:
        path += f"H{x(step['round']):.1f}V{y(step['epsilon']):.1f}"
    drawn = [
        f'<path d="M{left} {base}H{right}M{left} {base}V{base - height}" '
        f'style="stroke:var(--line);fill:none"/>',
        f'<path d="M{left} {y(most)}H{right}" stroke-dasharray="4 4" '
        f'style="stroke:var(--pale);fill:none"/>',
        f'<path d="{path}" style="stroke:var(--good);stroke-width:2.5;fill:none"/>',
        f'<text x="{left - 6}" y="{y(most) + 4}" text-anchor="end">{most:.3g}</text>',
        f'<text x="{left - 6}" y="{base + 4}" text-anchor="end">0</text>',
        f'<text x="{right}" y="{base + 18}" text-anchor="end">round {last}</text>',
        f'<text x="{left}" y="{base + 18}" class="pale">epsilon spent</text>',
    ]
    told = f"{steps[-1]['epsilon']:.3g}" if steps else "0"
    together = facts["all_runs"]
    more = "" if together is None else f"<p><b>All runs together:</b> {escape(together)}.</p>"
    parts = ", ".join(dict.fromkeys(step["part"] for step in steps)) or "nothing yet"
    return (
        f"<section><h2>Spent: {told} of {most:.3g}</h2>"
        f"{_svg(base + 26, 'Epsilon spent over rounds', drawn)}"
        f'{more}<p class="small">Parts released: {escape(parts)}. The ledger is charged before a '
        f"release and refuses any beyond the promise.</p></section>"
    )


def audited(audit: Facts | None) -> str:
    """What audits found, in words."""
    if audit is None:
        return "<p>Not audited yet: run <code>ufgraphfr audit</code>.</p>"
    said = (
        '<p class="bad"><b>An audit found more than was promised.</b></p>'
        if audit["failed"]
        else ""
    )
    untried = "".join(f"<li>{escape(line)}</li>" for line in audit["nothing_to_attack"])
    said += "<ul>" + "".join(f"<li>{_sentence(line)}</li>" for line in audit["summary"]) + "</ul>"
    return said + (f'<ul class="small">{untried}</ul>' if untried else "")


def _sentence(line: str) -> str:
    return escape(line[:1].upper() + line[1:])


def _svg(height: float, title: str, drawn: list[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDE} {height}" role="img" aria-label="{title}" '
        f'xmlns="http://www.w3.org/2000/svg"><title>{title}</title>{"".join(drawn)}</svg>'
    )
