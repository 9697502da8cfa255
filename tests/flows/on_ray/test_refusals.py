"""What cannot work is refused before the first video, in one sentence."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flows.executors import start_executor
from tasks.cache import Cache
from tasks.errors import ConfigurationError
from tasks.model import CheckpointId
from tasks.on_ray import RayExecutor
from tasks.on_ray.cluster import CORES_VARIABLE, share_out
from tasks.on_ray.watching import Machine
from tasks.tagger import TaggerRequest
from tests.flows.conftest import DEMO_MODEL
from tests.flows.on_ray.conftest import SimulatedCluster, simulated
from tests.web import serving


def refusal(address: str, cache: Cache | None = None, model: str = DEMO_MODEL) -> str:
    """Why an executor does not start."""
    with pytest.raises(ConfigurationError) as raised:
        load(address, cache, model)
    return str(raised.value)


def load(address: str, cache: Cache | None, model: str) -> None:
    with closing(RayExecutor(address, cache, print)) as executor:
        executor.find(TaggerRequest(CheckpointId(model)))


@pytest.mark.long
def test_where_ray_is_not_installed_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['ray'] = None\n"
        "from flows.executors import start_executor\n"
        "from tasks.errors import ConfigurationError\n"
        "try: start_executor('auto', None, print)\n"
        "except ConfigurationError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout
    assert "pip install 'video-audio-tags[ray]'" in said


@pytest.mark.long
def test_without_the_option_ray_is_not_imported() -> None:
    program = (
        "import sys; import flows.cli\n"
        "from flows.executors import start_executor\n"
        "start_executor(None, None, print); print('ray' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout
    assert said.strip() == "False"


def test_an_address_of_another_kind() -> None:
    for address in (
        "ray://head:10001",
        "head",
        "http://head:6379",
        "user:secret@head:6379",
        "auto ",
        "",
    ):
        with pytest.raises(ConfigurationError, match=r"auto"):
            start_executor(address, None, print)


def test_nothing_listens_there() -> None:
    assert "There is no Ray cluster at 127.0.0.1:1: Connection refused." in refusal("127.0.0.1:1")


def test_something_else_listens_there() -> None:
    def app(environ: object, start_response: object) -> list[bytes]:
        return []

    with serving(app) as url:
        address = url.removeprefix("http://")
        assert f"There is no Ray cluster at {address}" in refusal(address)


@pytest.mark.long
def test_what_listens_there_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = refusal(f"127.0.0.1:{silent.getsockname()[1]}")
    assert "nothing answers there within" in said


def test_too_few_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CORES_VARIABLE, "16")
    machines = [Machine("a", "10.0.0.1", 8, 1), Machine("b", "10.0.0.2", 4, 0)]
    with pytest.raises(ConfigurationError, match=r"asks for 16 cores by .* more\s+than 6"):
        share_out(machines, "auto")
    with pytest.raises(ConfigurationError, match="asks for 16 cores"):
        share_out(machines, "cpu")


def test_a_unit_that_no_machine_can_take_any_more() -> None:
    with pytest.raises(ConfigurationError, match=r"A unit asks for 4 cores, and .* more\s+than 1"):
        share_out([Machine("a", "10.0.0.1", 2, 0)], "cpu", unit_cores=4)


@pytest.mark.parametrize("gpus", [0, 1])
def test_a_unit_fits_each_machine_of_the_start(gpus: int) -> None:
    """So it can be done again if any of them is all that is left."""
    there = [Machine(str(cores), "10.0.0.1", cores, gpus) for cores in (2, 4, 16, 64)]
    cores = share_out(there, "auto").unit_cores
    for machine in there:
        share_out([machine], "auto", cores)


def test_processes_fit_a_cluster_that_leaves_as_much_to_extraction() -> None:
    of_gpu = share_out([Machine("a", "10.0.0.1", 16, 2)], "cuda")
    assert of_gpu.fit(share_out([Machine("b", "10.0.0.2", 64, 1)], "cuda"))
    assert not of_gpu.fit(share_out([Machine("c", "10.0.0.3", 2, 1)], "cuda"))
    large, small = ([Machine("d", "10.0.0.4", cores, 0)] for cores in (16, 2))
    assert share_out(large, "cpu").fit(share_out(large * 2, "cpu"))
    assert not share_out(large, "cpu").fit(share_out(small, "cpu"))
    assert not share_out(small, "cpu").fit(share_out(large, "cpu"))
    assert not of_gpu.fit(share_out(large, "cpu"))


def test_a_gpu_where_there_is_none() -> None:
    with pytest.raises(ConfigurationError, match="No machine of the Ray cluster has a GPU"):
        share_out([Machine("a", "10.0.0.1", 8, 0)], "cuda")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of each machine, where its processes begin: ``/proc/self/cwd`` is another place on each."""
    return [tmp_path_factory.mktemp("machine") for _ in range(2)]


@pytest.fixture(scope="module")
def cluster(folders: list[Path]) -> Iterator[SimulatedCluster]:
    with simulated(nodes=0) as cluster, pytest.MonkeyPatch.context() as patch:
        for folder in folders:
            patch.chdir(folder)
            cluster.add_node()
        patch.undo()
        yield cluster


@pytest.mark.slow
def test_another_version_of_ray_or_python(cluster: SimulatedCluster) -> None:
    with cluster.claiming({"ray_version": "2.9.0", "python_version": "3.8.1"}):
        said = refusal(cluster.address)
    assert "runs Ray 2.9.0 on Python 3.8.1" in said
    assert "install the same on every machine" in said


@pytest.mark.slow
def test_the_port_of_another_server_of_ray(cluster: SimulatedCluster) -> None:
    said = refusal(cluster.address_of_a_node())
    assert "is not the head of a cluster" in said


@pytest.mark.slow
def test_a_cache_that_the_machines_do_not_share(cluster: SimulatedCluster) -> None:
    said = refusal(cluster.address, Cache("memory://cache"))
    assert "does not see the cache memory://cache" in said


@pytest.mark.slow
def test_a_model_that_is_not_the_same_on_every_machine(
    cluster: SimulatedCluster, folders: list[Path]
) -> None:
    model = "/proc/self/cwd/model"
    shutil.copytree(DEMO_MODEL, folders[0] / "model")
    assert "is not there on the machine" in refusal(cluster.address, model=model)
    shutil.copytree(DEMO_MODEL, folders[1] / "model")
    config = folders[1] / "model" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"changed": True}))
    assert "differs from the one on" in refusal(cluster.address, model=model)
