"""The byte scan of measurement files: where things stand, and the results as numbers; :mod:`trunkline.data.pm_scan` is the way in.

It knows one plain way to write a file and nothing else. At the first byte that is not in it, it says so and the
whole file goes to the full parser, so there is nothing here to guess: no entity, comment, prefix or odd nesting inside a
measValue, no attribute but the one expected, no number that would be refused. What stands outside the measValue
elements is not read here but handed to expat.

A number of at most 19 digits whose digits fit 53 bits and whose power of ten is at most 22 needs one exact
multiplication or division (Clinger 1990, "How to read floating point numbers accurately"); any other is left to Python.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from trunkline.core.compiled import compiled

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NONE, EXACT, OPEN, WRONG = 0, 1, 2, 3

_MEAS_INFO = np.frombuffer(b"measInfo", dtype=np.uint8)
_MEAS_VALUE = np.frombuffer(b"measValue", dtype=np.uint8)
_MEAS_RESULTS = np.frombuffer(b"measResults", dtype=np.uint8)
_SUSPECT = np.frombuffer(b"suspect", dtype=np.uint8)
_OBJECT_NAME = np.frombuffer(b"measObjLdn", dtype=np.uint8)
_R = np.frombuffer(b"r", dtype=np.uint8)
_TRUE = np.frombuffer(b"true", dtype=np.uint8)
_FALSE = np.frombuffer(b"false", dtype=np.uint8)
_NIL = np.frombuffer(b"nil", dtype=np.uint8)
_NULL = np.frombuffer(b"null", dtype=np.uint8)
_NAN = np.frombuffer(b"nan", dtype=np.uint8)
_N_A = np.frombuffer(b"n/a", dtype=np.uint8)
_NO_VALUE = np.frombuffer(b"none", dtype=np.uint8)
_POWERS = 10.0 ** np.arange(23)
_LONGEST_NUMBER = 400
_ALWAYS_EXACT = 15  # digits of a whole number
_LONGEST_NAME = 4096
_LONGEST_TEXT = 1_000_000
_LT, _GT, _SLASH, _EQUALS, _COMMA, _DOT, _ZERO, _PLUS, _MINUS = 60, 62, 47, 61, 44, 46, 48, 43, 45
_BANG, _QUESTION, _AMPERSAND, _QUOTE, _APOSTROPHE = 33, 63, 38, 34, 39


@compiled
def _space(byte: int) -> bool:
    return byte in (32, 10, 9, 13)


@compiled
def _blank(data: Bytes, at: int, end: int) -> int:
    """The first place from *at* that is no white space; more than 64 KiB of it are not gone through."""
    end = min(end, at + 65536)
    while at < end and _space(data[at]):
        at += 1
    return at


@compiled
def _stands(data: Bytes, at: int, end: int, word: Bytes) -> bool:
    if at + word.size > end:
        return False
    for k in range(word.size):  # noqa: SIM110 - compiled
        if data[at + k] != word[k]:
            return False
    return True


@compiled
def _says(data: Bytes, at: int, end: int, word: Bytes) -> bool:
    """Whether *word*, in small or capital letters, is all there is."""
    if end - at != word.size:
        return False
    for k in range(word.size):
        byte = data[at + k]
        if (byte | 32 if 65 <= byte <= 90 else byte) != word[k]:
            return False
    return True


@compiled
def _tag(data: Bytes, at: int, end: int, word: Bytes) -> bool:
    """Whether the name *word* stands at *at* and is whole."""
    if not _stands(data, at, end, word) or at + word.size >= end:
        return False
    after = data[at + word.size]
    return _space(after) or after in (_GT, _SLASH)


@compiled
def _closed(data: Bytes, at: int, end: int, word: Bytes) -> int:
    """Where the end tag ``</word>`` that must stand at *at* is over; -1 where it does not."""
    if at + 2 > end or data[at] != _LT or data[at + 1] != _SLASH or not _stands(data, at + 2, end, word):
        return -1
    at = _blank(data, at + 2 + word.size, end)
    return at + 1 if at < end and data[at] == _GT else -1


@compiled
def read_number(data: Bytes, at: int, end: int) -> tuple[int, float]:
    """What the text from *at* to *end* says, stripped already: no value, a number, a number for Python, or neither."""
    if at == end:
        return NONE, 0.0
    start = at
    negative = data[at] == _MINUS
    if negative or data[at] == _PLUS:
        at += 1
    mantissa = types.uint64(0)
    digits, kept, shift = 0, 0, 0
    while at < end and 48 <= data[at] <= 57:
        digits += 1
        if kept < 19:
            mantissa = mantissa * types.uint64(10) + types.uint64(data[at] - _ZERO)
            kept += 1 if mantissa else 0
        else:
            kept += 1
        at += 1
    if at < end and data[at] == _DOT:
        at += 1
        while at < end and 48 <= data[at] <= 57:
            digits += 1
            if kept < 19:
                mantissa = mantissa * types.uint64(10) + types.uint64(data[at] - _ZERO)
                kept += 1 if mantissa else 0
            else:
                kept += 1
            shift -= 1
            at += 1
    if digits == 0:
        is_nothing = _says(data, start, end, _NIL) or _says(data, start, end, _NULL) or _says(data, start, end, _NAN)
        is_nothing = is_nothing or _says(data, start, end, _N_A) or _says(data, start, end, _NO_VALUE)
        return (NONE if is_nothing else WRONG), 0.0
    if at < end and data[at] in (101, 69):
        at += 1
        down = at < end and data[at] == _MINUS
        if at < end and data[at] in (_PLUS, _MINUS):
            at += 1
        if at == end:
            return WRONG, 0.0
        power = 0
        while at < end and 48 <= data[at] <= 57:
            power = min(power * 10 + (data[at] - _ZERO), 1_000_000)
            at += 1
        shift += -power if down else power
    if at != end or end - start > _LONGEST_NUMBER:
        return WRONG, 0.0
    if kept > 19 or mantissa > types.uint64(9007199254740992) or shift < -22 or shift > 22:
        return OPEN, 0.0
    number = float(mantissa)
    number = number * _POWERS[shift] if shift >= 0 else number / _POWERS[-shift]
    return EXACT, (-number if negative else number)


@compiled
def scan(
    data: Bytes, start: int, infos: Ints, objects: Ints, first_results: Ints, places: NDArray[np.int32], first_numbers: Ints, numbers: Floats, hard: Ints
) -> tuple[int, int, int, int, int]:
    """Go through *data* from *start*, filling the arrays; how many measInfos, objects, results, numbers and open numbers.

    Columns: of a measInfo where it begins, where its values begin, where it ends; of an object where its name begins and
    ends, whether it is suspect, whether its results are a list, its measInfo; of a number left open where it goes, begins, ends.
    A number that the file says is none is NaN: no other can be. ``first_results`` has one entry more than there are
    objects, ``first_numbers`` one more than results. The first count is -1 where the full parser must read the file.
    """
    end = data.size
    n_infos = n_objects = n_results = n_numbers = n_hard = 0
    no = (-1, 0, 0, 0, 0)
    at = start
    while True:
        while at < end and data[at] != _LT:
            at += 1
        if at + 1 >= end:
            break
        if data[at + 1] in (_BANG, _QUESTION):
            return no
        if not _tag(data, at + 1, end, _MEAS_INFO):
            at += 1
            continue
        infos[n_infos, 0] = at
        at += 1
        while True:  # to the first measValue: what stands before it is expat's
            while at < end and data[at] != _LT:
                at += 1
            if at + 1 >= end or data[at + 1] in (_BANG, _QUESTION) or _stands(data, at + 1, end, _MEAS_INFO):
                return no
            if _tag(data, at + 1, end, _MEAS_VALUE) or (data[at + 1] == _SLASH and _stands(data, at + 2, end, _MEAS_INFO)):
                break
            at += 1
        infos[n_infos, 1] = at
        while _tag(data, at + 1, end, _MEAS_VALUE):
            # the name
            at = _blank(data, at + 10, end)
            if not _stands(data, at, end, _OBJECT_NAME) or not _space(data[at - 1]):
                return no
            at = _blank(data, at + 10, end)
            if at >= end or data[at] != _EQUALS:
                return no
            at = _blank(data, at + 1, end)
            if at >= end or data[at] not in (_QUOTE, _APOSTROPHE):
                return no
            quote = data[at]
            at += 1
            objects[n_objects, 0] = at
            while at < end and data[at] != quote:
                if data[at] < 32 or data[at] in (_AMPERSAND, _LT):
                    return no
                at += 1
            objects[n_objects, 1] = at
            if at - objects[n_objects, 0] > _LONGEST_NAME:
                return no
            objects[n_objects, 2], objects[n_objects, 3], objects[n_objects, 4] = 0, 0, n_infos
            first_results[n_objects] = n_results
            at = _blank(data, at + 1, end)
            if at >= end or data[at] != _GT:
                return no
            at += 1
            # what it holds
            has_suspect = False
            while True:
                at = _blank(data, at, end)
                if at + 2 >= end or data[at] != _LT:
                    return no
                if data[at + 1] == 114:  # r
                    at = _blank(data, at + 2, end)
                    if at >= end or data[at] != 112 or not _space(data[at - 1]) or objects[n_objects, 3]:
                        return no
                    at = _blank(data, at + 1, end)
                    if at >= end or data[at] != _EQUALS:
                        return no
                    at = _blank(data, at + 1, end)
                    if at >= end or data[at] not in (_QUOTE, _APOSTROPHE):
                        return no
                    quote = data[at]
                    at += 1
                    place, first = 0, at
                    while at < end and 48 <= data[at] <= 57 and at - first < 10:
                        place = place * 10 + (data[at] - _ZERO)
                        at += 1
                    if at >= end or data[at] != quote or at - first > 9 or at == first or data[first] == _ZERO:
                        return no
                    places[n_results] = place
                    first_numbers[n_results] = n_numbers
                    n_results += 1
                    at = _blank(data, at + 1, end)
                    if at + 1 < end and data[at] == _SLASH and data[at + 1] == _GT:
                        numbers[n_numbers] = np.nan
                        n_numbers += 1
                        at += 2
                        continue
                    if at >= end or data[at] != _GT:
                        return no
                    at += 1
                    opened = at
                    while True:  # the numbers between commas
                        first, whole = at, 0
                        while at < end and 48 <= data[at] <= 57:
                            whole = whole * 10 + (data[at] - _ZERO)
                            at += 1
                        if at < end and 0 < at - first <= _ALWAYS_EXACT and data[at] in (_COMMA, _LT):  # most of them
                            numbers[n_numbers] = whole
                            n_numbers += 1
                            if data[at] == _LT:
                                break
                            at += 1
                            continue
                        at = first = _blank(data, first, end)
                        while at < end and data[at] != _LT and data[at] != _COMMA:
                            at += 1
                        if at >= end:
                            return no
                        last = at
                        while last > first and _space(data[last - 1]):
                            last -= 1
                        kind, number = read_number(data, first, last)
                        if kind == WRONG:
                            return no
                        if kind == OPEN:
                            hard[n_hard, 0], hard[n_hard, 1], hard[n_hard, 2] = n_numbers, first, last
                            n_hard += 1
                        numbers[n_numbers] = np.nan if kind == NONE else number
                        n_numbers += 1
                        if data[at] == _LT:
                            break
                        at += 1
                    if at - opened > _LONGEST_TEXT:
                        return no
                    at = _closed(data, at, end, _R)
                    if at < 0:
                        return no
                elif _tag(data, at + 1, end, _MEAS_RESULTS):
                    at = _blank(data, at + 12, end)
                    if at >= end or data[at] != _GT or objects[n_objects, 3] or n_results > first_results[n_objects]:
                        return no
                    objects[n_objects, 3] = 1
                    at += 1
                    opened = at
                    while True:  # the results between white space
                        at = _blank(data, at, end)
                        if at >= end:
                            return no
                        if data[at] == _LT:
                            break
                        places[n_results] = 0
                        first_numbers[n_results] = n_numbers
                        n_results += 1
                        while True:
                            first, whole = at, 0
                            while at < end and 48 <= data[at] <= 57:
                                whole = whole * 10 + (data[at] - _ZERO)
                                at += 1
                            if at < end and 0 < at - first <= _ALWAYS_EXACT and (data[at] in (_COMMA, _LT) or _space(data[at])):
                                numbers[n_numbers] = whole
                                n_numbers += 1
                                if data[at] != _COMMA:
                                    break
                                at += 1
                                continue
                            at = first
                            while at < end and data[at] != _LT and data[at] != _COMMA and not _space(data[at]):
                                at += 1
                            if at >= end:
                                return no
                            kind, number = read_number(data, first, at)
                            if kind == WRONG:
                                return no
                            if kind == OPEN:
                                hard[n_hard, 0], hard[n_hard, 1], hard[n_hard, 2] = n_numbers, first, at
                                n_hard += 1
                            numbers[n_numbers] = np.nan if kind == NONE else number
                            n_numbers += 1
                            if data[at] != _COMMA:
                                break
                            at += 1
                    if at - opened > _LONGEST_TEXT:
                        return no
                    at = _closed(data, at, end, _MEAS_RESULTS)
                    if at < 0:
                        return no
                elif _tag(data, at + 1, end, _SUSPECT):
                    at = _blank(data, at + 8, end)
                    if at >= end or data[at] != _GT or has_suspect:
                        return no
                    has_suspect = True
                    at = _blank(data, at + 1, end)
                    first = at
                    while at < end and data[at] != _LT and not _space(data[at]):
                        at += 1
                    last = at
                    at = _blank(data, at, end)
                    if _says(data, first, last, _TRUE) or (last - first == 1 and data[first] == 49):
                        objects[n_objects, 2] = 1
                    elif not (_says(data, first, last, _FALSE) or (last - first == 1 and data[first] == _ZERO)):
                        return no
                    at = _closed(data, at, end, _SUSPECT)
                    if at < 0:
                        return no
                else:
                    at = _closed(data, at, end, _MEAS_VALUE)
                    if at < 0:
                        return no
                    break
            n_objects += 1
            at = _blank(data, at, end)
            if at + 1 >= end or data[at] != _LT:
                return no
        at = _closed(data, at, end, _MEAS_INFO)
        if at < 0:
            return no
        infos[n_infos, 2] = at
        n_infos += 1
    first_results[n_objects] = n_results
    first_numbers[n_results] = n_numbers
    return n_infos, n_objects, n_results, n_numbers, n_hard


@compiled
def match(
    n_objects: int, objects: Ints, first_results: Ints, places: NDArray[np.int32], headers: Ints, first_types: Ints, at_place: Ints, counters: Ints, out: Ints
) -> bool:
    """Which counter each result is of; False where one has none, or stands twice, or a list is too long or short.

    *headers* says of a measInfo which header it has, *first_types* of a header where its types begin in *at_place* and
    *counters*: the place and the counter of each.
    """
    for number in range(n_objects):
        header = headers[objects[number, 4]]
        first, types_of = first_types[header], first_types[header + 1] - first_types[header]
        begin, results = first_results[number], first_results[number + 1] - first_results[number]
        if objects[number, 3]:
            if results != types_of:
                return False
            for k in range(results):
                out[begin + k] = counters[first + k]
            continue
        in_order = True
        for k in range(results):
            if k >= types_of or places[begin + k] != at_place[first + k]:
                in_order = False
                break
            out[begin + k] = counters[first + k]
        if in_order:
            continue
        for k in range(results):
            wanted = places[begin + k]
            found = -1
            for j in range(types_of):
                if at_place[first + (k + j) % types_of] == wanted:
                    found = (k + j) % types_of
                    break
            if found < 0:
                return False
            out[begin + k] = counters[first + found]
        if results > types_of or _any_twice(places[begin : begin + results]):
            return False
    return True


@compiled
def _any_twice(places: NDArray[np.int32]) -> bool:
    ordered = np.sort(places)
    for k in range(1, ordered.size):  # noqa: SIM110 - compiled
        if ordered[k] == ordered[k - 1]:
            return True
    return False


@compiled
def spread(
    rows: Ints, first: Ints, numbers: Floats, factors: Floats, words: NDArray[np.int32], bins: NDArray[np.int32], values: Floats, dimensions: NDArray[np.int32]
) -> int:
    """One record for each number of the results *rows*: its value times the result's factor, and its word; how many.

    A result of one number has the word in *words*; of many, each number the one of its place in the row of *bins* that *words* names.
    """
    at = 0
    for k in range(rows.size):
        begin, end = first[rows[k]], first[rows[k] + 1]
        if end - begin == 1:
            values[at], dimensions[at] = numbers[begin] * factors[k], words[k]
            at += 1
            continue
        for nth in range(end - begin):
            values[at], dimensions[at] = numbers[begin + nth] * factors[k], bins[words[k], nth]
            at += 1
    return at


@compiled
def look_up(data: Bytes, n_objects: int, objects: Ints, contexts: Ints, table: Ints, kept: Bytes, begins: Ints, codes: Ints) -> None:
    """The code of each object's name in its context, as entered by :func:`enter`; -1 for one that is new.

    *table* has a power of two of rows: hash and code, -1 where free. The names themselves lie in *kept*, so that none is taken for another.
    """
    mask = table.shape[0] - 1
    for number in range(n_objects):
        begin, end = objects[number, 0], objects[number, 1]
        context = contexts[objects[number, 4]]
        hashed = _hash(data, begin, end, context)
        slot = hashed & mask
        found = np.int64(-1)
        while table[slot, 1] >= 0:
            code = table[slot, 1]
            if table[slot, 0] == hashed and _is_kept(data, begin, end, context, kept, begins, code):
                found = code
                break
            slot = (slot + 1) & mask
        codes[number] = found


@compiled
def enter(data: Bytes, begin: int, end: int, context: int, code: int, table: Ints, kept: Bytes, begins: Ints) -> None:
    """Enter a name of a context under the next *code*; ``begins[code]`` says where it goes in *kept*, eight bytes of context first."""
    mask = table.shape[0] - 1
    hashed = _hash(data, begin, end, context)
    slot = hashed & mask
    while table[slot, 1] >= 0:
        slot = (slot + 1) & mask
    table[slot, 0], table[slot, 1] = hashed, code
    at = begins[code]
    for k in range(8):
        kept[at + k] = (context >> (8 * k)) & 255
    for k in range(end - begin):
        kept[at + 8 + k] = data[begin + k]
    begins[code + 1] = at + 8 + end - begin


@compiled
def enter_again(entered: Ints, table: Ints) -> None:
    """The rows of a table into a larger one."""
    mask = table.shape[0] - 1
    for k in range(entered.shape[0]):
        slot = entered[k, 0] & mask
        while table[slot, 1] >= 0:
            slot = (slot + 1) & mask
        table[slot, 0], table[slot, 1] = entered[k, 0], entered[k, 1]


@compiled
def _hash(data: Bytes, begin: int, end: int, context: int) -> np.int64:
    mixed = types.uint64(1469598103934665603) ^ types.uint64(context)
    for k in range(begin, end):
        mixed = (mixed ^ types.uint64(data[k])) * types.uint64(1099511628211)
    return types.int64(mixed >> types.uint64(2))


@compiled
def _is_kept(data: Bytes, begin: int, end: int, context: int, kept: Bytes, begins: Ints, code: int) -> bool:
    at = begins[code]
    if begins[code + 1] - at - 8 != end - begin:
        return False
    for k in range(8):
        if kept[at + k] != (context >> (8 * k)) & 255:
            return False
    for k in range(end - begin):  # noqa: SIM110 - compiled
        if data[begin + k] != kept[at + 8 + k]:
            return False
    return True
