"""``make pictures``: make the README's pictures again, each from a real run on the demo's videos.

The terminal becomes ``terminal.svg``; a server with a worker is brought up for the run whose page
becomes ``ui.png``, taken by Chromium.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

DEMO = Path(__file__).resolve().parent
ROOT = DEMO.parent
MODEL = str(DEMO / "model")
WIDTH = 84
# The addresses of fonts on a server of others: what shows the picture has one of its own.
SVG_FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
OUTSIDE = {name: value for name, value in os.environ.items() if "PREFECT" not in name}


def prepare(folder: Path) -> Path:
    """A manifest with the demo's samples, and one whose video is not there."""
    (folder / "videos").symlink_to(DEMO / "videos")
    manifest = Path(shutil.copy(DEMO / "manifest.jsonl", folder))
    with manifest.open("a") as file:
        file.write(json.dumps({"videos": ["videos/gone.mp4"]}) + "\n")
    return manifest


def run(*command: str, env: dict[str, str], cwd: Path = ROOT) -> str:
    """Run a command outside of any Prefect server; return what it prints."""
    done = subprocess.run(command, env=OUTSIDE | env, cwd=cwd, stdout=subprocess.PIPE, text=True)
    return done.stdout


def draw_terminal(folder: Path) -> None:
    """Run the command line as on a terminal, and keep what it prints."""
    prepare(folder)
    typed = ["tag-videos", "manifest.jsonl", "--hf-ast", "demo/model"]
    (folder / "demo").symlink_to(DEMO)
    env = {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "COLUMNS": str(WIDTH)}
    program = str(Path(sys.executable).with_name(typed[0]))
    env["PREFECT_HOME"] = str(folder / "home")
    printed = run(program, *typed[1:], "--cache", "cache", cwd=folder, env=env)
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True)
        console.print(f"[bold green]$[/] {' '.join(typed)}", highlight=False)
        console.print(Text.from_ansi(printed), soft_wrap=False)
        console.save_svg(str(DEMO / "terminal.svg"), title="tag-videos", code_format=SVG_FORMAT)


def draw_ui(folder: Path) -> None:
    """Bring up what ``make up`` brings up, run the deployment, and photograph the run's page."""
    manifest, state = prepare(folder), folder / "state"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    home = {"PREFECT_API_URL": f"{url}/api", "PREFECT_HOME": str(state / "prefect")}
    local = [sys.executable, str(ROOT / "deployments" / "local.py")]
    subprocess.run([*local, "up", "--state", state, "--port", str(port)], env=OUTSIDE, check=True)
    try:
        parameters = {"manifests": [str(manifest)], "hf_ast": MODEL, "cache": str(folder / "cache")}
        printed = run(
            *(sys.executable, "-m", "prefect", "deployment", "run", "tag-videos/on-demand"),
            *("--flow-run-name", "tag-the-demo", "--watch", "--params", json.dumps(parameters)),
            env=home,
        )
        [run_id] = re.findall(r"UUID: (\S+)", printed)
        photograph(f"{url}/runs/flow-run/{run_id}", DEMO / "ui.png")
    finally:
        subprocess.run([*local, "down", "--state", state], env=OUTSIDE, check=True)


def photograph(url: str, picture: Path) -> None:
    """Take the page of a run, with its artifacts, by the system's Chromium."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(url)
        page.get_by_text("Artifacts", exact=True).last.click()
        page.wait_for_timeout(5000)  # until all is drawn, and nothing moves
        page.screenshot(path=picture)
        browser.close()


def main() -> None:
    """Make both."""
    for draw in (draw_terminal, draw_ui):
        with tempfile.TemporaryDirectory(prefix="tag-videos-pictures-") as folder:
            draw(Path(folder))


if __name__ == "__main__":
    main()
