"""A long journal is verified by two processes at once, which must agree on the signed checkpoint where they meet.

The first starts from nothing, the second from the interior nodes kept at that checkpoint: these are believed only because
they lead to its signed root, and the first half is shown to lead to the very same. Anything but "all good" is found again,
and named exactly, by one process from the beginning. Measured: nine tenths of verifying is hashing and reading, one core each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from sqlalchemy import Connection, func, select

from trunkline.store.database import open_database, reading
from trunkline.store.journal_rows import Ahead, checkpoints, node_in, sealed, size_of
from trunkline.store.keys import PublicKey
from trunkline.store.merkle import Frontier, peaks_of
from trunkline.store.verification import CheckpointRow, check_group, check_place, verify_log

FROM = 200_000
"""So many entries make starting a second process (under a second) worth it."""


def are_good(connection: Connection, key: PublicKey) -> bool:
    """Whether both halves of a long journal are as signed; False also where that was not tried or could not be told."""
    size = size_of(connection)
    database = connection.engine.url.database
    if size < FROM or connection.dialect.name != "sqlite" or not database or (os.cpu_count() or 1) < 2:
        return False
    # A little more than half for the first: the second has to be started.
    middle = connection.execute(select(func.min(checkpoints.c.size)).where(checkpoints.c.size >= size * 5 // 9)).scalar_one()
    if not isinstance(middle, int) or not 0 < middle < size:
        return False
    command = [sys.executable, "-m", "trunkline.store.verify_halves", str(Path(database).resolve()), str(middle), str(size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as second:
        assert second.stdin is not None
        second.stdin.write(key.pem)
        second.stdin.close()
        second.stdin = None
        last = [b""]

        def first_rows() -> Iterator[CheckpointRow]:
            for row in takewhile(lambda row: row.size <= middle, sealed(connection)):
                last[0] = row.root
                yield row

        first = verify_log(first_rows(), Ahead(connection).between, key)
        if not first.ok or first.entries != middle:
            second.kill()
            return False
        answer, _ = second.communicate()
    try:
        told = json.loads(answer)
    except ValueError:
        return False
    return second.returncode == 0 and told == {"met": last[0].hex(), "size": size}


def _second(connection: Connection, middle: int, size: int, key: PublicKey) -> dict[str, object]:
    """Verify the groups after checkpoint *middle*; the root it started from, and how far it got."""
    node = node_in(connection)
    log = Frontier(middle, [node(level, index) for level, index in peaks_of(middle)])
    met, ahead = log.root(), Ahead(connection)
    for row in takewhile(lambda row: row.size <= size, sealed(connection, middle)):
        check_place(row, log.size)
        log = check_group(row, ahead.between(row.since, row.size), log, key)
    return {"met": met.hex(), "size": log.size}


def main() -> None:
    """What the second process does: path, middle and size as arguments, the public key on stdin, the finding on stdout; a fault ends it."""
    path, middle, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    engine = open_database(path)
    try:
        with reading(engine) as connection:
            sys.stdout.write(json.dumps(_second(connection, middle, size, PublicKey(sys.stdin.buffer.read()))))
    finally:
        engine.dispose()


if __name__ == "__main__":
    main()
