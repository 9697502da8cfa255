"""What Prefect costs: ``python -m benchmarks.orchestration [--units N] [--seconds S]``.

1. A run of units of S seconds each through the flow's own task runner and window, client and
   server CPU counted: the share of the wall time that is not the units' own.
2. A night with nothing to do on 100 manifests, from the command line to its exit.
"""

import argparse
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).parents[1]
LOCAL, FLOW = ROOT / "deployments" / "local.py", ROOT / "flows" / "tag.py"
PORT = 4297
MANIFESTS, SAMPLES = 100, 1000
IDLE_SECONDS = 30


@contextmanager
def machine(state: Path) -> Iterator[int]:
    """A server of our own, as ``make up`` starts it; its process."""
    local = [sys.executable, str(LOCAL)]
    options = ["--state", str(state)]
    try:
        up = [*local, "up", *options, "--port", str(PORT)]
        subprocess.run(up, check=True, stdout=subprocess.DEVNULL)
        os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{PORT}/api"
        os.environ["PREFECT_HOME"] = str(state / "prefect")
        yield int((state / "server.pid").read_text())
    finally:
        subprocess.run([*local, "down", *options], check=True, stdout=subprocess.DEVNULL)


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_of_this() -> float:
    """The same for this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def run_units(units: int, seconds: float) -> None:
    """A flow as ours: two task runs a unit, a few units in flight, one of them worked on."""
    from prefect import flow, task  # it reads the environment once
    from prefect.task_runners import ThreadPoolTaskRunner

    from tasks.units import UNITS_IN_FLIGHT

    model = threading.Lock()

    @task(persist_result=False, cache_result_in_memory=False)
    def extract(number: int) -> int:
        return number

    @task(persist_result=False, cache_result_in_memory=False)
    def tag(number: int) -> int:
        with model:
            time.sleep(seconds)
        return number

    runner: Any = ThreadPoolTaskRunner(max_workers=2 * UNITS_IN_FLIGHT + 2)

    @flow(task_runner=runner, persist_result=False)
    def units_of_work() -> None:
        flying: deque[Any] = deque()
        for number in range(units):
            if len(flying) == UNITS_IN_FLIGHT:
                flying.popleft().result()
            flying.append(tag.submit(cast(Any, extract.submit(number))))
        while flying:
            flying.popleft().result()

    logging.getLogger("prefect").setLevel(logging.WARNING)
    units_of_work()


def orchestration(units: int, seconds: float, server: int) -> None:
    """Print the share of the run that is not the units' own, by the clock and by the CPU."""
    idle_before = cpu_of(server)
    time.sleep(IDLE_SECONDS)
    idle = (cpu_of(server) - idle_before) / IDLE_SECONDS
    client_before, server_before, started = cpu_of_this(), cpu_of(server), time.monotonic()
    run_units(units, seconds)
    wall = time.monotonic() - started
    client, served = cpu_of_this() - client_before, cpu_of(server) - server_before
    served -= idle * wall
    print(f"{units} units of {seconds:g} s: {wall:.1f} s")
    print(f"  CPU of the idle server     {idle:6.2%}, not counted below")
    print(f"  over the units' own time   {1 - units * seconds / wall:6.2%}")
    print(f"  CPU of client and server   {(client + served) / wall:6.2%} of the wall time")
    print(f"  a unit: client {1000 * client / units:.0f} ms, server {1000 * served / units:.0f} ms")


def quiet_night(folder: Path) -> None:
    """Print how long a run over manifests that are tagged already takes, start to exit."""
    for number in range(MANIFESTS):
        lines = (
            json.dumps({"videos": [f"{line}.mp4"], "video_audio_tags": ["Music"]}) + "\n"
            for line in range(SAMPLES)
        )
        (folder / f"{number:03}.jsonl").write_text("".join(lines))
    started = time.monotonic()
    subprocess.run([sys.executable, FLOW, folder], check=True, capture_output=True)
    print(f"nothing to do on {MANIFESTS} manifests: {time.monotonic() - started:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, machine(Path(folder) / "state") as server:
        manifests = Path(folder) / "manifests"
        manifests.mkdir()
        quiet_night(manifests)
        orchestration(options.units, options.seconds, server)


if __name__ == "__main__":
    main()
