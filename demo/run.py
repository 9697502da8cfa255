"""``make demo``: tag the demo videos with the demo model, show the result, and run again."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

DEMO = Path(__file__).parent
FLOW = DEMO.parent / "flows" / "tag.py"

NEXT = {
    "tag-videos MANIFEST.jsonl --hf-ast demo/model": "your manifest, the demo model",
    "tag-videos MANIFEST.jsonl": "the default model (346 MB, fetched once)",
    "tag-videos --help": "all options",
}


def tag(manifest: Path, cache: Path) -> dict[str, Any]:
    """Run the flow as a user would; its summary."""
    options = ["--hf-ast", str(DEMO / "model"), "--cache", str(cache), "--json"]
    # Quiet, since the result is shown below; a warning would still be seen.
    quiet = {"PREFECT_LOGGING_LEVEL": "WARNING", "DO_NOT_TRACK": "1"}
    done = subprocess.run(
        [sys.executable, str(FLOW), str(manifest), *options],
        env=os.environ | quiet,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return summary


def show(manifest: Path, console: Console) -> None:
    """A row for each sample: what it is, and how it was tagged."""
    table = Table("videos", "what it is", "video_audio_tags", show_lines=True)
    for line in manifest.read_text().splitlines():
        sample = json.loads(line)
        videos = "\n".join(Path(video).name for video in sample["videos"]) or "(none)"
        tags = "\n".join(sample["video_audio_tags"]) or "(none)"
        table.add_row(videos, sample["text"], f"[bold]{tags}[/]")
    console.print(table)


def main() -> None:
    console = Console()
    with tempfile.TemporaryDirectory(prefix="video-audio-tags-demo-") as scratch:
        folder = Path(scratch)
        manifest = Path(shutil.copy(DEMO / "manifest.jsonl", folder))
        shutil.copytree(DEMO / "videos", folder / "videos")
        console.print("Tagging the demo videos with the demo model. No network is needed; most of")
        console.print("the seconds are the start of a temporary Prefect server, twice.")
        first = tag(manifest, folder / "cache")
        show(manifest, console)
        console.print(
            f"Samples tagged: {first['tagged']}; tagged before: {first['skipped']}; "
            f"{first['videos']} videos in {first['seconds']:.1f} s."
        )
        console.print("Again, to see that nothing is left to do ...")
        second = tag(manifest, folder / "cache")
        console.print(
            f"Samples tagged: {second['tagged']}; tagged before: {second['skipped']}; "
            f"{second['videos']} videos in {second['seconds']:.1f} s."
        )
    console.print("\nWhat to type next:")
    for command, what in NEXT.items():
        console.print(f"  [bold].venv/bin/{command}[/]\n      {what}")
    console.print("  [bold]make up[/]\n      a server with its UI, and nightly runs")


if __name__ == "__main__":
    main()
