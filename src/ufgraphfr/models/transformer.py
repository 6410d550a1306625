"""A causal Transformer over item sequences whose weights all users share.

Kang and McAuley, "Self-attentive sequential recommendation", ICDM 2018, with pre-norm blocks and a
full-softmax output (Klenitskiy and Vasilev, RecSys 2023). Feed-forward layers are gated (SwiGLU:
Shazeer, "GLU variants improve Transformer", 2020); attention has a learned bias for each head and
distance (as Raffel et al., JMLR 2020, without buckets). Token 0 is the user's embedded
profile, so a user without history is served too; the state after a token scores every item. An
item's vector is its own plus a linear map of what is publicly known of it, so that a new item has
one too.

All functions take any leading batch axes; `torch.func.vmap` over weights gives each client its own.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ufgraphfr.core.arrays.protocol import Matrix

Params = dict[str, Tensor]

INIT_STD = 0.02


def check_heads(heads: int, dim: int) -> None:
    """What every network with attention asks of its hyper-parameters.

    Raises:
        ValueError: ``heads`` do not divide ``dim``.
    """
    if dim % heads:
        raise ValueError(f"heads = {heads} must divide dim = {dim}")


@dataclass(frozen=True)
class Transformer:
    """Shapes of the network; weights are arguments.

    Attributes:
        items: size of the catalogue.
        text_width: E, of the embedded profiles.
        dim: d, of item vectors and states.
        hidden: width of plain feed-forward layers with as many weights: the gated ones and the
            biases of distances share them, see `width` and `reach`.
        heads: attention heads; they divide ``dim``.
        blocks: how many blocks.
        history: L, items seen.
        text: whether token 0 carries the profile; otherwise it is the same for all.
        columns: of the public item features; 0 for none.
    """

    items: int
    text_width: int
    dim: int
    hidden: int
    heads: int
    blocks: int
    history: int
    text: bool
    columns: int = 0

    @property
    def width(self) -> int:
        """Of the gated feed-forward layers."""
        return max(1, (self._plain - self.heads * self.reach) // (3 * self.dim + 2))

    @property
    def reach(self) -> int:
        """Distances with a bias of their own; all beyond have that of the last one."""
        # an eighth keeps small networks as small; at the usual sizes the history decides
        return max(1, min(self.history + 1, self._plain // (8 * self.heads)))

    @property
    def _plain(self) -> int:
        """Weights of plain feed-forward layers but their last bias."""
        return (2 * self.dim + 1) * self.hidden

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every weight's shape, in the order in which they are laid out in one vector."""
        dim, width = self.dim, self.width
        shapes: dict[str, tuple[int, ...]] = {
            "item.weight": (self.items, dim),
            "item.bias": (self.items,),
            "position.weight": (self.history + 1, dim),
            "joint.bias": (dim,),
        }
        if self.text:
            shapes["joint.weight"] = (self.text_width, dim)
        if self.columns:
            shapes["item.map"] = (self.columns, dim)
        for block in range(self.blocks):
            shapes |= {
                f"{block}.attention.gain": (dim,),
                f"{block}.attention.shift": (dim,),
                f"{block}.in.weight": (dim, 3 * dim),
                f"{block}.in.bias": (3 * dim,),
                f"{block}.distance.bias": (self.heads, self.reach),
                f"{block}.out.weight": (dim, dim),
                f"{block}.out.bias": (dim,),
                f"{block}.ffn.gain": (dim,),
                f"{block}.ffn.shift": (dim,),
                f"{block}.up.weight": (dim, 2 * width),
                f"{block}.up.bias": (2 * width,),
                f"{block}.down.weight": (width, dim),
                f"{block}.down.bias": (dim,),
            }
        return shapes | {"last.gain": (dim,), "last.shift": (dim,)}

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """Where one vector of all weights holds those that are matrices."""
        matrices, start = list[Matrix](), 0
        for shape in self.shapes.values():
            if len(shape) == 2:
                matrices.append((start, *shape))
            start += math.prod(shape)
        return tuple(matrices)

    @property
    def size(self) -> int:
        """How many weights there are."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def dropout_sites(self) -> int:
        """Places that take a dropout mask: the input, and two in each block."""
        return 1 + 2 * self.blocks

    def init(self, generator: torch.Generator) -> Tensor:
        """Initial weights as one vector: weights N(0, 0.02^2), gains one, the rest zero."""
        parts = []
        for name, shape in self.shapes.items():
            kind = name.rpartition(".")[2]
            if kind == "weight":
                parts.append(torch.randn(shape, generator=generator) * INIT_STD)
            else:
                parts.append(torch.full(shape, float(kind == "gain")))
        return torch.cat([part.flatten() for part in parts])

    def named(self, vectors: Tensor) -> Params:
        """Views of ``[..., size]`` by the weights' names, ``[..., *shape]``."""
        sizes = [math.prod(shape) for shape in self.shapes.values()]
        parts = vectors.split(sizes, dim=-1)
        return {
            name: part.unflatten(-1, shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def unpack(
        self, vector: Tensor, features: Tensor | None = None, rows: Tensor | None = None
    ) -> Params:
        """One vector as named weights.

        Args:
            vector: the weights, ``[size]``.
            features: float ``[items, columns]``, public; needed if there are columns.
            rows: int64 ``[n]``, the items whose vectors and biases are wanted, in this order and
                maybe twice; None for the catalogue.

        Returns:
            by name, views but for those of items; ``item.weight`` has the features' part in it.
        """
        params = self.named(vector)
        if rows is not None:
            params["item.weight"] = params["item.weight"][rows]
            params["item.bias"] = params["item.bias"][rows]
            features = None if features is None else features[rows]
        if features is not None and self.columns:
            params["item.weight"] = params["item.weight"] + features @ params["item.map"]
        return params

    def divided(self, vector: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Views of ``[size]``: items' vectors ``[items, dim]``, their biases, and all the rest."""
        sizes = self.items * self.dim, self.items
        vectors, bias, rest = vector.split((*sizes, len(vector) - sum(sizes)))
        return vectors.view(self.items, self.dim), bias, rest

    def read(self, vector: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Copies of what `divided` gives, of items those of ``rows``, int64 ``[n]``."""
        vectors, bias, rest = self.divided(vector)
        # whole rows are copied, where an index writes number after number
        return vectors.index_select(0, rows), bias[rows], rest.clone()

    def named_rows(self, vectors: Tensor, bias: Tensor, rest: Tensor, features: Tensor) -> Params:
        """What `unpack` gives for the rows of `read`, whose features these are."""
        # the items are laid out first
        shapes = dict(list(self.shapes.items())[2:])
        parts = rest.split([math.prod(shape) for shape in shapes.values()])
        params = {
            name: part.view(shape)
            for (name, shape), part in zip(shapes.items(), parts, strict=True)
        }
        if self.columns:
            vectors = vectors + features @ params["item.map"]
        return params | {"item.weight": vectors, "item.bias": bias}

    def states(
        self, params: Params, items: Tensor, text: Tensor, dropout: Tensor | None = None
    ) -> Tensor:
        """The states after the profile and after each item.

        Args:
            params: the weights.
            items: int64 ``[..., length]``, oldest first; what pads on the right does not matter.
            text: float ``[..., text_width]``.
            dropout: scaled masks ``[dropout_sites, ..., length + 1, dim]``, or None.

        Returns:
            float ``[..., length + 1, dim]``.
        """
        user = params["joint.bias"]
        user = (
            text @ params["joint.weight"] + user if self.text else user.expand(*text.shape[:-1], -1)
        )
        seen = F.embedding(items.clamp(min=0), params["item.weight"]) * math.sqrt(self.dim)
        x = torch.cat((user.unsqueeze(-2), seen), dim=-2)
        x = x + params["position.weight"][: x.shape[-2]]
        if dropout is not None:
            x = x * dropout[0]
        for block in range(self.blocks):
            masks = (None, None) if dropout is None else dropout[1 + 2 * block : 3 + 2 * block]
            x = self._block(params, f"{block}.", x, masks[0], masks[1])
        return _norm(x, params["last.gain"], params["last.shift"])

    def _block(
        self, params: Params, name: str, x: Tensor, first: Tensor | None, second: Tensor | None
    ) -> Tensor:
        normed = _norm(x, params[f"{name}attention.gain"], params[f"{name}attention.shift"])
        attended = self._attention(params, name, normed)
        x = x + (attended if first is None else attended * first)
        normed = _norm(x, params[f"{name}ffn.gain"], params[f"{name}ffn.shift"])
        gate, wide = _linear(normed, params, f"{name}up").chunk(2, -1)
        out = _linear(F.silu(gate) * wide, params, f"{name}down")
        return x + (out if second is None else out * second)

    def _attention(self, params: Params, name: str, x: Tensor) -> Tensor:
        projected = _linear(x, params, f"{name}in")
        # [..., length, 3 * dim] to three of [..., heads, length, dim / heads]
        parts = projected.unflatten(-1, (3, self.heads, -1)).movedim(-3, 0).transpose(-2, -3)
        # one gradient of the three; indexing's would be three, filled with zeros
        query, key, value = parts.unbind(0)
        bias = causal_bias(params[f"{name}distance.bias"], x.shape[-2])
        # with all axes of the queries: otherwise torch writes all attention weights out
        bias = bias.expand(*query.shape[:-1], -1)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        joined = mixed.transpose(-2, -3).flatten(-2)
        return _linear(joined, params, f"{name}out")

    def logits(self, params: Params, states: Tensor) -> Tensor:
        """Scores of every item, float ``[..., items]``."""
        return states @ params["item.weight"].T + params["item.bias"]


def with_item_vectors(weights: Tensor, vectors: Tensor) -> Tensor:
    """The weights ``[size]`` with other item vectors, ``[items, dim]`` of unit variance."""
    # they are laid out first
    return torch.cat((vectors.flatten() * INIT_STD, weights[vectors.numel() :]))


def causal_bias(bias: Tensor, length: int) -> Tensor:
    """What is added to attention's logits, float ``[..., heads, length, length]``.

    Args:
        bias: ``[..., heads, reach]``, of a key that lies 0, 1, ... positions back; what lies
            farther has the last one.
        length: of the sequence.
    """
    near = bias[..., :length]
    far = bias[..., -1:].expand(*bias.shape[:-1], length - near.shape[-1])
    later = bias.new_full((*bias.shape[:-1], length - 1), -math.inf)
    # windows of one row instead of an index, whose gradient would be a sum number by number
    row = torch.cat((far, near.flip(-1), later), dim=-1)
    return row.unfold(-1, length, 1).flip(-2)


def _linear(x: Tensor, params: Params, name: str) -> Tensor:
    return F.linear(x, params[f"{name}.weight"].mT, params[f"{name}.bias"])


def _norm(x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], gain, shift)
