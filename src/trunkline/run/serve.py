"""The service: the process that owns a workspace for long, carries out what others ask of it, and lets workflows run.

Each thing it does is a :class:`~trunkline.run.loop.Loop` in a thread of its own, so that none holds up or stops another:

    owner       is the workspace still ours? if not, the service ends
    commands    what others ask that must answer within a second; hands longer ones to the two below
    loading     commands that load, and the folders of the inbox
    asked runs  commands that let a workflow decide
    deployed    begins and ends the loop of each deployed workflow
    workflow X  its step: when its interval passed, and when new data are kept
    chores      proposals that expire, outcomes, alarms of the platform, the witness, the outbox

Queues are tables: what waits is bounded by ``commands_waiting`` and ``inbox_waiting``, and survives the process. A loop that
fails is logged, counted, written down for ``trunkline workspace show``, and tried again with growing pauses.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import Any

from sqlalchemy import select

from trunkline.core import log
from trunkline.core.clock import duration
from trunkline.core.errors import NotAllowed, TrunklineError, WorkspaceError
from trunkline.run import definitions, hand_over, queue, steps
from trunkline.run.deliver import deliver
from trunkline.run.inbox import AT_ONCE, Inbox
from trunkline.run.loop import Loop
from trunkline.run.standing import books
from trunkline.run.watch import watch
from trunkline.store import catalogue, commands, owner, troubles
from trunkline.store.database import reading
from trunkline.store.opened import Store
from trunkline.workflow import Workflow

DEPLOYED = ("live", "canary", "shadow")
LISTEN_S = 0.02
"""How often the service asks whether something was committed; that costs microseconds."""
ASK_S = 0.1
"""How often it asks a database that cannot tell."""
STOPS_WITHIN_S = 4.5
TAKES_WITHIN_S = 10.0
"""How long it waits for a command that owns the workspace to end."""
USUAL_STEP = timedelta(minutes=15)
"""How often a workflow steps that does not say how long its slots are."""

Chore = tuple[str, float, Callable[[Store], object]]
"""What else is to be done for a store: its name, every so many seconds, and how."""
Beside = Callable[[threading.Event], object]
"""Something that runs in a thread of the service until the event is set: the HTTP interface."""

_log = log.logger("serve")


def chores(store: Store) -> list[Chore]:
    """What the owner of a workspace sees to from time to time. Add a chore here."""
    found: list[Chore] = [
        ("expiry", 1.0, queue.expire),
        ("outcomes", 5.0, queue.publish_outcomes),
        ("outbox", 1.0, deliver),
        ("watch", 60.0, _watch),
        ("old answers", 3600.0, commands.tidy),
    ]
    if store.configuration.settings.witness:
        found.append(("witness", 1.0, lambda of: of.journal.send_witness()))
    return found


def _watch(store: Store) -> None:
    for said in watch(store):
        _log.warning("%s", said)


class Service:
    """A service at work; :func:`serve` is how it is used."""

    def __init__(self, store: Store, ownership: owner.Ownership, further: Iterable[Chore] = ()) -> None:
        self.store, self.ownership = store, ownership
        self.over = threading.Event()
        self.lost: TrunklineError | None = None
        self.workflows: dict[str, Loop] = {}
        self._bell: commands.Bell | None = None
        self._rung = threading.Event()
        self._rung.set()
        self._inbox = Inbox(store)
        self._found: dict[str, Workflow] = {}
        self._deployed_as: dict[str, list[tuple[str, str]]] = {}
        self.listening = self._loop("commands", LISTEN_S if store.engine.dialect.name == "sqlite" else ASK_S, self._commands, longest_pause=1.0)
        self.loading = self._loop("loading", min(1.0, self._inbox.settles / 2) if self._inbox.folders else 5.0, self._load)
        self.asked_runs = self._loop("asked runs", 5.0, self._run_asked)
        self.deployed = self._loop("deployed", 5.0, self._deploy)
        # What is looked at rarely is looked at once workflows had their chance: silence that the service itself made is none of theirs.
        seen_to = [
            self._loop(name, every, _seeing_to(chore, store), first_after=60.0 if every >= 60.0 else 0.0) for name, every, chore in (*chores(store), *further)
        ]
        self._loops = [self._loop("owner", 1.0, self._still_ours), self.listening, self.loading, self.asked_runs, self.deployed, *seen_to]

    def start(self) -> None:
        """Begin with everything."""
        commands.ready(self.store)
        steps.keep(self.store)
        troubles.over(self.store.engine)
        hand_over.on_ring(self.store, self._ring)
        for loop in self._loops:
            loop.start()

    def stop(self, within: float = STOPS_WITHIN_S) -> list[str]:
        """Leave off; names the loops that did not within so many seconds."""
        until = time.monotonic() + within
        hand_over.on_ring(self.store, None)
        everything = [*self._loops, *self.workflows.values()]
        for loop in everything:
            loop.stop()
        late = [loop.name for loop in everything if not loop.join(until - time.monotonic())]
        letting_go = threading.Thread(target=self._let_go, name="trunkline letting go", daemon=True)
        letting_go.start()
        letting_go.join(max(0.0, until - time.monotonic()))
        late += ["letting go"] if letting_go.is_alive() else []
        if self._bell is not None and not late:
            self._bell.close()
        return late

    def _let_go(self) -> None:
        with self.ownership.acting():
            steps.let_all_go(self.store)

    def _loop(self, name: str, every: float, work: Callable[[threading.Event], object], **how: Any) -> Loop:
        return Loop(name, every, work, failed=self._failed, recovered=self._recovered, inside=self.ownership.acting, **how)

    def _failed(self, loop: str, why: str) -> None:
        troubles.note(self.store.engine, loop, why, at=self.store.clock())

    def _recovered(self, loop: str) -> None:
        troubles.over(self.store.engine, loop)

    def _ring(self) -> None:
        self._rung.set()
        self.listening.wake()

    def _still_ours(self, _stop: threading.Event) -> None:
        try:
            self.ownership.check()
        except NotAllowed as lost:
            self.lost = lost
            self.over.set()

    def _commands(self, _stop: threading.Event) -> None:
        if self._bell is None:
            self._bell = commands.Bell(self.store.engine)
        rang = self._bell.rings()
        if not (rang or self._rung.is_set()):
            return
        self._rung.clear()
        try:
            self._hear()
        except BaseException:
            self._rung.set()  # it rang, and nobody has come to the door
            raise

    def _hear(self) -> None:
        for command in commands.waiting(self.store):
            line = hand_over.line_of(command)
            if line == "now":
                self._carry_out(command)
                self.deployed.wake()
            elif command.state == "asked":
                commands.take(self.store, command)
                (self.loading if line == "keep" else self.asked_runs).wake()

    def _of_line(self, line: hand_over.Line, stop: threading.Event) -> Iterator[commands.Command]:
        for command in commands.waiting(self.store):
            if stop.is_set():
                return
            if hand_over.line_of(command) == line:
                yield command

    def _carry_out(self, command: commands.Command) -> None:
        began = time.monotonic()
        with log.about(command=command.id, verb=command.verb, by=command.by):
            done = hand_over.carry_out(self.store, command)
            _log.info("A command was %s.", done.state, extra={"seconds": round(time.monotonic() - began, 4)})

    def _load(self, stop: threading.Event) -> None:
        before = catalogue.loaded_through(self.store.engine)
        try:
            for command in self._of_line("keep", stop):
                self._carry_out(command)
            complete = self._inbox.complete()
            while complete and not stop.is_set():
                self._inbox.take(complete[:AT_ONCE])
                complete = complete[AT_ONCE:]
        finally:
            if catalogue.loaded_through(self.store.engine) != before:
                for loop in list(self.workflows.values()):
                    loop.wake()

    def _run_asked(self, stop: threading.Event) -> None:
        for command in self._of_line("decide", stop):
            self._carry_out(command)

    def _deploy(self, stop: threading.Event) -> None:
        """Begin the loop of what was deployed, have it step at once where that changed, and end that of what is no more."""
        table = catalogue.releases
        query = select(table.c.workflow, table.c.id, table.c.state).where(table.c.state.in_(DEPLOYED)).order_by(table.c.state, table.c.id)
        now: dict[str, list[tuple[str, str]]] = {}
        with reading(self.store.engine) as connection:
            for workflow, release, state in connection.execute(query):
                now.setdefault(workflow, []).append((state, release))
        for name in self.workflows.keys() - now.keys():
            self.workflows.pop(name).stop()
            troubles.over(self.store.engine, f"workflow {name}")
            steps.let_go(self.store, name)
            _log.info("A workflow is no longer deployed.", extra={"workflow": name})
        for name, releases in now.items():
            if stop.is_set():
                return
            if name not in self.workflows:
                self.workflows[name] = loop = self._workflow_loop(name)
                loop.start()
            elif self._deployed_as.get(name) != releases:
                self._found.pop(name, None)
                self.workflows[name].again()
        self._deployed_as = now

    def _workflow_loop(self, name: str) -> Loop:
        def work(_stop: threading.Event) -> None:
            if name not in self._found:
                self._found[name] = workflow = self._find(name)
                loop.every = interval(workflow).total_seconds()
            for worked in steps.step(self.store, self._found[name], with_shadow=False):
                if worked.rows:
                    facts = {"release": worked.release, "mode": worked.mode, "rows": worked.rows, "items": len(worked.findings)}
                    _log.info("A workflow decided.", extra=facts)

        loop = self._loop(f"workflow {name}", USUAL_STEP.total_seconds(), work, workflow=name)
        return loop

    def _find(self, name: str) -> Workflow:
        """The workflow as it was when what is live (else what is in canary or shadow) was trained."""
        told = books(self.store)
        one = next((found for state in DEPLOYED for found in told.of(name, state)), None)
        if one is None:
            raise WorkspaceError(f"The journal knows nothing of what the catalogue says is deployed of '{name}'.", next_step="trunkline workspace check")
        return definitions.definition(self.store, one)


def _seeing_to(chore: Callable[[Store], object], store: Store) -> Callable[[threading.Event], object]:
    return lambda _stop: chore(store)


def interval(workflow: Workflow) -> timedelta:
    """How often *workflow* steps when nothing new comes: once a slot."""
    every = getattr(workflow.features, "every", None)
    return USUAL_STEP if every is None else max(duration(every), timedelta(seconds=1))


def serve(
    store: Store,
    *,
    stop: threading.Event | None = None,
    beside: Iterable[Beside] = (),
    further: Iterable[Chore] = (),
    ready: Callable[[], object] | None = None,
) -> bool:
    """Own *store* and work until *stop* is set, or SIGTERM or SIGINT come.

    Parameters
    ----------
    beside
        What runs in threads of this process, such as the HTTP interface; each is given the event that ends it. What these
        threads change goes through command rows, as everybody's does.
    further
        More chores.
    ready
        Called when commands are answered.

    Returns
    -------
    bool
        Whether everything had ended in time. Where not (a long load), end the process: what it was at is safe, and the next
        owner goes on with it.

    Raises
    ------
    WorkspaceError
        Another process owns the workspace.
    NotAllowed
        Another process took over: the service was away too long.
    """
    over = threading.Event() if stop is None else stop
    ownership = _taken(store)
    is_finished = False
    service = Service(store, ownership, further)
    service.over = over
    try:
        with _signals(over):
            service.start()
            threads = [threading.Thread(target=_beside, args=(one, over), name=f"trunkline beside {n}", daemon=True) for n, one in enumerate(beside)]
            for thread in threads:
                thread.start()
            _log.info("The service owns the workspace.", extra={"folder": str(store.folder), "pid": os.getpid()})
            _tell_system("READY=1")
            if ready is not None:
                ready()
            over.wait()
            _tell_system("STOPPING=1")
            until = time.monotonic() + STOPS_WITHIN_S
            late = service.stop()
            for thread in threads:
                thread.join(max(0.0, until - time.monotonic()))
            late += [thread.name for thread in threads if thread.is_alive()]
            is_finished = not late
            _log.info("The service ends.", extra={"unfinished": late} if late else None)
    finally:
        if is_finished:  # else a thread is still at work, and nobody else may begin before this process has ended
            ownership.release()
    if service.lost is not None:
        raise service.lost
    return is_finished


def _taken(store: Store) -> owner.Ownership:
    until = time.monotonic() + TAKES_WITHIN_S
    while (ownership := owner.take(store, "workspace serve")) is None:
        who = owner.owner_of(store)
        if time.monotonic() >= until or (who is not None and who.what == "workspace serve"):
            raise WorkspaceError(
                f"Another process owns the workspace: {who or 'it ended just now'}.",
                where=str(store.folder),
                allowed="one service a workspace",
                next_step="Stop that one first, or use it: every command reaches it.",
            )
        time.sleep(0.05)
    return ownership


@contextmanager
def _signals(over: threading.Event) -> Iterator[None]:
    """Inside, SIGTERM and SIGINT set *over*; in another thread than the main one that is for the caller to do."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, _frame: FrameType | None) -> None:
        _log.info("Asked to stop.", extra={"signal": signal.Signals(number).name})
        over.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _beside(run: Beside, over: threading.Event) -> None:
    try:
        run(over)
    except Exception:  # noqa: BLE001 - whatever it is, the service goes on
        _log.exception("What runs beside the service ended by itself.")


def _tell_system(state: str) -> None:
    """Tell systemd, where it started us with Type=notify."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.connect("\0" + address[1:] if address.startswith("@") else address)
            told.sendall(state.encode())
