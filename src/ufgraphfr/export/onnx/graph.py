"""An ONNX graph that is written like arithmetic: operators on values add nodes.

Every node is of the standard operator set, so that each runtime can run it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 18, 9
"""Of 2023: runtimes that are three years old read it."""
Array: TypeAlias = NDArray[Any]
_FEW = 64
"""Arrays with fewer numbers are not quantised: there is nothing to gain."""


@dataclass
class Graph:
    """A graph that grows.

    Attributes:
        int8: whether weights are stored as int8 with a scale for each row.
    """

    int8: bool = False
    _nodes: list[onnx.NodeProto] = field(default_factory=list)
    _arrays: list[onnx.TensorProto] = field(default_factory=list)
    _stored: dict[tuple[object, ...], "Value"] = field(default_factory=dict)
    _inputs: list[onnx.ValueInfoProto] = field(default_factory=list)

    def input(self, name: str, kind: int, shape: Sequence[int | str]) -> "Value":
        """What the caller gives; a name in the shape is a free size."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return Value(self, name)

    def array(self, array: Array) -> "Value":
        """Numbers as they are; the same ones are stored once."""
        array = np.asarray(array, order="C")
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._stored:
            name = f"array_{len(self._arrays)}"
            self._arrays.append(numpy_helper.from_array(array, name))
            self._stored[key] = Value(self, name)
        return self._stored[key]

    def weights(self, array: Array) -> "Value":
        """Float weights ``[rows, columns]``, in few bits if that is asked for."""
        if not self.int8 or array.size < _FEW or array.ndim != 2:
            return self.array(array.astype(np.float32))
        scale = np.abs(array).max(1, keepdims=True) / 127
        whole = np.round(array / np.where(scale > 0, scale, 1)).astype(np.int8)
        # a runtime multiplies constants once, when it loads the file
        return self.array(whole).cast(TensorProto.FLOAT) * self.array(scale.astype(np.float32))

    def scalar(self, number: float, kind: type = np.float32) -> "Value":
        """One number."""
        return self.array(np.array(number, kind))

    def whole(self, *numbers: int) -> "Value":
        """Axes, shapes and bounds, int64 ``[n]``."""
        return self.array(np.array(numbers, np.int64))

    def op(self, kind: str, *inputs: "Value", **attributes: Any) -> "Value":
        """A node; what comes of it."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        names = [each.name for each in inputs]
        self._nodes.append(helper.make_node(kind, names, [name], name, **attributes))
        return Value(self, name)

    def cat(self, axis: int, *values: "Value") -> "Value":
        """Several values in a row."""
        return self.op("Concat", *values, axis=axis)

    def where(self, condition: "Value", yes: "Value", no: "Value") -> "Value":
        """One or the other, number by number."""
        return self.op("Where", condition, yes, no)

    def model(
        self, outputs: dict[str, tuple["Value", Sequence[int | str]]], facts: dict[str, str]
    ) -> onnx.ModelProto:
        """The finished model, checked; ``facts`` are read as its metadata."""
        infos = []
        for name, (value, shape) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value.name], [name], name))
            infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
        graph = helper.make_graph(self._nodes, "ufgraphfr", self._inputs, infos, self._arrays)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        model.producer_name = "ufgraphfr"
        helper.set_model_props(model, facts)
        onnx.checker.check_model(model, full_check=True)
        return model


@dataclass(frozen=True)
class Value:
    """What a node gives, to be worked with as with an array."""

    graph: Graph
    name: str

    def _with(self, kind: str, other: "Value | float", turned: bool = False) -> "Value":
        two = other if isinstance(other, Value) else self.graph.scalar(other)
        return self.graph.op(kind, *((two, self) if turned else (self, two)))

    def __add__(self, other: "Value | float") -> "Value":
        return self._with("Add", other)

    def __sub__(self, other: "Value | float") -> "Value":
        return self._with("Sub", other)

    def __rsub__(self, other: float) -> "Value":
        return self._with("Sub", other, turned=True)

    def __mul__(self, other: "Value | float") -> "Value":
        return self._with("Mul", other)

    def __truediv__(self, other: "Value | float") -> "Value":
        return self._with("Div", other)

    def __matmul__(self, other: "Value") -> "Value":
        return self._with("MatMul", other)

    def __lt__(self, other: "Value | float") -> "Value":
        return self._with("Less", other)

    def at_least(self, other: "Value | float") -> "Value":
        """The larger of both."""
        return self._with("Max", other)

    def at_most(self, other: "Value | float") -> "Value":
        """The smaller of both."""
        return self._with("Min", other)

    def call(self, kind: str, **attributes: Any) -> "Value":
        """A function of this alone."""
        return self.graph.op(kind, self, **attributes)

    def cast(self, kind: int) -> "Value":
        """The same numbers of another type."""
        return self.call("Cast", to=kind)

    def rows(self, index: "Value", axis: int = 0) -> "Value":
        """Some rows, in the order of ``index``."""
        return self.graph.op("Gather", self, index, axis=axis)

    def sum(self, axis: int, keep: bool = False) -> "Value":
        """The sum along an axis."""
        return self.graph.op("ReduceSum", self, self.graph.whole(axis), keepdims=int(keep))

    def mean(self, axis: int = -1) -> "Value":
        """The mean along an axis, which stays."""
        return self.graph.op("ReduceMean", self, self.graph.whole(axis), keepdims=1)

    def log_sum_exp(self) -> "Value":
        """Along the last axis, which stays."""
        return self.graph.op("ReduceLogSumExp", self, self.graph.whole(-1), keepdims=1)

    def widen(self, *axes: int) -> "Value":
        """With axes of length one put in."""
        return self.graph.op("Unsqueeze", self, self.graph.whole(*axes))

    def shaped(self, *shape: int) -> "Value":
        """The same numbers in another shape."""
        return self.graph.op("Reshape", self, self.graph.whole(*shape))

    def turned(self, *axes: int) -> "Value":
        """With its axes in another order."""
        return self.call("Transpose", perm=list(axes))

    def last(self, count: int) -> "Value":
        """The last so many rows, or all."""
        ends = self.graph.whole(-count), self.graph.whole(2**31 - 1), self.graph.whole(0)
        return self.graph.op("Slice", self, *ends)

    def length(self) -> "Value":
        """How many rows, an int64 number."""
        return self.call("Shape", start=0, end=1).call("Squeeze")
