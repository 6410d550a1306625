"""A part that breaks a contract is told which; one that keeps them all passes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ufgraphfr.algorithms.base import Update
from ufgraphfr.algorithms.fedmf import FedMF
from ufgraphfr.baselines.markov import Markov
from ufgraphfr.core.errors import InputError
from ufgraphfr.data.sources.synthetic import Synthetic
from ufgraphfr.evaluation.metrics.base import Metric
from ufgraphfr.evaluation.metrics.coverage import Coverage
from ufgraphfr.evaluation.metrics.hr import HitRate
from ufgraphfr.federation.transports.local import Local
from ufgraphfr.federation.transports.loopback import Loopback
from ufgraphfr.privacy.central_jdp import CentralJDP
from ufgraphfr.privacy.laplace_as_published import LaplaceAsPublished
from ufgraphfr.privacy.none import NoMechanism
from ufgraphfr.testing import (
    check_algorithm,
    check_baseline,
    check_encoder,
    check_mechanism,
    check_metric,
    check_source,
    check_transport,
)
from ufgraphfr.text.hashing import Hashing

SMALL = [{"dim": 4}]


class Forgetful(FedMF):
    def init_private(self, setting, batch):
        return {"user": torch.randn(len(batch), self.dim)}


class Greedy(FedMF):
    """The mean over those who are asked at once."""

    def local(self, task, batch, private, key):
        update, after = super().local(task, batch, private, key)
        change = update.arrays["items"]
        return replace(update, arrays={"items": change.dense() / len(batch)}), after


class Careless(FedMF):
    def aggregate(self, state, report):
        state["items"] += report.sums["items"] / 24
        return state


class Idle(FedMF):
    def local(self, task, batch, private, key):
        zeros = torch.zeros(len(batch), batch.n_items, self.dim)
        return Update({"items": zeros}, torch.zeros(len(batch))), private


class Half(FedMF):
    def parts(self, task, inputs, private):
        return self.score(task, inputs, private)[None]


@pytest.mark.parametrize(
    ("algorithm", "sentence"),
    [
        (
            Forgetful,
            r"Forgetful with {'dim': 4} \(repeats_to_the_bit\): the same run twice differs",
        ),
        (Greedy, "scores depend on the chunk: 1 clients at a time: they differ by up to"),
        (Careless, "aggregate writes into the memory it is handed"),
        (Idle, "it does not learn"),
        (Half, "it defines parts but not all of Blended: parts, part_names, blended, fixed_blends"),
    ],
)
def test_a_broken_algorithm_is_told_what_it_breaks(algorithm, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_algorithm(algorithm, SMALL)


def test_who_shares_something_is_not_taken_for_one_who_does_not():
    with pytest.raises(AssertionError, match="100% of users know what nobody told them"):
        check_algorithm(FedMF, learns=False)


def test_a_wrong_configuration_is_no_broken_contract():
    with pytest.raises(InputError, match=r"FedMF with {'dimension': 4} has no key 'dimension'"):
        check_algorithm(FedMF, [{"dimension": 4}])


class Relative(Markov):
    def score(self, fitted, inputs):
        scores = super().score(fitted, inputs)
        return scores - scores.mean(0)


class Silent(CentralJDP):
    """Promises and pays, and draws no noise."""

    def calibrate(self, plan, ledger):
        made = super().calibrate(plan, ledger)
        made._draw = lambda count, *_: torch.zeros(count, dtype=torch.int64)
        return made


class Loose(CentralJDP):
    def calibrate(self, plan, ledger):
        made = super().calibrate(plan, ledger)
        made.privatize = lambda arrays, *_: {
            name: value.with_values((value.values * 2**20).long()) for name, value in arrays.items()
        }
        return made


class Boastful(LaplaceAsPublished):
    guarantee = "differential privacy"


class Sociable(Hashing):
    def encode(self, texts):
        vectors = super().encode(texts)
        return (vectors + np.float32(1e-3) * vectors.mean(0)).astype(np.float32)


class Telling(Synthetic):
    def load(self, data_dir=None):
        data = super().load(data_dir)
        texts = (f"The user is {data.users.names[0]}.", *data.users.texts[1:])
        return replace(data, users=replace(data.users, texts=texts))


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        (lambda: check_baseline(Relative), "scores depend on who else is scored"),
        (lambda: check_mechanism(Silent, [{"epsilon": 2}]), "noise of 0 where .* is paid for"),
        (lambda: check_mechanism(Loose, [{"epsilon": 2}]), "an update of length .* leaves with"),
        (lambda: check_mechanism(Boastful), "it has no guarantee, but claims 'differential"),
        (lambda: check_encoder(Sociable), r"vectors have lengths|depends on which sentences"),
        (lambda: check_source(Telling()), "Telling .*: a text holds .*, an id"),
        (lambda: check_source(Synthetic(), counts=(3, 3, 3)), "200 users instead of 3"),
    ],
)
def test_a_broken_part_is_told_what_it_breaks(check, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check()


class Twice(Local):
    def exchange(self, clients, task_for, cohort, key):
        yield from super().exchange(clients, task_for, torch.cat((cohort, cohort[:1])), key)


class Lossy(Local):
    def exchange(self, clients, task_for, cohort, key):
        for answer in super().exchange(clients, task_for, cohort, key):
            arrays = {
                name: value.with_values(value.values * 0.5)
                for name, value in answer.report.arrays.items()
            }
            yield replace(answer, report=replace(answer.report, arrays=arrays))


class Everywhere(Local):
    """Who sits out trains too."""

    def exchange(self, clients, task_for, cohort, key):
        resting = torch.arange(24)[~torch.isin(torch.arange(24), cohort)]
        clients.answer(task_for(resting), key)
        return super().exchange(clients, task_for, cohort, key)


class Free(Local):
    def exchange(self, clients, task_for, cohort, key):
        for answer in super().exchange(clients, task_for, cohort, key):
            yield replace(answer, bytes_up=0.0)


class Forgotten(Local):
    def exchange(self, clients, task_for, cohort, key):
        for answer in super().exchange(clients, task_for, cohort, key):
            yield replace(answer, bytes_once=0.0)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (Twice, r"of \[0, .*21\] it asks \[0, 0, 3"),
        (Lossy, "arrives changed"),
        (Everywhere, "private weights .* differ afterwards"),
        (Free, "bytes of "),
        (Forgotten, "what devices keep is not counted apart"),
    ],
)
def test_a_transport_that_breaks_a_contract_is_told_which(broken, told):
    with pytest.raises(AssertionError, match=told):
        check_transport(broken)


@pytest.mark.slow
def test_whole_parts_pass():
    check_algorithm(FedMF, [{}, *SMALL])
    check_baseline(Markov)
    check_mechanism(NoMechanism)
    check_encoder(Hashing, [{}, {"width": 32}])
    check_source(Synthetic())
    check_transport(Loopback)


class Reversed(HitRate):
    def values(self, ranks, candidates):
        return 1 - super().values(ranks, candidates)


class Unbounded(HitRate):
    def values(self, ranks, candidates):
        return 2 * super().values(ranks, candidates)


class AmongOthers(HitRate):
    def values(self, ranks, candidates):
        return (ranks <= ranks.mean()).astype(float)


class Numbered(Coverage):
    def value(self, lists):
        return float(lists.listed[0])


class Neither(Metric):
    """Derives from neither kind of metric."""


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (Reversed, "a worse rank has a larger value"),
        (Unbounded, r"not in \[0, 1\]"),
        (AmongOthers, "depends on other targets"),
        (Numbered, "how items are numbered"),
    ],
)
def test_a_metric_that_breaks_a_contract_is_told_which(broken, told):
    with pytest.raises(AssertionError, match=told):
        check_metric(broken, [{"at": 10}])


def test_a_metric_of_neither_ranks_nor_lists_is_told():
    with pytest.raises(AssertionError, match="neither RankMetric nor ListMetric"):
        check_metric(Neither)


def test_a_metric_that_keeps_its_contracts_passes():
    check_metric(HitRate, [{"at": 1}, {"at": 10}])
    check_metric(Coverage)
