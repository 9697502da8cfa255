"""What a person sees: the form, the artifacts, the picture."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect.utilities.callables import parameter_schema

from flows.tag import tag_videos
from tests.browser import drawn_pixels, open_browser
from tests.deployments.conftest import Machine
from tests.flows.conftest import DEMO, DEMO_MODEL, write_manifest

if TYPE_CHECKING:
    from playwright.sync_api import Page

# The words of tables that stand on more than one line. A path may be parted behind a slash.
_TORN_WORDS = """() => [...document.querySelectorAll("th, td")].flatMap(cell => {
    const torn = [], nodes = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    for (let node; (node = nodes.nextNode()); )
        for (const word of node.data.matchAll(/[^\\s\\/-]+/g)) {
            const range = document.createRange();
            range.setStart(node, word.index);
            range.setEnd(node, word.index + word[0].length);
            if (new Set([...range.getClientRects()].map(box => box.top)).size > 1)
                torn.push(word[0]);
        }
    return torn;
})"""


@pytest.fixture(scope="module")
def page() -> Iterator["Page"]:
    with open_browser() as page:
        yield page


@pytest.fixture(scope="module")
def run(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run with tags of several kinds and a failure."""
    folder = tmp_path_factory.mktemp("shown")
    (folder / "videos").symlink_to(DEMO / "videos")
    videos = [f"videos/{path.name}" for path in sorted((DEMO / "videos").iterdir())]
    write_manifest(folder / "1.jsonl", [{"videos": [video]} for video in videos])
    write_manifest(folder / "2.jsonl", [{"videos": ["videos/speech.mp4"]}, {"videos": ["no|.mp4"]}])
    run = machine.start(
        "on-demand",
        manifests=[str(folder)],
        hf_ast=DEMO_MODEL,
        cache=str(folder / "cache"),
        max_failure_rate=0.5,
        report=str(folder / "report.html"),
    )
    assert machine.wait(run) == ("COMPLETED", "Partial")
    return run


@pytest.fixture
def artifacts(machine: Machine, run: str) -> dict[str, dict[str, Any]]:
    return {artifact["type"]: artifact for artifact in machine.of_run("artifacts", run)}


def test_artifacts_are_few(artifacts: dict[str, dict[str, Any]]) -> None:
    assert set(artifacts) == {"progress", "markdown", "table"}
    assert artifacts["progress"]["data"] == 100
    assert artifacts["progress"]["description"].startswith("9 of 9 videos, ")
    assert artifacts["markdown"]["description"].startswith("9 samples tagged, ")


def test_the_picture_is_drawn(
    machine: Machine, page: "Page", artifacts: dict[str, dict[str, Any]]
) -> None:
    for version in ("", "/v2"):
        page.goto(f"{machine.url}{version}/artifacts/artifact/{artifacts['markdown']['id']}")
        width, height = drawn_pixels(page, "img[src^='data:image/svg']")
        assert width > 400
        assert height > 100
        text = page.locator("main, body").first.inner_text()
        for said in ("samples tagged", "slowest stage", "missing", "no|.mp4: no such file"):
            assert said in text


def test_manifests_are_listed(
    machine: Machine, page: "Page", artifacts: dict[str, dict[str, Any]]
) -> None:
    page.goto(f"{machine.url}/artifacts/artifact/{artifacts['table']['id']}")
    rows = page.locator("tbody tr")
    rows.first.wait_for()
    assert rows.count() == 2
    assert "2.jsonl" in rows.first.inner_text()  # failures come first


def test_the_form_explains_the_parameters(machine: Machine, page: "Page") -> None:
    id = machine.api("/deployments/name/tag-videos/on-demand")["id"]
    page.goto(f"{machine.url}/deployments/deployment/{id}/run")
    page.get_by_text("Manifest files, folders or globs").first.wait_for()
    text = _plain(page.locator("body").inner_text())
    parameters = parameter_schema(tag_videos).properties
    assert len(parameters) > 30
    for parameter in parameters.values():
        assert _plain(parameter["description"]) in text
    filled_in = page.locator("input, textarea").evaluate_all("all => all.map(one => one.value)")
    assert {"video_audio_tags", "videos", "start", "5", "0.1"} <= set(filled_in)


def _plain(text: str) -> str:
    """Words alone: without line ends, and without the backticks of code."""
    return " ".join(text.replace("`", "").split())


def test_the_report_is_one_page(machine: Machine, page: "Page", run: str, tmp_path: Path) -> None:
    place = machine.api(f"/flow_runs/{run}")["parameters"]["report"]
    requests: list[str] = []
    # A page of its own: from that of the tests before Prefect's UI may still send requests.
    assert page.context.browser is not None
    page = page.context.browser.new_page()
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"file://{place}")
    for width in (1400, 400):
        page.set_viewport_size({"width": width, "height": 1000})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(_TORN_WORDS) == []
    assert "no|.mp4: no such file" in page.locator("body").inner_text()
    assert requests == [f"file://{place}"]
