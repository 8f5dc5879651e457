"""The CPU that each part of the service uses, from the kernel's accounts of its processes."""

import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import psutil

# The share of a core, or of all cores, from which on it counts as full: the kernel's accounts are coarse.
FULL = 0.85


@dataclass(frozen=True)
class CpuUse:
    """CPU seconds since the start: of each part, of its busiest process, and of the whole machine."""

    parts: Mapping[str, float]
    processes: Mapping[int, tuple[str, float]]
    machine_s: float

    def since(self, before: "CpuUse") -> "CpuUse":
        """What was used between the two."""
        return CpuUse(
            {part: used - before.parts.get(part, 0) for part, used in self.parts.items()},
            {
                pid: (part, used - before.processes.get(pid, (part, 0.0))[1])
                for pid, (part, used) in self.processes.items()
            },
            self.machine_s - before.machine_s,
        )


def read_cpu(roots: Mapping[str, Sequence[int]], *, without_children: Container[int]) -> CpuUse:
    """Read the CPU of each part. `roots` has the ids of its first processes; their children belong to it, too."""
    processes: dict[int, tuple[str, float]] = {}
    for part, pids in roots.items():
        for pid in pids:
            root = psutil.Process(pid)
            children = [] if pid in without_children else root.children(recursive=True)
            for process in (root, *children):
                used = process.cpu_times()
                processes[process.pid] = (part, float(used.user + used.system))
    parts = {part: sum(used for owner, used in processes.values() if owner == part) for part in roots}
    machine = psutil.cpu_times()
    return CpuUse(parts, processes, float(machine.user + machine.nice + machine.system + machine.softirq + machine.irq))


def describe_bound(use: CpuUse, seconds: float) -> str:
    """What limited the load in these seconds: a process that filled a core, all cores, or neither."""
    part, used = max(use.processes.values(), key=lambda process: process[1])
    if used / seconds > FULL:
        return f"one core: {part}"
    if use.machine_s / seconds > FULL * (os.cpu_count() or 1):
        return "all cores"
    return "the model's pace"
