"""UFGraphFormer: item graph, shared Transformer and user text in one model, blended on the device.

Begin with `model`, the list of parts and their blend, and `part`, what every part does.
"""

from ufgraphfr.algorithms.ufgraphformer.model import UFGraphFormer

__all__ = ["UFGraphFormer"]
