"""A simulated cluster: a real Ray head and real nodes, all on this machine, with declared GPUs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import ray
from prefect import State
from prefect.settings import PREFECT_API_URL
from ray.cluster_utils import Cluster

from flows.tag import tag_videos
from tests.flows.conftest import DEMO, DEMO_MODEL, write_manifest

# Processes inherit it, so that those of another cluster on this machine are never counted.
MARK = "VIDEO_AUDIO_TAGS_TEST"
SPILLING = ("ray::IDLE_Spill", "ray::IDLE_Restore")  # Ray's own, which stay
OF_RUNS = ("ray::extract", "ray::inspect", "ray::ModelActor", "ray::ScoreIndex", "ray::IDLE")
_STORE_BYTES = 150 << 20
PATIENCE_SECONDS = 300.0
FLOW = Path(__file__).parents[3] / "flows" / "tag.py"


@dataclass
class Process:
    """A process of the cluster, as the system lists it.

    Attributes:
        title: that Ray gives to it: ``ray::extract`` while it extracts.
    """

    pid: int
    title: str


def marked(mark: str, *titles: str) -> list[Process]:
    """The processes of one cluster whose title begins with one of these."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "cmdline").read_bytes().rstrip(b"\0 ").decode()
            ours = f"{MARK}={mark}".encode() in (folder / "environ").read_bytes()
        except OSError:
            continue
        spills = name.startswith(SPILLING) and "" not in titles
        if ours and name.startswith(titles) and not spills:
            found.append(Process(int(folder.name), name))
    return found


def kill_marked(mark: str) -> None:
    """Kill all processes of one cluster."""
    for process in marked(mark, ""):
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


class SimulatedCluster:
    """A head with one core and no GPU, and nodes with two cores and one declared GPU."""

    def __init__(self) -> None:
        self.mark = uuid4().hex
        os.environ[MARK] = self.mark
        # Ray's own default sees a death after half a minute.
        quick = {"health_check_period_ms": 1_000, "health_check_failure_threshold": 3}
        self._on_sigterm = signal.getsignal(signal.SIGTERM)  # Ray sets one of its own
        self._cluster: Any = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 1,
                "include_dashboard": False,
                "object_store_memory": _STORE_BYTES,
                "_system_config": quick,
            },
        )
        self.address = str(self._cluster.address)
        self._nodes: list[Any] = []

    def add_node(self, gpus: int = 1, cores: int = 2, **more: Any) -> None:
        node = self._cluster.add_node(
            num_cpus=cores, num_gpus=gpus, object_store_memory=_STORE_BYTES, **more
        )
        self._nodes.append(node)

    def kill_node(self) -> None:
        """Kill the node that joined last, with all that runs on it."""
        self._cluster.remove_node(self._nodes.pop(), allow_graceful=False)

    def kill_head(self) -> None:
        self._cluster.head_node.kill_gcs_server(check_alive=False)

    @contextmanager
    def claiming(self, versions: Mapping[str, str]) -> Iterator[None]:
        """Let the head claim other versions than its own."""
        kept = self._ask()
        key, namespace = b"CLUSTER_METADATA", b"cluster"
        true = kept.internal_kv_get(key, namespace)
        kept.internal_kv_put(key, json.dumps(json.loads(true) | versions).encode(), True, namespace)
        yield
        kept.internal_kv_put(key, true, True, namespace)

    def address_of_a_node(self) -> str:
        """Where a node listens, which is not where the head does."""
        node = next(iter(self._ask().get_all_node_info().values()))
        return f"{node.node_manager_address}:{node.node_manager_port}"

    def _ask(self) -> Any:
        library: Any = ray
        return library._raylet.GcsClient(address=self.address)

    def close(self) -> None:
        """End all processes of the cluster, also those that Ray has forgotten."""
        self._cluster.shutdown()
        kill_marked(self.mark)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        os.environ.pop(MARK, None)  # another cluster, which has ended, may have had it too

    def of_runs(self) -> list[Process]:
        """The processes that work for a run; Ray's own are not among them."""
        return self.processes(*OF_RUNS)

    def processes(self, *titles: str) -> list[Process]:
        """The processes whose title begins with one of these."""
        return marked(self.mark, *titles)


@contextmanager
def simulated(nodes: int) -> Iterator[SimulatedCluster]:
    """A cluster with so many nodes beside its head."""
    cluster = SimulatedCluster()
    try:
        for _ in range(nodes):
            cluster.add_node()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[SimulatedCluster]:
    """A cluster of two nodes, for all tests of a module that leave it as it is."""
    with simulated(nodes=2) as cluster:
        yield cluster


@dataclass
class Data:
    """Manifests over copies of the demo videos.

    Attributes:
        folder: holds them.
        expected: the bytes of each tagged manifest, by its name, as a run without Ray writes them.
    """

    folder: Path
    expected: dict[str, bytes] = field(default_factory=dict)

    @property
    def manifests(self) -> Path:
        return self.folder / "manifests"


MANIFESTS, SAMPLES = 4, 16


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Data:
    """Each sample has a video of its own; a missing one, too, and one that all manifests share."""
    made = Data(tmp_path_factory.mktemp("data"))
    videos = sorted((DEMO / "videos").iterdir())
    shutil.copy(videos[0], made.folder / f"shared{videos[0].suffix}")
    for number in range(MANIFESTS):
        samples = [{"videos": [f"shared{videos[0].suffix}"]}, {"videos": ["gone.mp4"]}]
        for row in range(SAMPLES):
            video = videos[(number + row) % len(videos)]
            name = f"{number}-{row}{video.suffix}"
            shutil.copy(video, made.folder / name)
            samples.append({"videos": [name]})
        write_manifest(made.manifests / f"{number}.jsonl", samples)
    run(made, made.folder / "without-ray", cache=None, ray=None)
    made.expected = written(made.folder / "without-ray")
    assert len(made.expected) == MANIFESTS
    return made


def run(
    data: Data, output: Path, cache: Path | None, ray: str | None, **parameters: Any
) -> State[Any]:
    state: State[Any] = tag_videos(
        manifests=[str(data.manifests)],
        **{"hf_ast": DEMO_MODEL, "video_root": str(data.folder)} | parameters,
        output=str(output),
        cache=None if cache is None else str(cache),
        no_cache=cache is None,
        max_failure_rate=1.0,
        ray=ray,
        return_state=True,
    )
    return state


@contextmanager
def command(folder: Path, address: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Start a run of its own process, which is killed when it has not ended by itself."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if "PREFECT" not in key}
    environment |= {
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        "PREFECT_HOME": str(folder / "prefect"),
    }
    with subprocess.Popen(
        [sys.executable, FLOW, *options, "--ray", address, "--hf-ast", DEMO_MODEL],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def tag_command(data: Data, folder: Path, address: str) -> Iterator[subprocess.Popen[str]]:
    """Start a run over all the data."""
    options = ["--video-root", str(data.folder), "--output", "out", "--cache", "cache"]
    options += [str(data.manifests), "--max-failure-rate", "1"]
    with command(folder, address, *options) as process:
        yield process


def many(folder: Path, videos: int = 1_000) -> str:
    """A manifest of work for a minute or so."""
    names = [f"{number}.mp4" for number in range(videos)]
    for name in names:
        os.link(DEMO / "videos" / "beeps.mp4", folder / name)
    return str(write_manifest(folder / "m.jsonl", [{"videos": [name]} for name in names]))


def written(output: Path) -> dict[str, bytes]:
    """The manifests and ledgers in a folder."""
    return {path.name: path.read_bytes() for path in output.glob("*.jsonl")}


def facts(state: State[Any]) -> dict[str, Any]:
    result = state.result(raise_on_failure=False)
    assert isinstance(result, dict), state
    return result


def packs(cache: Path) -> int:
    """How many units have their scores in the cache."""
    return len(list(cache.glob("scores-*/*.pack")))


@contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    """Do something on a thread; what it raises is raised in the end."""
    raised: list[BaseException] = []

    def guarded() -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - raised again below
            raised.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    yield
    thread.join()
    if raised:
        raise raised[0]


def wait_for(found: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return answer
