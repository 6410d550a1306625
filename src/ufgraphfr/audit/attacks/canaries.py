"""Do invented clients leave a mark? A one-run audit of the guarantee itself.

Half of some canary clients, by fair coins, take part in as many rounds as the run had, through the
real client function, the real sum and the real mechanism. Each uploads its own random direction in
a wide dummy table, far longer than any clip, and is scored by how much of it is in what was
released. See `ufgraphfr.audit.bounds`.
"""

from functools import partial
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ufgraphfr.algorithms.base import Algorithm, Setting, Update
from ufgraphfr.algorithms.capabilities import asks_all_clients
from ufgraphfr.audit.attacks.base import Attack, Finding, View
from ufgraphfr.audit.bounds import gaussian_estimate, measured_auc, one_run_epsilon
from ufgraphfr.audit.recording import Recording
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.messages import Aggregation, Private, Report, State, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.federation.aggregation import Aggregator
from ufgraphfr.federation.client import Client
from ufgraphfr.federation.cohort import FederationSpec
from ufgraphfr.federation.loop import rounds
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.simulation import Simulation
from ufgraphfr.federation.transport import Local
from ufgraphfr.privacy.accounted.gaussian import NoisedSums
from ufgraphfr.privacy.base import Mechanism

WIDTH = 32
"""Of a dummy row."""


class Canary(Algorithm):
    """Every client uploads its own direction; the server adds up what is released."""

    aggregation: ClassVar[Aggregation] = Aggregation.SUM

    cells: int = Field(ge=WIDTH)
    """Numbers in the dummy table."""
    seed: int = 0
    """Of the directions."""
    length: float = Field(1e6, gt=0)
    """Of an upload: far beyond any clip, but not beyond float32."""
    full: tuple[int, ...] = ()
    """Rounds that ask all clients, as the run's."""

    def asks_all_clients(self, round_number: int) -> bool:
        """See `capabilities.AsksAllClients`."""
        return round_number in self.full

    def directions(self, clients: Tensor) -> Tensor:
        """Unit vectors, float ``[clients, cells]``."""
        key = Key(self.seed)
        made = [
            torch.randn(self.cells, generator=key.to(Purpose.CANARIES, int(client)).generator())
            for client in clients
        ]
        return torch.nn.functional.normalize(torch.stack(made), dim=1)

    def init_server(self, setting: Setting) -> State:
        """See `Algorithm.init_server`."""
        return {}

    def init_private(self, setting: Setting, batch: ClientBatch) -> Private:
        """See `Algorithm.init_private`: the direction, drawn once."""
        return {"direction": self.directions(batch.clients)}

    def broadcast(self, state: State, clients: Tensor, round_number: int) -> Task:
        """See `Algorithm.broadcast`."""
        return Task(round_number, clients, {}, {})

    def local(
        self, task: Task, batch: ClientBatch, private: Private, key: Key
    ) -> tuple[Update, Private]:
        """See `Algorithm.local`."""
        table = (private["direction"] * self.length).view(len(batch), -1, WIDTH)
        return Update({"items": table}, torch.zeros(len(batch))), private

    def aggregate(self, state: State, report: Report) -> State:
        """See `Algorithm.aggregate`."""
        return state | {str(report.round): report.sums["items"].flatten()}

    def score(self, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        """See `Algorithm.score`; it recommends nothing."""
        return torch.zeros(len(inputs), inputs.n_items)


class Canaries(Attack):
    """Tells canaries that took part from canaries that did not."""

    question: ClassVar[str] = "who took part, from everything that was released"
    otherwise: ClassVar[str] = (
        "this algorithm releases no sums, each client's own upload is what its server works with"
    )

    canaries: int = Field(1000, ge=20)
    """How many invented clients there are."""
    cells_each: int = Field(20, ge=1)
    """Numbers of the dummy table for each canary, so that directions hardly overlap."""
    delta: float = Field(1e-5, gt=0, lt=1)
    """Of the guarantee that is audited."""

    def run(self, recording: Recording) -> list[Finding]:
        """See `Attack.run`."""
        if recording.algorithm.aggregation is Aggregation.PER_CLIENT:
            return []
        experiment, algorithm = recording.experiment, recording.algorithm
        clients = len(recording.prepared.split.warm)
        # a canary takes part as often as a client of the run
        spec = experiment.federation
        rounds = spec.rounds if recording.mechanism.is_private else recording.rounds
        share = min(1.0, spec.expected(clients) / clients)
        spec = spec.model_copy(update={"rounds": rounds, "cohort": share})
        full_rounds = tuple(n for n in range(1, rounds + 1) if asks_all_clients(algorithm, n))
        play = partial(self.play, federation=spec, seed=experiment.seed, full_rounds=full_rounds)
        results = self.findings("broadcast", *play(recording.fresh_mechanism()))
        own = recording.fresh_mechanism()
        if recording.trust == "shard" and isinstance(own, NoisedSums):
            results += self.findings("upload", *play(own.of_one_holder()))
        return results

    def play(
        self,
        mechanism: Mechanism,
        federation: FederationSpec,
        seed: int,
        full_rounds: tuple[int, ...] = (),
    ) -> tuple[Tensor, Tensor]:
        """Run the canaries.

        Args:
            mechanism: the run's, before its first release.
            federation: the run's rounds and cohorts.
            seed: of directions and coins.
            full_rounds: rounds that ask all clients.

        Returns:
            float64 ``[canaries]``, how much of each is in what was released; and bool
            ``[canaries]``, who took part.
        """
        everyone = torch.arange(self.canaries)
        inside = Key(seed, purpose=Purpose.CANARY_COINS).words(everyone, 0, 1)[:, 0] % 2 == 0
        cells = -(-self.canaries * self.cells_each // WIDTH) * WIDTH
        algorithm = Canary(cells=cells, seed=seed, full=full_rounds)
        batch = _empty_profiles(everyone)
        setting = Setting(WIDTH, self.canaries, 1, seed)
        private_state = PrivateState(algorithm.init_private(setting, batch))
        client = Client(algorithm, mechanism)
        transport = Local(Simulation(client, batch, private_state, federation.chunk))
        spec = federation.model_copy(update={"adversary": None, "defence": None})
        key, state = Key(seed), algorithm.init_server(setting)
        aggregator = Aggregator(algorithm, setting)
        scores = torch.zeros(self.canaries, dtype=torch.float64)
        for done in rounds(aggregator, mechanism, transport, spec, everyone[inside], state, key):
            if done.released is not None:
                (released,) = algorithm.aggregate({}, done.released).values()
                weight = _weight(mechanism, done.number)
                scores += weight * (private_state.weights["direction"] @ released).double()
        return scores, inside

    def findings(self, view: View, scores: Tensor, inside: Tensor) -> list[Finding]:
        """AUC and both lower bounds on epsilon."""
        value = measured_auc(scores, inside)
        mu, epsilon = gaussian_estimate(scores, inside, self.delta)
        bound = one_run_epsilon(scores, inside, self.delta)
        note = f"{self.canaries:,} canaries in a dummy table, delta {self.delta:g}"
        told = {"took part": scores[inside], "did not": scores[~inside]}
        shown = {name: tuple(own.tolist()) for name, own in told.items()}
        what, gaussian = "canaries told apart: AUC", "epsilon, Gaussian estimate"
        distance = f"mu {mu.value:.3g}, at least {mu.low:.3g}; {note}"
        return [
            Finding(view, what, value.value, value.low, 0.5, True, note, shown),
            Finding(view, "epsilon, one-run lower bound", bound, bound, None, note=note),
            Finding(view, gaussian, epsilon.value, epsilon.low, None, note=distance),
        ]


def _weight(mechanism: Mechanism, round_number: int) -> float:
    """A round's weight as evidence: its signal over the square of its noise, by its ledger."""
    ledger = getattr(mechanism, "ledger", None)
    for spend in ledger.spends if ledger is not None else ():
        if spend["round"] == round_number:
            return float(1 / (spend["clip"] * spend["noise"] ** 2))
    return 1.0


def _empty_profiles(clients: Tensor) -> ClientBatch:
    """Clients with one item each and a zero text vector."""
    ptr = torch.arange(len(clients) + 1)
    items = torch.zeros(len(clients), dtype=torch.int64)
    return ClientBatch(clients, ptr, items, ptr, items, torch.zeros(len(clients), 1), WIDTH)
