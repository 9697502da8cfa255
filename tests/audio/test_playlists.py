"""A file that is really a playlist or a script opens nothing else, neither files nor URLs."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.audio.pool import DecoderPool
from tasks.audio.window import Window
from tasks.errors import VideoError
from tests.audio.hearing import first_clip
from tests.audio.media import tone, write_media

pytestmark = pytest.mark.long

PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{url}\n#EXT-X-ENDLIST\n",
    "hls-master": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100000\n{url}\n",
    "ffconcat": "ffconcat version 1.0\nfile '{url}'\n",
    "dash": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" '
    'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" type="static" '
    'mediaPresentationDuration="PT2S"><Period><AdaptationSet mimeType="audio/mp4">'
    '<Representation id="1" bandwidth="1000"><BaseURL>{url}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "a=control:{url}\nm=audio 5004 RTP/AVP 0\n",
    "asx": '<ASX version="3.0"><Entry><Ref href="{url}"/></Entry></ASX>',
    "pls": "[playlist]\nFile1={url}\nNumberOfEntries=1\n",
    "m3u": "#EXTM3U\n{url}\n",
    "smil": '<smil><body><audio src="{url}"/></body></smil>',
    "imf": '<?xml version="1.0"?><AssetMap><ChunkList><Chunk><Path>{url}</Path></Chunk>'
    "</ChunkList></AssetMap>",
    "rtsp-redirect": "RTSPtext\n[Reference]\nRef1={url}\n",
    "ffmetadata": ";FFMETADATA1\ntitle={url}\n",
    "avisynth": 'DirectShowSource("{url}")\n',
}


class Tempting(http.server.ThreadingHTTPServer):
    """Serves a sound to whoever asks, and remembers who did."""

    content = b""
    asked: list[str]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Tempting

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    return write_media(tmp_path / "planted.wav", tone(2, 16_000), 16_000, "pcm_s16le")


@pytest.fixture
def server(planted: Path) -> Iterator[Tempting]:
    with Tempting(("127.0.0.1", 0), _Handler) as server:
        server.content, server.asked = planted.read_bytes(), []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("playlist", PLAYLISTS)
@pytest.mark.parametrize("place", ["path", "name", "file", "http"])
def test_a_playlist_opens_nothing(
    pool: DecoderPool,
    window: Window,
    tmp_path: Path,
    planted: Path,
    server: Tempting,
    playlist: str,
    place: str,
) -> None:
    url = {
        "path": str(planted),
        "name": planted.name,
        "file": f"file://{planted}",
        "http": f"http://127.0.0.1:{server.server_port}/planted.wav",
    }[place]
    path = tmp_path / "a.mp4"
    path.write_text(PLAYLISTS[playlist].format(url=url))

    with pytest.raises(VideoError) as caught:
        pool.extract(str(path), window)

    assert caught.value.kind == "not-media"
    assert server.asked == []


def test_a_movie_that_refers_to_another_file_opens_nothing(
    pool: DecoderPool, window: Window, tmp_path: Path, planted: Path
) -> None:
    # A QuickTime reference: the sound is said to lie in another file (dref with an alias).
    movie = write_media(tmp_path / "a.mov", tone(2, 16_000), 16_000, "pcm_s16le", pictures=None)
    data = movie.read_bytes()
    own = b"\x00\x00\x00\x0curl \x00\x00\x00\x01"
    other = b"\x00\x00\x00\x0curl \x00\x00\x00\x00"
    assert own in data
    quiet = data.replace(own, other)
    start = quiet.index(b"mdat") + 4
    movie.write_bytes(quiet[:start] + bytes(64_000) + quiet[start + 64_000 :])

    extracted = pool.extract(str(movie), window)

    assert first_clip(extracted).peak == 0
