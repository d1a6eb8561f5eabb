"""Writing an ONNX graph as arithmetic: a :class:`Value` is a tensor that will be, and ``+``, ``<`` or ``where`` on it are nodes.

All numbers are doubles. A calibrated score is a step function of what lies before it, and single precision would fall off
its steps. The operators used are those that ONNX Runtime's CPU provider computes in double.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trunkline.core.extras import need

OPSET, ML_OPSET = 21, 5
"""Versions of the standard operators and of those for trees; the latter knows trees of doubles."""
IR_VERSION = 10
ML = "ai.onnx.ml"


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the graph: the output of a node, an input or a constant."""

    graph: Graph
    name: str

    def __add__(self, other: Value | float) -> Value:
        return self.graph.op("Add", self, other)

    def __sub__(self, other: Value | float) -> Value:
        return self.graph.op("Sub", self, other)

    def __rsub__(self, other: float) -> Value:
        return self.graph.op("Sub", other, self)

    def __mul__(self, other: Value | float) -> Value:
        return self.graph.op("Mul", self, other)

    def __truediv__(self, other: Value | float) -> Value:
        return self.graph.op("Div", self, other)

    def __matmul__(self, other: Value) -> Value:
        return self.graph.op("MatMul", self, other)

    def __pow__(self, other: Value | float) -> Value:
        return self.graph.op("Pow", self, other)

    def __neg__(self) -> Value:
        return self.graph.op("Neg", self)

    def __lt__(self, other: Value | float) -> Value:
        return self.graph.op("Less", self, other)

    def __le__(self, other: Value | float) -> Value:
        return self.graph.op("LessOrEqual", self, other)

    def __gt__(self, other: Value | float) -> Value:
        return self.graph.op("Greater", self, other)

    def __ge__(self, other: Value | float) -> Value:
        return self.graph.op("GreaterOrEqual", self, other)

    def __and__(self, other: Value) -> Value:
        return self.graph.op("And", self, other)

    def __or__(self, other: Value) -> Value:
        return self.graph.op("Or", self, other)

    def __invert__(self) -> Value:
        return self.graph.op("Not", self)

    def is_nan(self) -> Value:
        """Where there is no number."""
        return self.graph.op("IsNaN", self)

    def at_least(self, other: Value | float) -> Value:
        """The larger of the two."""
        return self.graph.op("Max", self, other)

    def at_most(self, other: Value | float) -> Value:
        """The smaller of the two."""
        return self.graph.op("Min", self, other)

    def number(self) -> Value:
        """Truth values or whole numbers as doubles."""
        return self.graph.op("Cast", self, to=11)

    def whole(self) -> Value:
        """Without what stands behind the point, as a 64-bit integer."""
        return self.graph.op("Cast", self, to=7)

    def rows_of(self, table: npt.NDArray[Any]) -> Value:
        """The lines of *table* that these whole numbers name; -1 is the last."""
        return self.graph.op("Gather", self.graph.constant(table), self, axis=0)

    def slots(self, begin: int, end: int, axis: int = 1) -> Value:
        """A part of an axis; a negative *begin* counts from the end."""
        places = (self.graph.whole([number]) for number in (begin, end, axis))
        return self.graph.op("Slice", self, *places)

    def newest(self) -> Value:
        """(N, W, …) as its last slot, (N, …)."""
        return self.graph.op("Gather", self, self.graph.constant(np.array(-1)), axis=1)

    def total(self, axis: int, *, keep: bool = False) -> Value:
        """The sum along an axis."""
        return self.graph.op("ReduceSum", self, self.graph.whole([axis]), keepdims=int(keep))

    def wider(self, *axes: int) -> Value:
        """With axes of length one put in."""
        return self.graph.op("Unsqueeze", self, self.graph.whole(list(axes)))

    def shaped(self, *shape: int) -> Value:
        """In another shape; 0 keeps a length, -1 is what is left."""
        return self.graph.op("Reshape", self, self.graph.whole(list(shape)))


class Graph:
    """Nodes, constants and inputs, in the order in which they are asked for."""

    def __init__(self) -> None:
        self._onnx = need("onnx", extra="onnx")
        self._nodes: list[Any] = []
        self._inputs: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._initializers: list[Any] = []

    def input(self, name: str, kind: str, shape: Sequence[str | int]) -> Value:
        """An input; *kind* is "float64", "int64" or "string"."""
        proto = self._onnx.TensorProto
        kinds = {"float64": proto.DOUBLE, "int64": proto.INT64, "string": proto.STRING}
        self._inputs.append(self._onnx.helper.make_tensor_value_info(name, kinds[kind], list(shape)))
        return Value(self, name)

    def constant(self, array: npt.NDArray[Any]) -> Value:
        """An array as it is; equal ones are kept once."""
        array = np.array(array, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = name = f"c{len(self._constants)}"
            self._initializers.append(self._onnx.numpy_helper.from_array(array, name))
        return Value(self, self._constants[key])

    def whole(self, numbers: Sequence[int]) -> Value:
        """Whole numbers as a constant."""
        return self.constant(np.array(numbers, dtype=np.int64))

    def op(self, kind: str, *inputs: Value | float, domain: str = "", **attributes: Any) -> Value:
        """The output of a new node; plain numbers become doubles."""
        return self._made(kind, inputs, domain, 1, attributes)[0]

    def both(self, kind: str, *inputs: Value | float, **attributes: Any) -> tuple[Value, Value]:
        """The outputs of a new node that has two."""
        first, second = self._made(kind, inputs, "", 2, attributes)
        return first, second

    def where(self, condition: Value, then: Value | float, otherwise: Value | float) -> Value:
        """One or the other, element by element."""
        return self.op("Where", condition, then, otherwise)

    def together(self, parts: Sequence[Value], axis: int) -> Value:
        """Parts one behind the other."""
        return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=axis)

    def _made(self, kind: str, inputs: Sequence[Value | float], domain: str, outputs: int, attributes: dict[str, Any]) -> list[Value]:
        names = [one.name if isinstance(one, Value) else self.constant(np.array(one, dtype=np.float64)).name for one in inputs]
        made = [f"v{len(self._nodes)}.{number}" for number in range(outputs)]
        self._nodes.append(self._onnx.helper.make_node(kind, names, made, domain=domain, **attributes))
        return [Value(self, name) for name in made]

    def model(self, score: Value) -> Any:
        """The graph as a model whose one output, "score", is *score*."""
        helper, proto = self._onnx.helper, self._onnx.TensorProto
        self._nodes.append(helper.make_node("Identity", [score.name], ["score"]))
        output = helper.make_tensor_value_info("score", proto.DOUBLE, ["rows"])
        graph = helper.make_graph(self._nodes, "trunkline", self._inputs, [output], initializer=self._initializers)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)], producer_name="trunkline")
        made.ir_version = IR_VERSION
        return made
