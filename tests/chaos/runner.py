"""Carries out a plan of faults on a running district, as fate would, and starts again what died, as systemd would."""

from __future__ import annotations

import heapq
import itertools
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from contracts.errors import LinliError
from system.clock import wall_ms
from tests.chaos.disturbances import Disturbance, disturbances_of, start_again
from tests.chaos.faults import Fault, FaultKind
from tests.support.kafka import RunningKafka
from tests.support.parts import LinliProcess, Part, Pausable
from tests.support.whole_district import District

RESTART_S = 1.0
"""A service manager waits so long before it starts again what ended."""
TURN_S = 0.05
MOST_WORKERS = 3
IN_ORDER = frozenset({0, -signal.SIGTERM})
KAFKA_BACK_S = 30.0
"""How a process ends that is asked to; by the signal itself when it had not come so far as to hear it."""
SECOND_OWNER = "second-owner"


class Happened(msgspec.Struct, frozen=True):
    """A fault as it was carried out, wall clock; ``target`` is the part's name."""

    kind: FaultKind
    target: str
    began_ms: int
    ended_ms: int


class _Repair(msgspec.Struct, frozen=True):
    """A fault that is over, and a part that may not be whole again yet."""

    fault: Happened
    part: Part | Disturbance

    def whole(self, district: District) -> bool:
        """Whether what it struck does its work again, as far as devices would notice."""
        if isinstance(self.part, RunningKafka):
            return self.part.answers()
        if self.fault.kind is FaultKind.POWER_CUT and not district.kafka.answers():
            return False
        if self.fault.kind in _INGEST:
            ingest = district.process("ingest-0")
            return ingest.running() and ingest.is_ready()
        return True


class Runner:
    """One run. ``wanted`` are the processes that are to live; whatever of them ends is started again."""

    def __init__(self, district: District, wanted: Sequence[str], say: Callable[[str], None]) -> None:
        self._district, self._say = district, say
        self.disturbances = disturbances_of(district)
        self._dark = False  # nothing is started while there is no power
        self._wanted = set(wanted)
        self._ended_s: dict[str, float] = {}
        self._asked: set[str] = set()  # to end in order
        self._killed: set[str] = set()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._began_s = 0.0
        self._kafka_away_until_s = 0.0  # and for as long as a client may take to find it again
        self._repairs: list[_Repair] = []
        self.last_fault_s = 0.0
        """When the last one was over, by the monotonic clock."""
        self.happened: list[Happened] = []
        self.unexpected: list[str] = []
        """Ends that no fault explains, with what was said."""
        self.restarts: Counter[str] = Counter()

    def run(self, faults: Sequence[Fault], seconds: float) -> None:
        """Carry all of them out and return after ``seconds``, or when the last one is fixed. Blocks."""
        self._began_s = time.monotonic()
        for fault in faults:
            self._at(fault.at_s, lambda fault=fault: self._begin(fault))  # type: ignore[misc]
        while self._agenda or self._repairs or self._now_s() < seconds:
            self.turn()

    def turn(self) -> None:
        """Do what is due, start what ended, wait a little."""
        while self._agenda and self._agenda[0][0] <= self._now_s():
            heapq.heappop(self._agenda)[2]()
        self._look_after()
        self._look_at_repairs()
        time.sleep(TURN_S)

    def keep_alive_until(self, done: Callable[[], bool], what: str, patience_s: float = 180.0) -> None:
        """Wait for ``done``; what ends meanwhile is started again."""
        end_s = time.monotonic() + patience_s
        while not done():
            assert time.monotonic() < end_s, f"no {what} within {patience_s:.0f} s"
            self.turn()

    def release(self, *names: str) -> None:
        """These need not live any more."""
        self._wanted -= set(names)

    # --- faults -------------------------------------------------------------------------------------------------------

    def _begin(self, fault: Fault) -> None:
        part, name = self._target(fault)
        if part is None or self._dark:
            return
        began_ms = wall_ms()
        self._say(
            f"{self._now_s():7.1f} s  {fault.kind}: {name}" + (f" for {fault.for_s:.1f} s" if fault.for_s else "")
        )
        end = self._carry_out(fault, part, name)

        def over() -> None:
            end()
            self.last_fault_s = time.monotonic()
            self._repairs.append(_Repair(Happened(fault.kind, name, began_ms, 0), part))

        if fault.for_s:
            self._at(self._now_s() + fault.for_s, over)
        else:
            over()

    def _carry_out(self, fault: Fault, part: Part | Disturbance, name: str) -> Callable[[], None]:
        """Begin it; what ends it."""
        if fault.kind in _KAFKA:
            self._kafka_away_until_s = self._now_s() + fault.for_s + KAFKA_BACK_S
        if isinstance(part, Disturbance):
            return self._disturb(fault, part)
        if fault.kind in _SCALES:
            self._scale(_SCALES[fault.kind])
        elif fault.kind is FaultKind.WORKER_ENDED:
            self._end(self._district.process(name))
        elif fault.kind is FaultKind.MQTT_CUT:
            proxy = self._district.mqtt_way
            assert proxy is not None
            proxy.cut()
            return proxy.restore
        elif fault.kind is FaultKind.INGEST_DOUBLED:
            part.start()
            return part.kill
        elif fault.kind in _PAUSES:
            pausable: Pausable = part  # type: ignore[assignment]
            pausable.pause()
            return pausable.resume
        else:
            self._killed.add(name)
            part.kill()
            if not isinstance(part, LinliProcess):
                return lambda: start_again(part)
        return _nothing

    def _disturb(self, fault: Fault, disturbance: Disturbance) -> Callable[[], None]:
        """Let it begin; what ends it."""
        if fault.kind is not FaultKind.POWER_CUT:
            disturbance.begin(fault.target)
            return disturbance.end
        self._dark = True
        self._killed |= {process.name for process in self._district.processes("") if process.running()}
        disturbance.begin(fault.target)

        def light() -> None:
            disturbance.end()
            self._dark = False

        return light

    def _look_at_repairs(self) -> None:
        """Note of every fault that is repaired that it has happened, up to now."""
        for repair in list(self._repairs):
            if repair.whole(self._district):
                self._repairs.remove(repair)
                self.happened.append(msgspec.structs.replace(repair.fault, ended_ms=wall_ms()))
                if repair.fault.kind in _KAFKA:
                    self.last_fault_s = time.monotonic()

    def _target(self, fault: Fault) -> tuple[Part | Disturbance | None, str]:
        """The part it strikes and its name; None when there is none to strike."""
        prefix = _PREFIXES[fault.kind]
        if fault.kind in _DISTURBANCES:
            return self.disturbances.get(prefix), prefix
        if fault.kind in _PROCESS_FAULTS:
            living = [p for p in self._district.processes(prefix) if p.running() and p.name in self._wanted]
            if not living:
                return None, prefix
            chosen = living[fault.target % len(living)]
            return chosen, chosen.name
        part = self._district.parts.get(prefix)
        if isinstance(part, LinliProcess) and part.running():
            return None, prefix
        return part, prefix

    def _scale(self, workers: int) -> None:
        for n in range(MOST_WORKERS):
            name = f"worker-{n}"
            if n < workers:
                self._wanted.add(name)
            elif name in self._wanted:
                self._wanted.discard(name)
                self._end(self._district.process(name))

    def _end(self, process: LinliProcess) -> None:
        self._asked.add(process.name)
        process.resume()  # one that stands still does not hear
        process.end()

    # --- who keeps them alive -----------------------------------------------------------------------------------------

    def _look_after(self) -> None:
        for process in self._district.processes(""):
            if process.running() or process.name == SECOND_OWNER:
                continue
            if process.name not in self._ended_s and process.started:
                self._ended_s[process.name] = time.monotonic()
                self._judge_end(process)
            if process.name in self._wanted and not self._dark and self._rested(process.name):
                self._ended_s.pop(process.name, None)
                self.restarts[process.name] += process.started
                process.start()

    def _rested(self, name: str) -> bool:
        return time.monotonic() - self._ended_s.get(name, 0.0) >= RESTART_S

    def _judge_end(self, process: LinliProcess) -> None:
        """A killed one may end anyhow, one that was asked with 0, an owner whose session was taken with 1.

        So may a worker that was asked while Kafka could not take what it drains.
        """
        name, code = process.name, process.exit_code()
        killed, asked = name in self._killed, name in self._asked
        self._killed.discard(name)
        self._asked.discard(name)
        doubled = any(h.kind is FaultKind.INGEST_DOUBLED for h in self.happened) or SECOND_OWNER in self._district.parts
        done = name not in self._wanted and code == 0
        undrained = asked and name.startswith("worker") and code == 1 and self._now_s() < self._kafka_away_until_s
        taken_over = doubled and name.startswith("ingest") and code == 1
        if killed or done or undrained or taken_over or (asked and code in IN_ORDER):
            return
        self.unexpected.append(f"{name} ended with {code}:\n{process.said()[-1_500:]}")
        self._say(f"{self._now_s():7.1f} s  {name} ended with {code} by itself")

    def _at(self, at_s: float, work: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (at_s, next(self._count), work))

    def _now_s(self) -> float:
        return time.monotonic() - self._began_s


_PREFIXES = {
    FaultKind.WORKER_KILLED: "worker",
    FaultKind.WORKER_STOPPED: "worker",
    FaultKind.WORKER_ENDED: "worker",
    FaultKind.WORKERS_ADDED: "kafka",
    FaultKind.WORKERS_REMOVED: "kafka",
    FaultKind.KAFKA_KILLED: "kafka",
    FaultKind.KAFKA_PAUSED: "kafka",
    FaultKind.INGEST_KILLED: "ingest",
    FaultKind.INGEST_PAUSED: "ingest",
    FaultKind.INGEST_DOUBLED: SECOND_OWNER,
    FaultKind.MQTT_CUT: "mosquitto",
    FaultKind.MQTT_PAUSED: "mosquitto",
    FaultKind.MQTT_KILLED: "mosquitto",
    FaultKind.POSTGRES_KILLED: "postgres",
    FaultKind.INFLUX_KILLED: "influx",
    FaultKind.INCIDENTS_KILLED: "incidents",
    FaultKind.RESULTS_KILLED: "results",
    FaultKind.CLOCK_MOVED: "clock",
    FaultKind.DISK_FULL: "disk",
    FaultKind.POWER_CUT: "power",
    FaultKind.ID_STOLEN: "thief",
}
_DISTURBANCES = frozenset({FaultKind.CLOCK_MOVED, FaultKind.DISK_FULL, FaultKind.POWER_CUT, FaultKind.ID_STOLEN})
_PROCESS_FAULTS = frozenset(
    {FaultKind.WORKER_KILLED, FaultKind.WORKER_STOPPED, FaultKind.WORKER_ENDED, FaultKind.INGEST_KILLED}
    | {FaultKind.INGEST_PAUSED, FaultKind.INCIDENTS_KILLED, FaultKind.RESULTS_KILLED}
)


_KAFKA = frozenset({FaultKind.KAFKA_KILLED, FaultKind.KAFKA_PAUSED, FaultKind.POWER_CUT})
_INGEST = frozenset({FaultKind.INGEST_KILLED, FaultKind.INGEST_DOUBLED, FaultKind.POWER_CUT})
_PAUSES = frozenset({FaultKind.WORKER_STOPPED, FaultKind.INGEST_PAUSED, FaultKind.KAFKA_PAUSED, FaultKind.MQTT_PAUSED})
_SCALES = {FaultKind.WORKERS_ADDED: MOST_WORKERS, FaultKind.WORKERS_REMOVED: 1}


def _nothing() -> None:
    """Nothing ends it but the service manager."""


def settled(work: Callable[[], bool]) -> bool:
    """Whether ``work`` says so; a server that is away just now says no."""
    try:
        return work()
    except LinliError:
        return False
