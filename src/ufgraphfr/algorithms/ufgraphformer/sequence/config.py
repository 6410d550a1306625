"""What a person sets of the sequence Transformer: keys of the flagship's ``[algorithm]`` table."""

from pydantic import Field

from ufgraphfr.algorithms.ufgraphformer.sequence.local_training import SequenceTraining
from ufgraphfr.algorithms.ufgraphformer.sequence.server_adam import ServerAdam
from ufgraphfr.core.spec import Spec


class SequenceSpec(Spec):
    """Hyper-parameters of the network and of its training."""

    text: bool = True
    """The embedded profile as token 0; without it no part reads any text."""
    features: bool = True
    """Whether an item's vector has a part from its public features, if there are any."""
    spectral: bool = True
    """Whether the first item vectors come from the graph."""
    dim: int = Field(64, ge=2)
    """d, of item vectors and states."""
    hidden: int = Field(128, ge=2)
    """Width of plain feed-forward layers with as many weights; the gated ones are narrower."""
    heads: int = Field(2, ge=1)
    """Attention heads; they divide ``dim``."""
    blocks: int = Field(2, ge=1)
    """Transformer blocks."""
    history: int = Field(100, ge=1)
    """L, the recent items the Transformer sees."""
    training: SequenceTraining = SequenceTraining()
    """How devices train the Transformer."""
    adam: ServerAdam = ServerAdam()
    """How the server steps."""
