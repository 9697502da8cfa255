"""Label maps: read, checked against the model, and the one for AudioSet that ships."""

import hashlib
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from tasks.errors import ConfigurationError
from tasks.labels import LabelMap
from tests.conftest import S3Server

CSV = """label,group
"Male speech, man speaking",Speech
Guitar,Music
Rain,
*,Other
"""
GROUPS = {"Male speech, man speaking": "Speech", "Guitar": "Music", "Rain": None, "*": "Other"}


def load(folder: Path, name: str, text: str) -> LabelMap:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return LabelMap.load(str(path))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("map.csv", CSV),
        ("map.csv", "\ufeff" + CSV.replace("\n", "\r\n")),
        ("map.CSV", CSV.partition("\n")[2]),
        ("map.json", json.dumps(GROUPS)),
    ],
)
def test_json_and_csv_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    read = load(tmp_path, name, text)
    assert (read.name, read.groups) == (name, GROUPS)


def test_a_map_may_lie_on_s3(s3: S3Server) -> None:
    url = f"{s3.bucket()}/map.csv"
    s3.put(url, CSV.encode())
    assert LabelMap.load(url).groups == GROUPS


def test_the_star_says_what_others_become() -> None:
    labels, named = ("Guitar", "Rain", "Wind"), {"Guitar": "Music", "Rain": None}
    others = LabelMap("m", named | {"*": "Other"})
    assert [others.group(label) for label in labels] == ["Music", "Rain", "Other"]
    for stay in (LabelMap("m", named), LabelMap("m", named | {"*": None})):
        assert [stay.group(label) for label in labels] == ["Music", "Rain", "Wind"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("map.json", "[1]", "not a JSON object"),
        ("map.json", "{", "Expecting"),
        ("map.json", '{"a": "b", "a": "c"}', "names a twice"),
        ("map.json", '{"a": 1}', "group of a is not a name"),
        ("map.json", '{"a": {"b": "c"}}', "group of a is not a name"),
        ("map.json", '{"a": " "}', "group of a is not a name"),
        ("map.json", '{"a": "EMPTY"}', "without sound"),
        ("map.json", "{}", "names no label"),
        ("map.csv", "", "names no label"),
        ("map.csv", "a,b\na,c\n", "names a twice"),
        ("map.csv", "Male speech, man speaking,Speech\n", "3 cells"),
        ("map.csv", "a\n", "1 cells"),
        ("map.yaml", "a: b", "neither a .json nor a .csv"),
        ("map", "a: b", "neither a .json nor a .csv"),
    ],
)
def test_what_is_no_map_is_refused_in_a_sentence(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        load(tmp_path, name, text)
    assert name in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no\.csv cannot be used"):
        LabelMap.load(str(tmp_path / "no.csv"))


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_bytes(b"a,\xff\n")
    with pytest.raises(ConfigurationError, match="utf-8"):
        LabelMap.load(str(path))


def test_labels_that_the_model_has_not_are_told() -> None:
    labels = ["Speech", "Guitar"]
    assert LabelMap("m", {"Speech": "a", "*": "b"}).check(labels) is None
    note = LabelMap("m", {"Speech": "a", "Guitarr": "b"}).check(labels)
    assert note is not None
    assert "names a label that the model does not have: 'Guitarr'; did you mean 'Guitar'?" in note
    with pytest.raises(ConfigurationError, match=r"none of the model's labels.*'Speech', 'Guitar'"):
        LabelMap("m", {"yes": "a", "*": "b"}).check(labels)


def test_the_fingerprint_is_of_the_content() -> None:
    one, other = LabelMap("m", {"a": "b", "c": None}), LabelMap("n", {"c": None, "a": "b"})
    assert one.fingerprint == other.fingerprint
    assert LabelMap("m", {"a": "b", "c": "d"}).fingerprint != one.fingerprint


def test_the_map_of_audioset_names_each_of_its_labels_once() -> None:
    shipped = LabelMap.load("audioset")
    labels = sorted(shipped.groups)
    assert len(labels) == 527
    # Of the names in AudioSet's own class_labels_indices.csv.
    digest = hashlib.sha256("\n".join(labels).encode()).hexdigest()
    assert digest.startswith("48a50a1311afa25b")
    sizes = Counter(shipped.groups.values())
    assert len(sizes) == 15
    assert min(sizes.values()) >= 7
    assert shipped.check(labels) is None


def test_its_groups_are_those_that_a_curator_expects() -> None:
    shipped = LabelMap.load("audioset")
    expected = {
        "Narration, monologue": "Speech",
        "Singing": "Singing",  # 27 of the model's, which others took for laughter
        "Giggle": "Laughter and crying",
        "Jazz": "Music",
        "Violin, fiddle": "Instrument",
        "Applause": "Crowd",
        "Bark": "Animal",
        "Rain": "Nature and water",
        "Helicopter": "Vehicle",
        "Drill": "Machine and tool",
        "Police car (siren)": "Alarm and signal",
        "Dishes, pots, and pans": "Household and impact",
        "Gunshot, gunfire": "Explosion and gunfire",
        "Silence": "Silence and noise",
        "Cough": "Body sound",
    }
    assert {label: shipped.group(label) for label in expected} == expected


@pytest.mark.skipif("SHARED" not in os.environ, reason="$SHARED names no folder")
def test_it_names_the_labels_of_ast() -> None:
    config = Path(os.environ["SHARED"], "reference", "ast-tiny-random", "config.json")
    labels = set(json.loads(config.read_text())["id2label"].values())
    assert labels == set(LabelMap.load("audioset").groups)
