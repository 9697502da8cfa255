"""Videos on web servers, also on such as cannot read in parts, or do not tell a size."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tasks.audio.pool import DecoderPool
from tasks.audio.window import Window
from tasks.cache import Cache
from tasks.extract import extract_unit
from tasks.model import CheckpointId
from tasks.pruning import entries
from tasks.storage import identify
from tasks.tag import tag_unit
from tasks.tagger import Tagger, TaggerRequest
from tests.audio.media import tone, write_media
from tests.flows.conftest import DEMO_MODEL
from tests.web import serving

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds an MP4 of several blocks, whose index is at its end."""
    folder = tmp_path_factory.mktemp("web")
    write_media(folder / "a.mp4", tone(15, 44_100), seconds=180)
    assert (folder / "a.mp4").stat().st_size > 2**21
    return folder


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def without_parts(folder: Path) -> Iterator[str]:
    """Python's own web server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def in_chunks(folder: Path) -> Iterator[str]:
    """Tells neither size nor anything else."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [])
        content = (folder / environ["PATH_INFO"][1:]).read_bytes()
        yield from (content[at : at + 65_536] for at in range(0, len(content), 65_536))

    with serving(answer) as address:
        yield address


@pytest.mark.parametrize("kind", ["without_parts", "in_chunks"])
def test_a_video_is_heard_as_on_a_disk(
    kind: str, folder: Path, pool: DecoderPool, window: Window, request: pytest.FixtureRequest
) -> None:
    url = f"{request.getfixturevalue(kind)}/a.mp4"
    far = pool.extract(url, window, identify(url))
    near = pool.extract(f"{folder}/a.mp4", window)
    assert [*far.clips] == [*near.clips]
    assert far.bytes_read == (folder / "a.mp4").stat().st_size


def test_what_cannot_be_told_apart_is_not_kept(in_chunks: str, tmp_path: Path) -> None:
    tagger = Tagger.find(TaggerRequest(CheckpointId(DEMO_MODEL), "mix", "cpu", "float32", 2))
    url, cache = f"{in_chunks}/a.mp4", Cache(str(tmp_path))
    assert not identify(url).is_known
    for _ in range(2):
        unit = extract_unit([url], tagger, cache)
        assert [one.cached for one in unit.extracted] == [False]
        assert set(tag_unit(unit, tagger, cache).scores) == {url}
    assert [*entries(cache)] == []
