"""Results to records: what occurs, and then every column of the records in one pass over the results."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trunkline.core.compiled import compiled

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Floats = NDArray[np.float64]
Marks = NDArray[np.uint8]

IS_PLAIN, IS_BINS, PER_SECOND = 0, 1, 2  # columns of the marks
NAME, DIMENSION, OWN_NAME, OWN_DIMENSION, BINS = 0, 1, 2, 3, 4  # columns of the words


@compiled
def meet(first: Ints, object_of: Ints, counter_of: Ints, group_of: Ints, counters: int, results: Ints, numbers: Ints, longest: Ints) -> None:
    """Count of each group and counter its results and numbers, and the most numbers in one result.

    *group_of* says of an object which group it is in; a place in the three counts is ``group * counters + counter``.
    """
    for k in range(object_of.size):
        place = group_of[object_of[k]] * counters + counter_of[k]
        size = first[k + 1] - first[k]
        results[place] += 1
        numbers[place] += size
        longest[place] = max(longest[place], size)


@compiled
def unfold(
    first: Ints,
    object_of: Ints,
    counter_of: Ints,
    group_of: Ints,
    counters: int,
    given: Floats,
    of_object: Ints,
    of_info: Ints,
    meaning_of: Codes,
    marks: Marks,
    scales: Floats,
    wraps_at: Floats,
    words: Codes,
    bins: Codes,
    elements: NDArray[np.unsignedinteger],
    classes: NDArray[np.unsignedinteger],
    names: NDArray[np.unsignedinteger],
    dimensions: NDArray[np.unsignedinteger],
    ats: Ints,
    periods: Codes,
    values: Floats,
    suspects: NDArray[np.bool_],
    known_ats: Ints,
    sources: NDArray[np.unsignedinteger],
    wraps: Floats,
    rows_of_file: Ints,
    others: Ints,
) -> None:
    """Fill the columns of the records, one row for each number of the plain results; the rest are told in *others*.

    Columns: of an object its element, class, suspect, info; of an info its start, period, time known, file. *meaning_of* gives for
    a place (as in :func:`meet`) the row of *marks*, *scales*, *wraps_at*, *words*: columns of words are the name and the
    dimension as the map says them, both as the vendor says them, and where in *bins* the dimensions of many numbers begin.
    """
    row = aside = 0
    for k in range(object_of.size):
        thing = object_of[k]
        meaning = meaning_of[group_of[thing] * counters + counter_of[k]]
        if not marks[meaning, IS_PLAIN]:
            others[aside] = k
            aside += 1
            continue
        begin, end = first[k], first[k + 1]
        info = of_object[thing, 3]
        many = end - begin != 1
        is_mapped = not many or marks[meaning, IS_BINS]
        factor = scales[meaning] if is_mapped else 1.0
        if is_mapped and marks[meaning, PER_SECOND]:
            factor = factor / max(of_info[info, 1], 1)
        name = words[meaning, NAME if is_mapped else OWN_NAME]
        word = words[meaning, DIMENSION if is_mapped else OWN_DIMENSION]
        bin_of = words[meaning, BINS]
        wrap = wraps_at[meaning] * factor
        rows_of_file[of_info[info, 3]] += end - begin
        for number in range(begin, end):
            elements[row] = of_object[thing, 0]
            classes[row] = of_object[thing, 1]
            names[row] = name
            dimensions[row] = bins[bin_of + number - begin] if many else word
            ats[row] = of_info[info, 0]
            periods[row] = of_info[info, 1]
            values[row] = given[number] * factor
            suspects[row] = of_object[thing, 2] != 0
            known_ats[row] = of_info[info, 2]
            sources[row] = of_info[info, 3]
            wraps[row] = wrap
            row += 1
