"""Merges for tests: manifests to write and look at, and somebody who meddles."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.manifests.ledger import ledger_of
from tasks.plan import Manifest, ManifestPlan
from tasks.tags import VideoTags

MUSIC, SPEECH = VideoTags("Music"), VideoTags("Speech")


def lines(*samples: object) -> bytes:
    return "".join(json.dumps(sample) + "\n" for sample in samples).encode()


def tags(path: Path) -> list[Any]:
    return [
        json.loads(line).get("video_audio_tags", "none") for line in path.read_bytes().splitlines()
    ]


def ledger(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(ledger_of(str(path))).read_bytes().splitlines()]


def plan_of(path: Path) -> ManifestPlan:
    return ManifestPlan(Manifest(0, str(path), str(path), str(path.parent)), untagged=1)


class Meddling(dict[str, Any]):
    """Outcomes; on the way, ``times`` times, someone else does ``meddle``."""

    def __init__(self, known: dict[str, Any], meddle: Callable[[], object], times: int) -> None:
        super().__init__(known)
        self.meddle, self.times = meddle, times

    def get(self, url: str, default: Any = None, /) -> Any:
        if self.times:
            self.times -= 1
            self.meddle()
        return super().get(url, default)
