"""The sequence Transformer as a part of the model.

Each round a cohort trains on windows of its own sequences; token 0 of a sequence is the user's
embedded profile. The first item vectors come from the graph's spectrum. The server steps with Adam
on the cohort's mean change, and devices rank with a running mean of the weights.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Setting, Update
from ufgraphfr.algorithms.ufgraphformer.graph.config import COUNTS
from ufgraphfr.algorithms.ufgraphformer.graph.part import ItemGraph
from ufgraphfr.algorithms.ufgraphformer.part import Part
from ufgraphfr.algorithms.ufgraphformer.sequence.config import SequenceSpec
from ufgraphfr.algorithms.ufgraphformer.sequence.local_training import SharedModel
from ufgraphfr.core.arrays.protocol import Matrix
from ufgraphfr.core.errors import of_another_version
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import State, Summed, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.models.transformer import Transformer, with_item_vectors
from ufgraphfr.ops.fusion import Scorer

TEXT_DIM = 64
"""Wider profile vectors are projected to this width, at random and publicly: an update in four bits
stays below 100 kB on MovieLens-100K. Johnson and Lindenstrauss, "Extensions of Lipschitz mappings
into a Hilbert space", 1984: fewer numbers say nearly the same."""


@dataclass(frozen=True)
class Sequence(Part):
    """The Transformer.

    Attributes:
        spec: hyper-parameters.
        graph: where the first item vectors come from, and which items nobody has; None if off.
    """

    spec: SequenceSpec
    graph: ItemGraph | None

    def names(self, setting: Setting) -> tuple[str, ...]:
        """See `Part.names`."""
        return ("transformer",)

    def network(self, items: int, text_width: int, columns: int) -> Transformer:
        """The Transformer for a catalogue with some columns of public features."""
        spec = self.spec
        return Transformer(
            items,
            min(text_width, TEXT_DIM),
            spec.dim,
            spec.hidden,
            spec.heads,
            spec.blocks,
            spec.history,
            spec.text,
            columns if spec.features else 0,
        )

    def _network_for(self, setting: Setting) -> Transformer:
        columns = 0 if setting.features is None else setting.features.shape[1]
        return self.network(setting.items, setting.text_width, columns)

    def state(self, setting: Setting) -> State:
        """See `Part.state`."""
        generator = Key(setting.seed, purpose=Purpose.INIT_TRANSFORMER).generator()
        return {
            "projection": _projection(setting),
            **self.spec.adam.begun(self._network_for(setting).init(generator)),
            "seed": torch.tensor([setting.seed]),
        }

    def trained(self) -> frozenset[str]:
        """See `Part.trained`."""
        return self.spec.adam.names()

    def message(self, state: State) -> tuple[State, frozenset[str]]:
        """What a cohort trains with, and which of it never changes."""
        constant = {name: state[name] for name in ("features", "projection")}
        if self.graph is not None:
            # all that training needs of the graph is which items nobody has
            constant[COUNTS] = state[COUNTS]
        sent = {"net": state["net"], **constant}
        if self.spec.training.local_steps > 1:
            sent["net.scale"] = self.spec.adam.local_scale(state)
        return sent, frozenset(constant)

    def contribution(self, task: Task, batch: ClientBatch, key: Key) -> Update | None:
        """See `Part.contribution`: a training step of the clients."""
        if "net" not in task.shared:
            return None
        training = self.spec.training
        model = self._model(task.shared, training.sample(batch.n_items, key))
        batch = replace(batch, text=batch.text @ task.shared["projection"])
        return training.update(model, batch, key, self.spec.history, task.aggregation)

    def _model(self, shared: State, sample: Tensor | None = None) -> SharedModel:
        """What a device trains or ranks with."""
        features = shared["features"]
        absent = torch.zeros(len(features), dtype=torch.bool, device=features.device)
        if self.graph is not None:
            absent = shared[COUNTS] == 0
        sample = None if sample is None else sample.to(features.device)
        network = self._network_in(shared)
        return SharedModel(
            network, shared["net"], features, absent, shared.get("net.scale"), sample
        )

    def _network_in(self, shared: State) -> Transformer:
        """The shapes of the weights in a message.

        Raises:
            InputError: there are more weights than shapes, or fewer.
        """
        items, columns = shared["features"].shape
        network = self.network(items, shared["projection"].shape[1], columns)
        if len(shared["net"]) != network.size:
            raise of_another_version(
                f"the Transformer has {len(shared['net']):,} weights and not {network.size:,}, as "
                f"this version's has"
            )
        return network

    def collect(self, state: State, sums: Summed, round_number: int) -> State:
        """See `Part.collect`: a step of Adam; the first weights, once there is a graph."""
        if "gradient" in sums:
            mean = sums["gradient"] / sums["count"].clamp(min=1)
            return self.spec.adam.stepped(state, mean)
        if self.graph is None or not self.spec.spectral or round_number != self.graph.spec.rounds:
            return state
        if int(state["net.steps"]):
            # trained in a run before
            return state
        generator = Key(int(state["seed"]), purpose=Purpose.INIT_FROM_GRAPH).generator()
        vectors = self.graph.item_vectors(state, self.spec.dim, generator)
        return state | self.spec.adam.begun(with_item_vectors(state["net"], vectors))

    def shared(self, state: State) -> State:
        """See `Part.shared`: the running mean of the weights."""
        return {"net": state["net.mean"], "projection": state["projection"]}

    def scores(self, shared: State, inputs: ClientBatch) -> tuple[Scorer]:
        """See `Part.scores`: of what follows each history."""
        inputs = replace(inputs, text=inputs.text @ shared["projection"])
        return (lambda: self._model(shared).next_scores(inputs),)

    def is_feasible(self, arrays: State, setting: Setting, round_number: int) -> bool:
        """See `Part.is_feasible`: no more positions than a history may have."""
        most = 1 if self.spec.training.weighting == "clients" else self.spec.history + 1
        count = arrays.get("count")
        return count is None or bool(((count >= 1) & (count <= most)).all())

    def matrices(self, shared: State) -> tuple[Matrix, ...]:
        """Where the gradient that a message asks for holds matrices."""
        return self._network_in(shared).matrices

    def item_views(self, arrays: State, setting: Setting, round_number: int) -> State:
        """See `Part.item_views`: weights, or their gradient, by name."""
        packed = "net" if "net" in arrays else "gradient"
        if packed not in arrays:
            return arrays
        named = self._network_for(setting).named(arrays[packed])
        rest = {name: value for name, value in arrays.items() if name != packed}
        return rest | {f"gradient.{name}": view for name, view in named.items()}


def _projection(setting: Setting) -> Tensor:
    """Of profile vectors, float ``[text_width, at most TEXT_DIM]``."""
    if setting.text_width <= TEXT_DIM:
        return torch.eye(setting.text_width)
    generator = Key(setting.seed, purpose=Purpose.PROJECTION).generator()
    return torch.randn(setting.text_width, TEXT_DIM, generator=generator).div(TEXT_DIM**0.5)
