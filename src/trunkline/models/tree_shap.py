"""Exact Shapley values of a sum of trees (S. Lundberg et al., "Consistent Individualized Feature Attribution for Tree Ensembles", 2018).

What a feature is worth is the mean change it makes over all orders in which features may become known; an unknown one
goes both ways, by the training rows below each. The paper's recursion down the tree is here one pass per leaf: the
features on the way to a leaf, each with whether the row goes that way and the share of rows that do, give the leaf's
part of every value. 150 times the cost of path reasons, so it runs when a person asks.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trunkline.models.protocol import Floats

Ints = npt.NDArray[np.int32]


def contributions(
    root: Ints, feature: Ints, left: Ints, right: Ints, value: Floats, cover: Floats, goes_left: npt.NDArray[np.bool_], depth: int, out: Floats
) -> None:
    """Into *out* (F,): the Shapley value of each feature for one row.

    Parameters
    ----------
    cover
        Training rows below each node.
    goes_left
        Which way the row goes at each node.
    depth
        Steps to the deepest leaf.
    out
        One number for each feature, written over.
    """
    out[:] = 0.0
    waiting, level = np.zeros(2 * depth + 2, dtype=np.int32), np.zeros(2 * depth + 2, dtype=np.int32)
    way = np.zeros(depth + 1, dtype=np.int32)  # the nodes from the root down to where we are
    own, share, follows = np.zeros(depth + 1, dtype=np.int32), np.zeros(depth + 1), np.zeros(depth + 1)
    weight, inverse = np.zeros(depth + 2), 1.0 / np.maximum(np.arange(depth + 3), 1)
    for start in root:
        waiting[0], level[0], left_over = start, 0, 1
        while left_over > 0:
            left_over -= 1
            node, at = waiting[left_over], level[left_over]
            way[at] = node
            if left[node] != node:
                waiting[left_over], level[left_over] = right[node], at + 1
                waiting[left_over + 1], level[left_over + 1] = left[node], at + 1
                left_over += 2
                continue
            n = 0
            for k in range(at):  # a feature asked twice on the way is one feature
                parent, child = way[k], way[k + 1]
                is_followed = 1.0 if (child == left[parent]) == goes_left[parent] else 0.0
                passed = cover[child] / cover[parent] if cover[parent] > 0.0 else 0.5
                j = 0
                while j < n and own[j] != feature[parent]:
                    j += 1
                if j == n:
                    own[j], share[j], follows[j] = feature[parent], 1.0, 1.0
                    n += 1
                share[j] *= passed
                follows[j] *= is_followed
            is_reached = True
            for j in range(n):
                is_reached = is_reached and (share[j] > 0.0 or follows[j] > 0.0)
            if not is_reached:  # neither a training row nor this one comes here
                continue
            weight[0] = 1.0
            for j in range(n):  # weight[i]: of the orders in which i of the features so far are known
                here = inverse[j + 2]
                yes, no = follows[j] * here, share[j] * here
                weight[j + 1] = 0.0
                for i in range(j, -1, -1):
                    weight[i + 1] += yes * weight[i] * (i + 1)
                    weight[i] *= no * (j + 1 - i)
            left_out = 0.0  # what a feature the row does not follow takes from the leaf is the same for each of them
            for i in range(n):
                left_out += weight[i] * inverse[n - i]
            left_out *= (n + 1) * value[node]
            for j in range(n):
                if follows[j] == 0.0:
                    out[own[j]] -= left_out
                    continue
                total, above, back = 0.0, weight[n], share[j] * inverse[n + 1]
                for i in range(n - 1, -1, -1):  # taken out of the weights again
                    part = above * (n + 1) * inverse[i + 1]
                    total += part
                    above = weight[i] - part * back * (n - i)
                out[own[j]] += total * (1.0 - share[j]) * value[node]
