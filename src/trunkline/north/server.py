"""The REST interface in a process of its own, beside the one that owns the workspace.

It reads the catalogue and the lake itself and hands changes over as commands, so a long training never keeps a client
waiting, and a fault here never touches a decision. HTTP/1.1 and h2c on one port; TLS where a certificate is named.
"""

from __future__ import annotations

import ipaddress
import multiprocessing
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from trunkline import workspace as workspaces
from trunkline.core import log as logs
from trunkline.core.errors import BadInput, NotAllowed
from trunkline.core.extras import need
from trunkline.workspace import Workspace

PORT = 8470
PLACES = 1024
"""So many requests may be under way at a time, listeners to the stream among them; more wait in line."""
HEADERS_WITHIN_MS = 5_000
"""Who has not said by then what is wanted loses the connection."""
log = logs.logger("http")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Where it listens.

    Parameters
    ----------
    address
        Loopback unless said otherwise.
    port
        0 takes a free one.
    hosts
        Further names by which clients may call it: the name in a certificate, a proxy's.
    certificate, private_key
        PEM files for TLS; needed for any address but loopback, unless ``behind_proxy``.
    behind_proxy
        Somebody else ends TLS in front of it.
    """

    address: str = "127.0.0.1"
    port: int = PORT
    hosts: tuple[str, ...] = ()
    certificate: Path | None = None
    private_key: Path | None = None
    behind_proxy: bool = False

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.private_key is None):
            raise BadInput("TLS needs a certificate and its private key.", allowed="both or neither")
        if not self.is_loopback and self.certificate is None and not self.behind_proxy:
            raise NotAllowed(
                f"{self.address} can be reached from other machines, and keys would travel in the clear.",
                allowed="a loopback address, or TLS",
                next_step="Name --certificate and --private-key, or --behind-proxy where a proxy ends TLS.",
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            return self.address == "localhost"

    @property
    def names(self) -> tuple[str, ...]:
        """Every host name it answers to."""
        shown = f"[{self.address}]" if ":" in self.address else self.address
        own = ("127.0.0.1", "localhost", "[::1]") if self.is_loopback else (shown,)
        return tuple(dict.fromkeys((*own, shown, *self.hosts)))


class Server:
    """A running interface; :meth:`stop` ends it. It ends by itself when the process that started it does."""

    def __init__(self, folder: Path, binding: Binding, flags: Mapping[str, str] | None = None) -> None:
        _need_libraries()
        self.binding = binding if binding.port else _with_free_port(binding)
        _must_be_free(self.binding)
        spawn = multiprocessing.get_context("spawn")
        self._process = spawn.Process(target=_serve, args=(str(folder), self.binding, dict(flags or {}), os.getpid()), name="trunkline-http")
        self._process.start()

    @property
    def url(self) -> str:
        """Where it answers."""
        host = f"[{self.binding.address}]" if ":" in self.binding.address else self.binding.address
        return f"{'https' if self.binding.certificate else 'http'}://{host}:{self.binding.port}"

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self._process.is_alive()

    def stop(self, within_s: float = 5.0) -> None:
        """End it: requests begun are answered first, for at most *within_s* seconds."""
        self._process.terminate()
        self._process.join(within_s)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def answering(binding: Binding, flags: Mapping[str, str] | None = None) -> Callable[[Workspace, Event], None]:
    """What a service runs beside itself to answer over HTTP; a server that ended is started again, with growing pauses."""
    _need_libraries()
    fixed = binding if binding.port else _with_free_port(binding)
    _must_be_free(fixed)

    def answer(workspace: Workspace, over: Event) -> None:
        pause = 1.0
        while not over.is_set():
            server = Server(workspace.store.folder, fixed, flags)
            log.info("answering over HTTP", extra={"url": server.url})
            while server.is_alive and not over.wait(0.2):
                pass
            server.stop(within_s=3.0)
            if not over.wait(pause):
                log.warning("the HTTP server ended and is started again", extra={"after_s": pause})
            pause = min(pause * 2, 60.0)

    return answer


def _serve(folder: str, binding: Binding, flags: Mapping[str, str], parent: int) -> None:
    import asyncio

    asyncio.run(_run(folder, binding, flags, parent))


async def _run(folder: str, binding: Binding, flags: Mapping[str, str], parent: int) -> None:
    import asyncio
    import signal

    from granian.constants import Interfaces
    from granian.http import HTTP1Settings
    from granian.server.embed import Server as Granian

    from trunkline.north.application import application

    with workspaces.open(folder, flags=flags) as opened:
        logs.set_up(opened.configuration.settings.log)
        app = application(opened, hosts=binding.names)
        server = Granian(
            app,
            address=binding.address,
            port=binding.port,
            interface=Interfaces.ASGI,
            ssl_cert=binding.certificate,
            ssl_key=binding.private_key,
            backlog=PLACES,
            backpressure=PLACES,
            http1_settings=HTTP1Settings(header_read_timeout=HEADERS_WITHIN_MS),
            log_enabled=False,
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)

        async def ends_with_its_parent() -> None:
            while os.getppid() == parent:  # noqa: ASYNC110 - nobody tells a process that its parent is gone
                await asyncio.sleep(1)
            server.stop()  # type: ignore[no-untyped-call]

        watching = asyncio.ensure_future(ends_with_its_parent())
        try:
            await server.serve()
        finally:
            watching.cancel()


def _need_libraries() -> None:
    for module in ("granian", "fastapi", "prometheus_client"):
        need(module, extra="serve")


def _with_free_port(binding: Binding) -> Binding:
    with socket.create_server((binding.address, 0), family=_family(binding)) as held:
        return replace(binding, port=held.getsockname()[1])


def _must_be_free(binding: Binding) -> None:
    try:
        with socket.create_server((binding.address, binding.port), family=_family(binding)):
            pass
    except OSError as taken:
        raise NotAllowed(
            f"Nothing can listen on {binding.address} port {binding.port}: {taken.strerror}.", next_step="Stop what listens there, or name another: --port"
        ) from taken


def _family(binding: Binding) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in binding.address else socket.AF_INET
