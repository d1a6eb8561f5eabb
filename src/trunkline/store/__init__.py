"""What rests: the database, the journal, keys, blobs, the intake and the lake.

Importing this package loads nothing heavy: each name below brings its module when it is first used.

    database   open_database, transaction, reading, metadata, prepare
    keys       open_key, SigningKey, PublicKey
    journal    Journal, Entry, Checkpoint, Verification, verify_export
    merkle     the RFC 6962 arithmetic behind the journal (import the module itself)
    blobs      Blobs
    intake     Intake, Arrival, Quarantined
    lake       Lake, Layout, STANDARD
    dataset    dataset_hash
    check      check_store, the contract of a store
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline.store.blobs import Blobs
    from trunkline.store.check import check_store
    from trunkline.store.database import metadata, open_database, prepare, reading, transaction
    from trunkline.store.dataset import dataset_hash
    from trunkline.store.intake import Arrival, Intake, Quarantined
    from trunkline.store.journal import Checkpoint, Entry, Journal, Verification, verify_export
    from trunkline.store.keys import PublicKey, SigningKey, open_key
    from trunkline.store.lake import STANDARD, Lake, Layout

__all__ = [
    "STANDARD",
    "Arrival",
    "Blobs",
    "Checkpoint",
    "Entry",
    "Intake",
    "Journal",
    "Lake",
    "Layout",
    "PublicKey",
    "Quarantined",
    "SigningKey",
    "Verification",
    "check_store",
    "dataset_hash",
    "metadata",
    "open_database",
    "open_key",
    "prepare",
    "reading",
    "transaction",
    "verify_export",
]

_WHERE = {
    "blobs": ("Blobs",),
    "check": ("check_store",),
    "database": ("metadata", "open_database", "prepare", "reading", "transaction"),
    "intake": ("Arrival", "Intake", "Quarantined"),
    "journal": ("Checkpoint", "Entry", "Journal", "Verification", "verify_export"),
    "keys": ("PublicKey", "SigningKey", "open_key"),
    "dataset": ("dataset_hash",),
    "lake": ("STANDARD", "Lake", "Layout"),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}


def __getattr__(name: str) -> Any:
    # SQLAlchemy and cryptography cost a few tenths of a second: a command that only lists files need not pay.
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
