"""The pool: a bad file costs itself and nothing else."""

import gc
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tasks.audio.pool import DecoderPool
from tasks.audio.window import Window
from tasks.errors import ConfigurationError, TransientError, VideoError
from tasks.storage import identify
from tests.audio.hearing import first_clip
from tests.audio.media import melody, tone, write_media

pytestmark = pytest.mark.long

_PATIENCE_SECONDS = 60  # of a busy machine


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_media(tmp_path / "good.mp4", melody(1, 48_000), 48_000)


@contextmanager
def served(respond: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A loopback HTTP server; gives its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        do_GET = do_HEAD = respond  # noqa: N815

        def log_message(self, format: str, *args: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def stuck() -> Iterator[tuple[str, threading.Event]]:
    """A video whose server never sends it, and the event that somebody has asked for it."""
    asked, over = threading.Event(), threading.Event()

    def respond(request: http.server.BaseHTTPRequestHandler) -> None:
        if request.command == "GET":
            asked.set()
            over.wait()
            request.close_connection = True
            return
        request.send_response(200)
        request.send_header("Content-Length", "1000000")
        request.send_header("Accept-Ranges", "bytes")
        request.end_headers()

    with served(respond) as address:
        yield f"{address}/a.mp4", asked
        over.set()


def failure(pool: DecoderPool, url: Path | str, window: Window) -> VideoError:
    with pytest.raises(VideoError) as caught:
        pool.extract(str(url), window)
    return caught.value


def is_alive(pid: int) -> bool:
    """Whether any thread of a process still runs: a dead one stays as a zombie until reaped."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        states = [(thread / "stat").read_text().rsplit(")", 1)[1].split()[0] for thread in threads]
    except (FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}").exists() and is_alive(pid)
    return states != ["Z"] and states != []


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_video_becomes_a_clip(pool: DecoderPool, window: Window, video: Path) -> None:
    extracted = pool.extract(str(video), window, identify(str(video)))

    clip = first_clip(extracted)
    assert clip.samples.size == pytest.approx(16_000, abs=800)
    assert clip.sampling_rate == 16_000
    assert not extracted.empty
    assert extracted.bytes_read > 0
    assert extracted.notes is None


def test_no_audio_stream_is_an_empty_clip(
    pool: DecoderPool, window: Window, tmp_path: Path
) -> None:
    path = write_media(tmp_path / "a.mp4", None, seconds=1)

    assert pool.extract(str(path), window).empty


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty-file"),
        (b"Dear customer,\n" * 1_000, "not-media"),
        (b"<!DOCTYPE html><html><body>404 not found</body></html>", "not-media"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nHello\n\n" * 20, "not-media"),
        (bytes(100_000), "not-media"),
        (np.random.default_rng(0).bytes(100_000), "not-media"),
    ],
    ids=["nothing", "text", "html", "subtitles", "zeros", "noise"],
)
def test_what_is_no_video_says_so(
    pool: DecoderPool, window: Window, tmp_path: Path, content: bytes, kind: str
) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)

    assert failure(pool, path, window).kind == kind


def test_missing_and_folder(pool: DecoderPool, window: Window, tmp_path: Path) -> None:
    assert failure(pool, tmp_path / "none.mp4", window).kind == "missing"
    assert failure(pool, tmp_path, window).kind == "missing"


def test_a_video_that_changed_since_it_was_looked_at(
    pool: DecoderPool, window: Window, video: Path
) -> None:
    before = identify(str(video))
    os.utime(video, ns=(1, 1))

    with pytest.raises(VideoError) as caught:
        pool.extract(str(video), window, before)

    assert caught.value.kind == "changed"


def test_a_video_that_never_comes_is_given_up(window: Window, tmp_path: Path, video: Path) -> None:
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    with DecoderPool(1, time_limit_s=5) as pool:
        pool.extract(str(video), window)
        stuck = pool.pids

        error = failure(pool, pipe, window)

        assert error.kind == "timeout"
        assert "5 seconds" in error.reason
        assert not any(is_alive(pid) for pid in stuck)
        assert not pool.extract(str(video), window).empty


def test_a_slow_server_is_given_up(window: Window) -> None:
    def drip(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000000")
        request.send_header("Accept-Ranges", "bytes")
        request.end_headers()
        if request.command == "GET":
            time.sleep(30)

    with served(drip) as address, DecoderPool(1, time_limit_s=3) as pool:
        assert failure(pool, f"{address}/a.mp4", window).kind == "timeout"


def test_a_killed_worker_costs_one_video(
    window: Window, video: Path, stuck: tuple[str, threading.Event]
) -> None:
    url, asked = stuck
    with DecoderPool(1) as pool, ThreadPoolExecutor(1) as thread:
        pool.extract(str(video), window)
        (child,) = pool.pids
        lost = thread.submit(failure, pool, url, window)
        assert asked.wait(_PATIENCE_SECONDS)
        os.kill(child, signal.SIGKILL)

        assert lost.result().kind == "crashed"
        assert "SIGKILL" in lost.result().reason
        assert not pool.extract(str(video), window).empty


def test_a_worker_that_dies_idle_costs_nothing(window: Window, video: Path) -> None:
    with DecoderPool(1) as pool:
        pool.extract(str(video), window)
        (child,) = pool.pids
        os.kill(child, signal.SIGKILL)
        assert eventually(lambda: not is_alive(child))

        assert not pool.extract(str(video), window).empty


def test_a_memory_bomb_costs_one_video(window: Window, tmp_path: Path, video: Path) -> None:
    # Ten seconds of 24 channels at 192 kHz: 190 MB as it is decoded, and as much to mix it.
    bomb = tmp_path / "bomb.wav"
    block = (24).to_bytes(2, "little") + (192_000).to_bytes(4, "little")
    block += (192_000 * 48).to_bytes(4, "little") + (48).to_bytes(2, "little") + b"\x10\0"
    size = 11 * 192_000 * 48
    with bomb.open("wb") as file:
        file.write(b"RIFF" + (size + 36).to_bytes(4, "little") + b"WAVEfmt \x10\0\0\0\x01\0")
        file.write(block + b"data" + size.to_bytes(4, "little"))
        file.truncate(size + 44)
    with DecoderPool(1, memory_limit=384 * 2**20) as pool:
        assert failure(pool, bomb, window).kind == "memory"
        assert not pool.extract(str(video), window).empty


def test_many_threads_share_the_children(window: Window, tmp_path: Path) -> None:
    tones = {
        frequency: write_media(
            tmp_path / f"{frequency}.wav", tone(1, 16_000, frequency), 16_000, "pcm_s16le"
        )
        for frequency in range(200, 440, 20)
    }
    with DecoderPool(2) as pool, ThreadPoolExecutor(8) as threads:
        results = threads.map(lambda path: pool.extract(str(path), window), tones.values())
        clips = [first_clip(result) for result in results]
        heard = [int(np.abs(np.fft.rfft(clip.waveform)).argmax()) for clip in clips]

        assert heard == list(tones)
        assert len(pool.pids) <= 2


def test_a_closed_pool_has_no_children_and_blames_no_video(
    window: Window, tmp_path: Path, video: Path
) -> None:
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    pool = DecoderPool(2)
    pool.extract(str(video), window)
    with ThreadPoolExecutor(1) as thread:
        under_way = thread.submit(pool.extract, str(pipe), window)
        assert eventually(lambda: len(pool.pids) == 1)
        pool.close()

        with pytest.raises(TransientError, match="stopped"):
            under_way.result()
    assert pool.pids == []
    with pytest.raises(TransientError, match="stopped"):
        pool.extract(str(video), window)
    pool.close()
    gc.collect()  # a pipe left open would warn here, and warnings are errors


def test_children_start_from_any_directory(
    window: Window, tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "__init__.py").write_text("raise SystemExit('not these tasks')")
    monkeypatch.chdir(tmp_path)
    with DecoderPool(1) as pool:
        assert not pool.extract(str(video), window).empty


def test_children_end_with_their_parent(stuck: tuple[str, threading.Event]) -> None:
    url, asked = stuck
    program = f"""
import threading, time
from tasks.audio.pool import DecoderPool
from tasks.audio.window import Window
pool = DecoderPool(1)
stuck = {url!r}, Window(16000, 16000)
threading.Thread(target=pool.extract, args=stuck, daemon=True).start()
while not pool.pids:
    time.sleep(0.01)
print(*pool.pids, flush=True)
input()
"""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert asked.wait(_PATIENCE_SECONDS)
        parent.kill()

    assert eventually(lambda: not is_alive(child))


def test_a_child_that_cannot_start_is_no_videos_fault(window: Window, video: Path) -> None:
    with DecoderPool(1, memory_limit=2**20) as pool, pytest.raises(ConfigurationError):
        pool.extract(str(video), window)


def test_a_child_is_replaced_after_many_videos(
    window: Window, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.audio.child.VIDEOS_PER_CHILD", 1)
    with DecoderPool(1) as pool:
        pool.extract(str(video), window)
        first = pool.pids
        pool.extract(str(video), window)

        assert len(first) == 1
        assert first != pool.pids
        assert len(pool.pids) == 1


def test_a_server_that_fails_is_tried_again_another_time(pool: DecoderPool, window: Window) -> None:
    def fail(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200 if request.command == "HEAD" else 503)
        request.send_header("Content-Length", "1000" if request.command == "HEAD" else "0")
        request.send_header("Accept-Ranges", "bytes")
        request.end_headers()

    with served(fail) as address, pytest.raises(TransientError):
        pool.extract(f"{address}/a.mp4", window)


def test_a_server_that_breaks_off_is_tried_again_another_time(
    pool: DecoderPool, window: Window, video: Path
) -> None:
    content = video.read_bytes()

    def break_off(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200 if request.command == "HEAD" else 206)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("Accept-Ranges", "bytes")
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(content[: len(content) // 2])
            request.close_connection = True

    with served(break_off) as address, pytest.raises(TransientError):
        pool.extract(f"{address}/a.mp4", window)
