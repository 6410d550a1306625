"""What was run, what it cost, what was chosen and why, and every setting."""

from typing import Any

import numpy as np
import tomli_w

from ufgraphfr.experiment.blend import blend_rows
from ufgraphfr.experiment.compare import TESTED
from ufgraphfr.experiment.publish import public_settings
from ufgraphfr.report.charts import Series, curves
from ufgraphfr.report.gather import RunFacts
from ufgraphfr.report.html import code, facts, folded, lines, number, paragraph, size, table
from ufgraphfr.report.results import against, best_baseline


def sentence(run: RunFacts) -> str:
    """What was run and what came of it."""
    made, result = run.experiment, run.result
    data = (result or {}).get("data") or {}
    counts = [f"{data[k]:,} {k}" for k in ("users", "items", "interactions") if data.get(k)]
    where = data.get("name", made.source.kind) + (f" ({', '.join(counts)})" if counts else "")
    said = f"{made.model.kind} on {where}, {made.protocol.split} split, seed {made.seed}"
    if result is None:
        return f"{said}: {len(run.metrics)} of {made.federation.rounds} rounds are done."
    if result["rounds"]:
        how = "the last one" if run.guaranteed else "picked on validation"
        said += f"; {result['rounds']} rounds, round {result['best_round']} is the model ({how})"
    return f"{said}.{_reached(run, result)}"


def _reached(run: RunFacts, result: dict[str, Any]) -> str:
    """The main figure, beside that of the strongest baseline."""
    part = "test" if run.test else "validation"
    own = ((result[part] or {}).get("full") or {}).get(TESTED)
    if own is None:
        return ""
    said = f" On the {part} it reaches NDCG@10 {own:.3f}"
    best = best_baseline(result, part)
    if best is None:
        return f"{said}."
    theirs = result["baselines"][best][part]["full"][TESTED]
    if theirs:
        side = "above" if own > theirs else "below"
        said += f", {abs(own / theirs - 1):.0%} {side} the best baseline, {best} ({theirs:.3f})"
    sure = against(run).get(best)
    if sure is not None and sure.low <= 0 <= sure.high:
        said += "; the difference may be chance"
    return f"{said}."


def costs(run: RunFacts) -> str:
    """Bytes and seconds."""
    result = run.result
    if result is None or result.get("seconds") is None:
        return paragraph("Not known yet, or not to be shared: they depend on who took part.")
    seconds = result["seconds"]
    down, up, once = (
        result[f"bytes_{name}"]
        for name in ("down_per_client_round", "up_per_client_round", "down_once_per_client")
    )
    asked = sum(line["clients"] or 0 for line in run.metrics)
    told = {
        "Training": f"{number(float(seconds['train']), 1)} s",
        "Aggregation": f"{number(float(seconds['aggregate']), 1)} s",
        "Evaluation": f"{number(float(seconds['evaluate']), 1)} s",
        "Peak memory": size(result["peak_rss_bytes"]),
    }
    if result["rounds"]:
        told |= {
            "CPU time of a round": f"{number(result['cpu_seconds_per_round'], 2)} s",
            "Down, a client and round": size(down),
            "Up, a client and round": size(up),
            "Down, once a client": size(once),
            "All traffic": size(asked * (down + up)),
        }
    return facts(told) + _traffic(run)


def _traffic(run: RunFacts) -> str:
    told = [line for line in run.metrics if line.get("bytes_up") is not None]
    if len(told) < 2:
        return ""
    at = np.array([line["round"] for line in told], dtype=np.float64)
    series = [
        Series(name, np.array([line[key] / 1e3 for line in told]), at=at)
        for name, key in (("up", "bytes_up"), ("down", "bytes_down"))
    ]
    return curves("kB of a client in each round", "round", series)


def chosen(run: RunFacts) -> str:
    """Coefficients that validation chose, and settings that follow from the data or a budget."""
    said = []
    if blend := (run.result or {}).get("blend"):
        said.append(_blend(blend))
    derived = run.experiment.derived
    if derived:
        rows = [(each.key, _value(each.value), each.why) for each in derived]
        said.append(
            table("Settings that follow from the data", ("key", "value", "why"), rows, kind="text")
        )
    why = (run.privacy["promise"] or {}).get("why") or ()
    if why:
        said += [paragraph("Why the budget is spent on these parts:"), lines(why)]
    return "".join(said) or paragraph("Nothing was left open: every setting was given.")


def _blend(blend: dict[str, Any]) -> str:
    head, rows = blend_rows(blend, dash="–")
    return table(f"Parts of the model: {blend['chosen']}", head, rows)


def _value(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def settings(run: RunFacts) -> str:
    """What was set, every setting, and where it ran."""
    made = run.experiment
    changed = public_settings(made) if run.public else made.changed()
    whole = made.resolved()
    if run.public:
        for key in made.source.files:
            whole["data"].pop(key, None)
    told = {name: value for name, value in run.environment.items() if name != "packages"}
    told |= run.environment.get("packages", {})
    if (digest := (run.result or {}).get("config_digest")) is not None:
        told["configuration (sha256)"] = digest
    return (
        code(tomli_w.dumps(changed))
        + folded("Every setting, with defaults", code(tomli_w.dumps(whole)))
        + folded("Environment", facts({name: str(value) for name, value in told.items()}))
    )
