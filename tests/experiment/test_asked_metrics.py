"""``[evaluation] metrics``: what is asked for is computed, kept and shown; nothing else changes."""

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.evaluation.metrics import SHOWN
from ufgraphfr.experiment import build
from ufgraphfr.experiment.compare import compare

ASKED = ["recall@3", "auc", "gini", "novelty@5"]


def test_a_wish_is_no_other_experiment(toy):
    plain, asked = (build(toy(evaluation=change)) for change in ({}, {"metrics": ASKED}))
    assert plain.digest == asked.digest
    assert plain.evaluation.metrics == SHOWN
    assert asked.evaluation.metrics == ("recall@3", "auc", "gini@10", "novelty@5")


@pytest.mark.parametrize("metrics", [["ndgc@10"], "hr@10"])
def test_a_bad_wish_is_refused_at_once(toy, metrics):
    with pytest.raises(InputError, match=r"\[evaluation\] metrics"):
        build(toy(evaluation={"metrics": metrics}))


def test_a_result_holds_what_is_asked_beside_what_it_always_holds(toy, run, outcome):
    plain = outcome(run(toy(), "plain"))
    asked = outcome(run(toy(evaluation={"metrics": ASKED}), "asked"))
    names = build(toy(evaluation={"metrics": ASKED})).evaluation.metrics
    assert asked["metrics"] == list(names)
    for part in ("validation", "test"):
        assert asked[part]["full"].keys() == plain[part]["full"].keys() | set(names)
        kept = {name: asked[part]["full"][name] for name in plain[part]["full"]}
        assert kept == plain[part]["full"]
    assert asked["baselines"]["popularity"]["test"]["full"].keys() >= set(names)
    assert asked["standard_errors"]["full"].keys() >= {"recall@3", "auc"}


def test_a_comparison_shows_what_is_asked_and_computes_it_from_kept_ranks(toy, run, outcome):
    plain, asked = run(toy(), "plain"), run(toy(seed=4, evaluation={"metrics": ASKED}), "asked")
    together = compare([plain, asked])
    assert [row.metrics for row in together] == [SHOWN]
    assert "gini@10" not in together[0].mean["full"]
    wanted = ["recall@3", "auc", "map@2"]
    first, second = (compare([folder], metrics=wanted)[0] for folder in (plain, asked))
    assert first.metrics == tuple(wanted)
    assert set(wanted) <= first.mean["full"].keys()
    # computed afterwards in the one, kept by the other
    again = run(toy(evaluation={"metrics": wanted}), "again")
    for ranking in ("full", "sampled99"):
        kept = outcome(again)["test"][ranking]
        assert {name: first.mean[ranking].get(name) for name in wanted} == pytest.approx(
            {name: kept.get(name) for name in wanted}
        )
    assert second.mean["full"]["recall@3"] == outcome(asked)["test"]["full"]["recall@3"]


def test_an_unknown_metric_is_not_compared(toy, run):
    with pytest.raises(InputError, match="no metric 'ndgc@10'"):
        compare([run(toy())], metrics=["ndgc@10"])
