"""What data-juicer and Hugging Face wrote, tagged, still loads in ``datasets``."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.manifests import Fields
from tasks.merge import merge
from tasks.tags import Score, Span, VideoTags

pytestmark = pytest.mark.long

SAMPLES = [
    {
        "text": "<__dj__video> hello ünïcode <|__dj__eoc|>",
        "videos": ["videos/a.mp4"],
        "__dj__meta__": {"lang": "en", "score": 0.10},
        "__dj__stats__": {"num_words": 12345678901234},
        "__key__": "shard-000/0001",
    },
    {
        "text": "",
        "videos": ["videos/a.mp4", "videos/b.mp4"],
        "__dj__meta__": {"lang": "de", "score": 1e-9},
        "__dj__stats__": {"num_words": 0},
        "__key__": "shard-000/0002",
    },
]
LABELS = [["Speech"], ["Speech", "EMPTY"]]


SCORES: list[Score] = [{"label": "Speech", "score": 0.81, "peak": 0.97}]
TIMELINE: list[Span] = [{"start": 0.0, "end": 20.5, "label": "Speech", "score": 0.9}]


class Outcomes:
    """Labels by file name."""

    def get(self, url: str, /) -> VideoTags:
        label = {"a.mp4": "Speech", "b.mp4": "EMPTY"}[Path(url).name]
        if label == "EMPTY":
            return VideoTags(label, [], [])
        return VideoTags(label, SCORES, TIMELINE)


def write(path: Path) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(SAMPLES), path)
    else:
        path.write_text("".join(json.dumps(sample) + "\n" for sample in SAMPLES))


@pytest.mark.parametrize("meta", [None, "__dj__meta__"])
@pytest.mark.parametrize("name", ["m.jsonl", "m.parquet"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_loads_back(tmp_path: Path, name: str, meta: str | None) -> None:
    import datasets  # imports for a second

    write(tmp_path / name)
    url = str(tmp_path / name)
    fields = Fields(meta=meta, scores="scores", timeline="timeline", provenance="made_by")
    assert merge(url, url, fields, Outcomes(), provenance="m@1").tagged == 2
    kind = "parquet" if name.endswith("parquet") else "json"
    loaded = datasets.load_dataset(
        kind, data_files=url, split="train", cache_dir=str(tmp_path / "cache")
    )
    for row, sample, labels in zip(loaded, SAMPLES, LABELS, strict=True):
        holder = row if meta is None else row[meta]
        assert holder.pop("video_audio_tags") == labels
        assert holder.pop("scores") == [SCORES, []][: len(labels)]
        assert holder.pop("timeline") == [TIMELINE, []][: len(labels)]
        assert holder.pop("made_by") == "m@1"
        assert row == sample
