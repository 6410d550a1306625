"""Items that came into a deployment's catalogue after the model was trained: served at once.

The model scores what it was trained on. A new item is scored from that by what is public of it, as
`ColdItems` scores an item that nobody has: it is one, until the next run.
"""

from collections.abc import Callable

from torch import Tensor, cat

from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.algorithms.ufgraphformer.on_device.cold_items import PUBLIC, ColdItems
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.deploy.agreement.chain import Documents
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.serve.model import Model


def cold_items(agreement: Agreement) -> ColdItems | None:
    """The way to score new items that was agreed on; None if there is none."""
    algorithm = agreement.algorithm
    if not isinstance(algorithm, UFGraphFormer) or algorithm.cold_items is None:
        return None
    return ColdItems(algorithm.cold_items)


def with_new_items(model: Model, items: int, newest: Documents) -> Model:
    """A model that scores all items of the newest catalogue.

    Args:
        model: scores the first ``items`` of them.
        items: how many it was trained on.
        newest: what is agreed on now; new items come last in its catalogue.
    """
    part, catalogue = cold_items(newest.agreement), newest.catalogue
    if part is None or len(catalogue.items) == items:
        return model
    public = part.state(newest.agreement.setting(catalogue, part.spec.titles))[PUBLIC]
    known, new = public[:items], public[items:]

    def longer(scores: Tensor) -> Tensor:
        return cat((scores, part.likened(scores, known, new)), -1)

    def asked(score: Callable[[ClientBatch], Tensor]) -> Callable[[ClientBatch], Tensor]:
        return lambda inputs: longer(score(inputs.of_the_first(items)))

    def added(inputs: ClientBatch) -> dict[str, Tensor]:
        # what a score is made of is likened as the score is, so that it adds up
        own = model.added(inputs.of_the_first(items))
        return {name: longer(scores) for name, scores in own.items()}

    return Model(model.personal, asked(model.score), added, asked(model.from_history))
