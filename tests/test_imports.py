"""Who imports whom: no circle, nothing from a higher room, Prefect only where tasks are defined."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = {
    ".".join(path.with_suffix("").relative_to(ROOT).parts).removesuffix(".__init__"): path
    for room in ("tasks", "flows")
    for path in (ROOT / room).rglob("*.py")
}
# From the ground up. A room may import from those before it, and what all rooms may know.
ROOMS = (
    "tasks.storage",
    "tasks.manifests",
    "tasks.audio",
    "tasks.model",
    "tasks.labels",
    "tasks",
    "tasks.on_ray",
    "flows",
)
KNOWN_TO_ALL = {"tasks.errors", "tasks.shown", "tasks.scores", "tasks.tags"}
WITHOUT_PREFECT = ROOMS[:5]


def room_of(module: str) -> int:
    """The number of the lowest room that a module lies in."""
    inside = [room for room in ROOMS if f"{module}.".startswith(f"{room}.")]
    return ROOMS.index(max(inside, key=len))


def imports(module: str) -> Iterator[str]:
    """Yield the modules that a module imports, but for its types alone or as a program."""
    tree = ast.parse(MODULES[module].read_text())
    body = [node for node in tree.body if not _is_aside(node)]
    for node in (inner for outer in body for inner in ast.walk(outer)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{name.name}" for name in node.names]
            yield from (name if name in MODULES else node.module for name in names)


def _is_aside(node: ast.stmt) -> bool:
    asides = ("__name__ == '__main__'", "TYPE_CHECKING")
    return isinstance(node, ast.If) and ast.unparse(node.test) in asides


def test_there_is_no_circle() -> None:
    TopologicalSorter({name: set(imports(name)) for name in MODULES}).prepare()


@pytest.mark.parametrize("module", sorted(set(MODULES) - KNOWN_TO_ALL))
def test_nothing_comes_from_a_higher_room(module: str) -> None:
    ours = {name for name in imports(module) if name in MODULES} - KNOWN_TO_ALL
    assert [name for name in sorted(ours) if room_of(name) > room_of(module)] == []


@pytest.mark.parametrize("module", sorted(KNOWN_TO_ALL))
def test_what_all_may_know_knows_nobody(module: str) -> None:
    assert {name for name in imports(module) if name in MODULES} <= KNOWN_TO_ALL


@pytest.mark.parametrize("room", WITHOUT_PREFECT)
def test_prefect_is_not_known_there(room: str) -> None:
    inside = [name for name in MODULES if f"{name}.".startswith(f"{room}.")]
    assert [name for name in inside if any(_is_prefect(used) for used in imports(name))] == []


def _is_prefect(module: str) -> bool:
    return module.split(".")[0] == "prefect"
