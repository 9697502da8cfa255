"""What reading the start of a 214 MB video from S3 costs, beside s3fs's default and a download."""

import os
import tempfile
from pathlib import Path

import av
import s3fs

from tasks.audio.pool import DecoderPool
from tasks.audio.window import Window
from tasks.storage import Identity
from tests.audio.counted import ENVIRONMENT, counted_s3
from tests.audio.media import write_long_media

WINDOW = Window(sampling_rate=16_000, num_samples=164_080)
# 105 minutes; with its sound the file has 214 MB, and an MP4 an index of 3.4 MB.
SECONDS, PICTURE_BYTES = 6_300, 114_000_000
LAYOUTS: dict[str, tuple[str, dict[str, str]]] = {
    "mp4, index last": (".mp4", {}),
    "mp4, index first": (".mp4", {"movflags": "faststart"}),
    "mp4, fragmented": (
        ".mp4",
        {"movflags": "frag_keyframe+empty_moov", "frag_duration": "2000000"},
    ),
    "mkv": (".mkv", {}),
}


def ours(url: str, identity: Identity) -> None:
    with DecoderPool(1) as pool:
        pool.extract(url, WINDOW, identity)


def with_default_cache(url: str, identity: Identity) -> None:
    with s3fs.S3FileSystem().open(url) as file, av.open(file) as container:
        for frame in container.decode(audio=0):
            if (frame.time or 0.0) > WINDOW.seconds:
                break


def download(url: str, identity: Identity) -> None:
    with tempfile.NamedTemporaryFile() as local:
        s3fs.S3FileSystem(max_concurrency=1).get_file(url, local.name)


WAYS = {"ours": ours, "s3fs's default cache": with_default_cache, "download": download}


def main() -> None:
    os.environ.update(ENVIRONMENT)
    print(f"{'layout':17} {'way':20} {'MB':>9} {'GETs':>6} {'HEADs':>6}")
    with counted_s3() as server, tempfile.TemporaryDirectory() as folder:
        os.environ["AWS_ENDPOINT_URL"] = server.endpoint
        for layout, (suffix, options) in LAYOUTS.items():
            path = Path(folder) / f"{layout}{suffix}"
            url, identity = server.put(write_long_media(path, SECONDS, PICTURE_BYTES, options))
            path.unlink()
            for way, read in WAYS.items():
                server.reset()
                read(url, identity)
                gets, heads = server.requests.count("GET"), server.requests.count("HEAD")
                megabytes = server.bytes_sent / 1e6
                print(f"{layout:17} {way:20} {megabytes:9.2f} {gets:6} {heads:6}", flush=True)


if __name__ == "__main__":
    main()
