"""The page to listen to: complete, bounded, and usable where people open it."""

import base64
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soxr

from flows.show.examples import Example, Examples
from flows.show.report import MAX_BYTES, Background, page, write_report
from flows.summary import ManifestRow, Summary
from tasks.audio.clip import Clip, make_clip
from tasks.audio.window import Window
from tasks.errors import VideoError
from tasks.labels import TagOptions
from tasks.scores import VideoScores
from tests.browser import open_browser
from tests.flows.show.test_sound import decoded, tone

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.long  # librosa, which draws the spectrograms, takes seconds to import

NOW = datetime(2026, 1, 31, tzinfo=UTC)
LABELS = ("Speech", "Music", "<b>Beep & co</b>")


def clip(number: int, seconds: float = 1.0) -> Clip:
    """A tone of its own for each number."""
    sound = tone(300 + 50 * number, seconds).astype(np.float32)
    return make_clip([(16_000, sound)], Window(16_000, len(sound)))


def examples(videos: int = 6) -> Examples:
    collected = Examples(LABELS, "softmax", 1.0, TagOptions())
    for number in range(videos):
        logits = np.zeros((1, len(LABELS)), np.float32)
        logits[0, number % 3] = 1 + number
        url = f"s3://key:secret@bucket/a long folder/<i>{number}.mp4"
        collected.add(url, VideoScores.of([0.0], logits))
    return collected


def number_of(example: Example) -> int:
    found = re.search(r"(\d+)\.mp4", example.url)
    assert found
    return int(found[1])


def extract(example: Example) -> bytes:
    return clip(number_of(example)).to_bytes()


def players(text: str) -> dict[int, bytes]:
    """The sound of each example in a page, by its number."""
    found = re.findall(r"&lt;i&gt;(\d+)\.mp4</p><img[^>]*><audio[^>]*base64,([^']*)'", text)
    return {int(number): base64.b64decode(sound) for number, sound in found}


@pytest.mark.long
def test_the_page_plays_the_clip_of_each_example() -> None:
    text = page(Summary(), "Completed", NOW, Background(examples=examples(), extract=extract))
    assert set(players(text)) == set(range(6))
    for number, opus in players(text).items():
        expected = soxr.resample(clip(number).waveform, 16_000, 48_000)
        assert np.corrcoef(decoded(opus)[: len(expected)], expected)[0, 1] > 0.98


def test_an_example_that_comes_again_leads_to_the_first() -> None:
    text = page(Summary(), "Completed", NOW, Background(examples=examples(), extract=extract))
    links = re.findall("href='#([^']*)'>listen above", text)
    assert len(links) == text.count("<audio") == 6
    assert set(links) == set(re.findall("<article id=([^>]*)>", text))


def test_one_that_cannot_be_read_again_says_so() -> None:
    def fail(example: Example) -> bytes | None:
        if number_of(example) == 1:
            raise VideoError("missing", "no such object")
        return None if number_of(example) == 2 else extract(example)

    text = page(Summary(), "Completed", NOW, Background(examples=examples(), extract=fail))
    assert set(players(text)) == {0, 3, 4, 5}
    assert "It could not be read again: no such object." in text
    assert "It no longer has sound." in text


def test_without_sound_nothing_is_extracted() -> None:
    text = page(Summary(), "Completed", NOW, Background(examples=examples()))
    assert "&lt;i&gt;5.mp4" in text
    assert "<audio" not in text
    assert "<img" not in text


def test_names_are_escaped_and_secrets_hidden() -> None:
    made_with = {"model": "<script>", "manifests": "s3://key:secret@bucket/*.jsonl"}
    text = page(Summary(), "Partial", NOW, Background(None, made_with, examples(), extract))
    for never in ("secret", "<i>5", "<b>Beep", "<script>"):
        assert never not in text
    assert "&lt;b&gt;Beep &amp; co&lt;/b&gt;" in text
    assert "s3://bucket/<wbr>*.jsonl" in text


def test_failures_name_their_ledgers() -> None:
    ledgers = Counter({"s3://b/2.jsonl.failures": 1})
    text = page(Summary(ledgers=ledgers), "Partial", NOW, Background())
    assert "<code>s3://b/<wbr>2.jsonl.failures</code>" in text


def test_nothing_is_loaded_from_elsewhere() -> None:
    run = "https://prefect.example/runs/flow-run/1?a=1&b=2"
    text = page(Summary(), "Completed", NOW, Background(run, {}, examples(), extract))
    assert set(re.findall(r"(?:src|href|url)\s*[=(]\s*'?([a-z]+:)", text)) == {"data:", "https:"}
    assert text.count("https:") == 1
    assert "href='https://prefect.example/runs/flow-run/1?a=1&amp;b=2'" in text


@pytest.mark.long
def test_a_page_is_never_larger_than_eight_megabytes() -> None:
    """Clips of a model that takes a minute, and a table as long as it gets."""
    noise = np.random.default_rng(0).normal(0, 0.2, 60 * 16_000).astype(np.float32)
    long = make_clip([(16_000, noise)], Window(16_000, len(noise))).to_bytes()
    many = Examples([f"label {row}" for row in range(20)], "sigmoid", 60.0, TagOptions())
    for number in range(200):
        logits = np.full((1, 20), -5, np.float32)
        logits[0, number % 20] = 2
        many.add(f"{number}.mp4", VideoScores.of([0.0], logits))
    rows = [ManifestRow(f"s3://bucket/{n:0100}.jsonl", 1, 1, 0, 0) for n in range(6_000)]
    background = Background(examples=many, extract=lambda _: long)
    text = page(Summary(rows=rows), "Completed", NOW, background)
    assert 0.9 * MAX_BYTES < len(text.encode()) <= MAX_BYTES
    assert "The page has reached its size limit." in text


@pytest.fixture(scope="module")
def browser() -> Iterator["Page"]:
    with open_browser() as page:
        yield page


@pytest.mark.server
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_a_browser_shows_and_plays_it(
    browser: "Page", tmp_path: Path, width: int, scheme: str
) -> None:
    background = Background(None, {"model": "m" * 200}, examples(), extract)
    summary = Summary(rows=[ManifestRow(f"s3://b/{'m' * 100}.jsonl", 5, 2, 2, 1)])
    summary.tags.update({"Speech": 3, "a label that is rather long for a telephone": 1})
    url = write_report(summary, "Completed", str(tmp_path / "page.html"), background)
    browser.set_viewport_size({"width": width, "height": 900})
    browser.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    browser.goto(f"file://{url}")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    played = browser.evaluate(
        """() => Promise.all([...document.querySelectorAll('audio')].map(async audio => {
            const data = await (await fetch(audio.src)).arrayBuffer();
            const sound = await new OfflineAudioContext(1, 1, 16000).decodeAudioData(data);
            return [...sound.getChannelData(0)];
        }))"""
    )
    text = Path(url).read_text()
    assert len(played) == len(re.findall("<audio", text)) >= 6
    numbers = re.findall(r"&lt;i&gt;(\d+)\.mp4</p><img", text)
    for number, sound in zip(numbers, played, strict=True):
        expected = clip(int(number)).waveform
        assert len(sound) == pytest.approx(len(expected), abs=50)
        shorter = min(len(sound), len(expected))
        assert np.corrcoef(sound[:shorter], expected[:shorter])[0, 1] > 0.98
    background_color = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background_color == "rgb(255, 255, 255)") == (scheme == "light")
