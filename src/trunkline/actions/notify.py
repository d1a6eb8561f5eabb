"""Tell another system of a decision: JSON posted over HTTPS under an idempotency key, or a line in a file."""

from __future__ import annotations

import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from trunkline.actions.protocol import NotDelivered
from trunkline.core.canonical import canonical, plain
from trunkline.core.clock import duration
from trunkline.core.errors import WorkflowError
from trunkline.core.values import Decision, Receipt

_MAY_PASS = frozenset({408, 409, 423, 425, 429})
"""Refusals (below 500) that may be none the next time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Tell *to* of a decision, and tell it again under the same key when the decision is undone.

    At least once: who receives a key twice drops the second (``Idempotency-Key`` of the request, ``key`` in the body).

    Parameters
    ----------
    to
        ``https://…``, the certificate being verified; ``http://`` to this machine only; or ``file:/path`` for one JSON
        line a message.
    timeout
        How long one try may take.
    token_from
        Environment variable that holds a bearer token: secrets stand in no workflow.

    >>> from datetime import UTC
    >>> at = datetime(2026, 11, 20, 8, tzinfo=UTC)
    >>> one = Decision("reset_cell", target="c1", confidence=0.99, id="d1", at=at, known_at=at)
    >>> Notify(to="https://tickets.example/new").message(one, at=at)["target"]
    'c1'
    """

    to: str
    timeout: str = "10s"
    token_from: str = ""

    reversible = True
    """What was told is taken back by a second message."""
    is_outside = True

    def __post_init__(self) -> None:
        parts = urlsplit(self.to)
        is_file = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")
        if not is_file and not (parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and _is_here(parts.hostname)))):
            raise WorkflowError(
                f"'{self.to}' is no place to send a message to.",
                where="act",
                allowed="https://host/path, http://127.0.0.1:port/path on this machine, or file:/absolute/path",
                next_step="act=actions.Notify(to='https://tickets.example/new')",
            )
        if parts.username or parts.password:
            raise WorkflowError("A secret stands in the address.", where="act", next_step="Put it in an environment variable and name that: token_from='…'")
        duration(self.timeout)

    def act(self, decision: Decision, *, at: datetime, dry_run: bool = False) -> Receipt:
        """What would be told, and to whom; telling it is the outbox's to do."""
        detail = {"to": self.to, "message": dict(self.message(decision, at=at))}
        return Receipt(
            decision=decision.id, action="notify", state="dry-run" if dry_run else "proposed", at=at, undo={"tell again": decision.id}, detail=detail
        )

    def message(self, decision: Decision, *, at: datetime, verb: str = "act") -> Mapping[str, Any]:
        """The message about *decision*; for "undo" the one that takes it back."""
        told = {name: plain(getattr(decision, name)) for name in ("action", "target", "confidence", "at", "known_at", "workflow", "release")}
        return {"decision": decision.id, "verb": verb, **told, "reasons": [reason.text for reason in decision.reasons], "said_at": plain(at)}

    def deliver(self, message: Mapping[str, Any], *, key: str) -> Mapping[str, Any]:
        """Send *message*; the status and the beginning of what was answered."""
        content = canonical({**message, "key": key})
        if self.to.startswith("file:"):
            return _write(Path(urlsplit(self.to).path), content)
        headers = {"Content-Type": "application/json", "Idempotency-Key": key, "User-Agent": "trunkline"}
        if self.token_from:
            headers["Authorization"] = f"Bearer {self._token()}"
        request = urllib.request.Request(self.to, data=content, headers=headers, method="POST")  # noqa: S310 - the scheme was checked when it was made
        opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=ssl.create_default_context()))
        try:
            with opener.open(request, timeout=duration(self.timeout).total_seconds()) as answer:
                return {"status": answer.status, "answer": answer.read(500).decode(errors="replace")}
        except urllib.error.HTTPError as refused:
            with refused:
                said = refused.read(200).decode(errors="replace")
            is_final = refused.code < 500 and refused.code not in _MAY_PASS
            raise NotDelivered(f"It was answered {refused.code} {refused.reason}. {said}".rstrip(), is_final=is_final, where=self.to) from refused
        except (OSError, ValueError) as failed:  # ValueError: an answer that is none
            why = getattr(failed, "reason", None) or failed
            raise NotDelivered(f"It did not get through: {why}.", where=self.to) from failed
        except Exception as broken:  # http.client has errors of its own for answers cut short
            raise NotDelivered(f"The answer broke off: {type(broken).__name__}.", where=self.to) from broken

    def _token(self) -> str:
        token = os.environ.get(self.token_from, "")
        if not token:
            raise NotDelivered(f"The environment variable {self.token_from} holds no token.", where=self.to, next_step=f"Set {self.token_from} where it runs.")
        return token


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A message goes where it was sent, and nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _write(path: Path, line: bytes) -> Mapping[str, Any]:
    """Add a line that is whole, or none: one write at the end of the file, synced."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as failed:
        raise NotDelivered(f"The file cannot be written: {failed.strerror}.", where=str(path)) from failed
    return {"written": str(path)}
