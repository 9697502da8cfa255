"""Label maps: from a model's labels to the groups that a curator wants."""

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from typing import Self, TypeVar

from tasks.errors import ConfigurationError, StorageError
from tasks.shown import shown_url, some
from tasks.storage import name, open_for_reading
from tasks.tags import EMPTY

_SHIPPED = {"audioset": "audioset.json"}
_OTHERS = "*"
_MAX_BYTES = 4 << 20
_EXAMPLES = 3

Groups = Mapping[str, str | None]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class LabelMap:
    """The group of each label, by the label's name.

    Attributes:
        name: the file's name, or that of a map that ships.
        groups: the group of each label; that of ``*`` holds for all labels that are not named.
            A label whose group is None keeps its name; so does one that is not named, if there
            is no ``*``.
    """

    name: str
    groups: Groups

    @classmethod
    def load(cls, path: str) -> Self:
        """Read a map: ``audioset``, which ships, or a JSON or CSV file, by path or URL.

        JSON is one object, ``{"Guitar": "Music", "*": "Other"}``. CSV has two columns, label and
        group; a first row ``label,group`` is a header. A null, or an empty cell, stands for None.

        Raises:
            ConfigurationError: there is no such file, or it is not a label map.
        """
        if path in _SHIPPED:
            text = files("tasks.labels").joinpath(_SHIPPED[path]).read_text(encoding="utf-8")
            return cls(path, _from_json(text))
        parse = {".json": _from_json, ".csv": _from_csv}.get(path[path.rfind(".") :].lower())
        if parse is None:
            raise ConfigurationError(
                f"The label map {shown_url(path)} is neither a .json nor a .csv file; one that"
                f" ships: {', '.join(_SHIPPED)}."
            )
        try:
            return cls(name(path), _checked(parse(_read(path))))
        except StorageError as error:
            reason = error.reason
        except ValueError as error:
            reason = str(error)
        raise ConfigurationError(f"The label map {shown_url(path)} cannot be used: {reason}.")

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that change with any group."""
        content = json.dumps(dict(self.groups), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:8]

    def group(self, label: str) -> str:
        """Return the group of a label; the label itself if the map gives it none."""
        return self.groups.get(label, self.groups.get(_OTHERS)) or label

    def check(self, labels: Sequence[str]) -> str | None:
        """Compare the map with a model's labels; return a warning if it names labels that the model
        does not have.

        Raises:
            ConfigurationError: it names none of the labels.
        """
        unknown = [label for label in self.groups if label not in {*labels, _OTHERS}]
        if not unknown:
            return None
        if len(unknown) == len(self.groups.keys() - {_OTHERS}):
            raise ConfigurationError(
                f"The label map {self.name} names none of the model's labels, which"
                f" are {_listed(labels)}."
            )
        close = [near for label in unknown for near in get_close_matches(label, labels, 1, 0.8)]
        meant = f"; did you mean {_listed(close)}?" if close else ""
        some = "a label" if len(unknown) == 1 else f"{len(unknown):,} labels"
        return (
            f"the label map {self.name} names {some} that the model does not have:"
            f" {_listed(unknown)}{meant}"
        )


def _read(path: str) -> str:
    stream, _ = open_for_reading(path, seekable=False)
    with stream:
        data = stream.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError(f"it is larger than {_MAX_BYTES >> 20} MB")
    return data.decode("utf-8-sig")


def _from_json(text: str) -> Groups:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        return dict(_once(pairs))

    groups = json.loads(text, object_pairs_hook=once)
    if not isinstance(groups, dict):
        raise ValueError("it is not a JSON object")
    return groups


def _from_csv(text: str) -> Groups:
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, "")) if row]
    if rows and [cell.lower() for cell in rows[0]] == ["label", "group"]:
        del rows[0]
    for row in rows:
        if len(row) != 2:
            raise ValueError(f"a row has {len(row)} cells, not two (label and group): {row[0]}")
    return _once([(label, group or None) for label, group in rows])


def _once(pairs: Sequence[tuple[str, T]]) -> dict[str, T]:
    groups: dict[str, T] = {}
    for label, group in pairs:
        if label in groups:
            raise ValueError(f"it names {label} twice")
        groups[label] = group
    return groups


def _checked(groups: Groups) -> Groups:
    if not groups:
        raise ValueError("it names no label")
    for label, group in groups.items():
        if group is not None and not (isinstance(group, str) and group.strip()):
            raise ValueError(f"the group of {label} is not a name")
        if group == EMPTY:
            raise ValueError(
                f"{EMPTY} is the tag of a video without sound, so no group can have this name"
            )
    return groups


def _listed(names: Sequence[str]) -> str:
    return some(list(map(repr, names)), _EXAMPLES)
