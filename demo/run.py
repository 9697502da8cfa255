"""``make demo``: tag the demo videos with the demo model, show the result, and run again."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

DEMO = Path(__file__).parent
FLOW = DEMO.parent / "flows" / "tag.py"

NEXT = {
    ".venv/bin/tag-videos MANIFEST.jsonl --hf-ast demo/model": "your manifest, the demo model",
    ".venv/bin/tag-videos MANIFEST.jsonl": "the default model (346 MB, fetched once)",
    ".venv/bin/tag-videos --help": "all options",
    "make up": "a server with its UI, and nightly runs",
}


def tag(manifest: Path, cache: Path) -> str:
    """Run the flow as a user would; return a sentence about it."""
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
    summary = json.loads(done.stdout.splitlines()[-1])
    return (
        f"Samples tagged: {summary['tagged']}; tagged before: {summary['skipped']}; "
        f"{summary['videos']} videos in {summary['seconds']:.1f} s."
    )


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
        console.print(first)
        console.print("Again, to see that nothing is left to do ...")
        console.print(tag(manifest, folder / "cache"))
    console.print("\nWhat to type next:")
    for command, what in NEXT.items():
        console.print(f"  [bold]{command}[/]\n      {what}")


if __name__ == "__main__":
    main()
