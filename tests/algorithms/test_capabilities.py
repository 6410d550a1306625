"""An algorithm of four methods is whole; a capability is had by defining its methods."""

import torch

from ufgraphfr.algorithms import capabilities
from ufgraphfr.algorithms.base import Algorithm, Setting, Update
from ufgraphfr.core.messages import Aggregation, Report, Task
from ufgraphfr.core.releases import Budget, Release

SETTING = Setting(3, 2, 1, 0)
CLIENTS = torch.arange(2)


class Popular(Algorithm):
    aggregation = Aggregation.SUM
    server_only = frozenset({"momentum"})

    def init_server(self, setting):
        return {"counts": torch.zeros(setting.items), "momentum": torch.zeros(1)}

    def local(self, task, batch, private, key):
        return Update({"counts": torch.ones(len(batch), 3)}, torch.zeros(len(batch))), private

    def aggregate(self, state, report):
        return state | {"counts": report.sums["counts"]}

    def score(self, task, inputs, private):
        return task.shared["counts"].expand(2, -1)


class Everything(Popular):
    def asks_all_clients(self, round_number):
        return round_number == 1

    def parts(self, task, inputs, private):
        return torch.zeros(2, 2, 3)

    def part_names(self, setting):
        return "one", "another"

    def blended(self, task, inputs, parts, weights):
        return torch.full((1, 2, 3), 7.0)

    def fixed_blends(self, setting):
        return torch.eye(2)

    @property
    def priors(self):
        return torch.zeros(1, 0)

    def scoring_task(self, state, clients, round_number):
        return Task(round_number, clients, {"best": state["counts"]}, {})

    def for_budget(self, budget, setting):
        return Popular()

    def releases(self, rounds):
        return (Release("counts", 1, 1),)

    def rationale(self):
        return ("because",)

    @property
    def integer_bounds(self):
        return {"counts": 1}

    def matrices(self, task):
        return {"net": ()}

    def item_views(self, arrays, setting, round_number):
        return {"seen": arrays["counts"]}

    def is_feasible(self, report, setting):
        return False

    @property
    def asks_for_item_text(self):
        return True


def asked(algorithm):
    """What the callers of an algorithm are told, by capability."""
    state = algorithm.init_server(SETTING)
    task = capabilities.scoring_task(algorithm, state, CLIENTS, 1)
    arrays = {"counts": torch.zeros(2, 3)}
    report = Report(1, CLIENTS, {}, True, torch.zeros(2))
    weights = torch.full((1, 2, 2 if isinstance(algorithm, capabilities.Blended) else 1), 2.0)
    plain = Task(1, CLIENTS, {"counts": state["counts"]}, {})
    return (
        [capabilities.asks_all_clients(algorithm, number) for number in (1, 2)],
        tuple(capabilities.parts(algorithm, plain, None, {}).shape),
        capabilities.blended(algorithm, plain, None, torch.ones(weights.shape[2], 2, 3), weights)
        .flatten()
        .tolist(),
        set(task.shared),
        type(capabilities.for_budget(algorithm, Budget(2, 1.0), SETTING)),
        capabilities.releases(algorithm, 5),
        capabilities.rationale(algorithm),
        capabilities.integer_bounds(algorithm),
        capabilities.matrices(algorithm, task),
        set(capabilities.item_views(algorithm, arrays, SETTING, 1)),
        capabilities.is_feasible(algorithm, report, SETTING),
        capabilities.asks_for_item_text(algorithm),
    )


def test_four_methods_are_an_algorithm():
    algorithm = Popular()
    assert algorithm.init_private(SETTING, None) == {}
    task = algorithm.broadcast(algorithm.init_server(SETTING), CLIENTS, 4)
    assert (task.round, set(task.shared), task.personal) == (4, {"counts"}, {})
    assert asked(algorithm) == (
        *([False, False], (1, 2, 3), [2.0] * 6, {"counts"}, Popular),
        *((Release("update", 1, 5),), (), {}, {}, {"counts"}, True, False),
    )


def test_a_capability_is_used_by_its_callers():
    assert asked(Everything()) == (
        *([True, False], (2, 2, 3), [7.0] * 6, {"best"}, Popular),
        *((Release("counts", 1, 1),), ("because",), {"counts": 1}, {"net": ()}, {"seen"}),
        *(False, True),
    )
