"""Isolation forest, autoencoder and boosted trees as ONNX."""

from __future__ import annotations

import numpy as np

from trunkline.models.autoencoder import LIMIT, FittedAutoencoder
from trunkline.models.calibration import Tail
from trunkline.models.forest import FittedForest
from trunkline.models.onnx_graph import Graph, Value
from trunkline.models.onnx_series import number_of, residuals
from trunkline.models.onnx_tail import p
from trunkline.models.onnx_trees import total
from trunkline.models.protocol import Floats
from trunkline.models.trees import FittedTrees

_ALIKE = 1e-9
"""Errors of a net that differ by less are equal: sums of products come out otherwise in other libraries."""


def trees(graph: Graph, fitted: FittedTrees, given: dict[str, Value]) -> Value:
    """The score of :class:`~trunkline.models.trees.FittedTrees`."""
    x = given["values"]
    chance = graph.op("Sigmoid", total(graph, fitted.trees, x))
    return graph.where(_none(graph, x), np.nan, chance)


def forest(graph: Graph, fitted: FittedForest, given: dict[str, Value]) -> Value:
    """The score of :class:`~trunkline.models.forest.FittedForest`."""
    entity = number_of(graph, fitted.entities, given["entity"])
    seen = given["values"]
    if fitted.usual is not None:
        apart = residuals(graph, fitted.usual, seen, given["hour"], entity, last=max(1, *fitted.windows, 0), every=fitted.every)
        newest, near = apart.newest(), graph.where(apart.is_nan(), 0.0, apart)
        sums = [near.slots(-window, np.iinfo(np.int64).max).total(1) / float(np.sqrt(window)) for window in fitted.windows]
        seen = graph.together([newest, *(graph.where(newest.is_nan(), np.nan, one) for one in sums)], 1)
    filled = graph.where(seen.is_nan(), graph.constant(fitted.fill), seen)
    single = graph.op("Cast", graph.op("Cast", filled, to=1), to=11)
    short = -total(graph, fitted.forest, single)
    strange = graph.constant(np.array(2.0)) ** (short / fitted.per_tree)
    chance = p(
        graph, fitted.tail, short, strange, entity, rises=lambda u: _strangeness(u, fitted.per_tree), near=lambda levels: _short(levels, fitted.per_tree)
    )
    return graph.where(_none(graph, seen), np.nan, 1.0 - chance)


def autoencoder(graph: Graph, fitted: FittedAutoencoder, given: dict[str, Value], *, int8: bool = False) -> Value:
    """The score of :class:`~trunkline.models.autoencoder.FittedAutoencoder`; with *int8* the weights have eight bits."""
    columns, slots = len(fitted.columns), fitted.model.slots
    entity = number_of(graph, fitted.entities, given["entity"])
    window = residuals(graph, fitted.usual, given["values"], given["hour"], entity, last=slots, every=fitted.every)
    unknown, newest = window.is_nan(), window.newest()
    x = graph.where(unknown, 0.0, window).at_least(-LIMIT).at_most(LIMIT).shaped(-1, slots * columns)
    weights, bias = fitted.layers[-1]
    layers = [*fitted.layers[:-1], (weights[:, -columns:], bias[-columns:])]  # of the rebuilt window only its newest slot counts
    for number, (times, plus) in enumerate(layers):
        x = (_times_int8(graph, x, times) if int8 else x @ graph.constant(times)) + graph.constant(plus)
        x = x if number == len(layers) - 1 else graph.op("Tanh", x)
    wrong = newest - x
    apart = wrong * wrong / graph.constant(fitted.typical)
    there = ~apart.is_nan()
    count = there.number().total(1)
    strange = graph.where(there, apart, 0.0).total(1) / count.at_least(1.0)
    known = (~unknown).number()
    half = known.shaped(-1, slots * columns).total(1) >= 0.5 * slots * columns
    judged = half & (count > 0.0)
    cut = Tail(
        levels=fitted.tail.levels + _ALIKE * (np.abs(fitted.tail.levels) + _ALIKE),
        threshold=fitted.tail.threshold + _ALIKE * (np.abs(fitted.tail.threshold) + _ALIKE),
        count=fitted.tail.count,
        beyond=fitted.tail.beyond,
        scale=fitted.tail.scale,
        shape=fitted.tail.shape,
    )
    return graph.where(judged, 1.0 - p(graph, cut, strange, strange, entity, rises=None), np.nan)


def _times_int8(graph: Graph, x: Value, weights: Floats) -> Value:
    """*x* times weights of eight bits, one scale for each neuron; the products stay floating."""
    scale = np.maximum(np.abs(weights).max(axis=0), 1e-30) / 127.0
    small = np.clip(np.round(weights / scale), -127, 127).astype(np.int8)
    single = graph.op("Cast", x, to=1)
    wide = graph.op("DequantizeLinear", graph.constant(small), graph.constant(scale.astype(np.float32)), axis=1)
    return (single @ wide).number()


def _none(graph: Graph, x: Value) -> Value:
    """(N,) rows without any value."""
    known = graph.op("Not", x.is_nan()).number().total(1)
    return known <= 0.0


def _strangeness(short: Floats, per_tree: float) -> Floats:
    return np.asarray(2.0 ** (short / per_tree))


def _short(levels: Floats, per_tree: float) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log2(levels) * per_tree)
