"""What every store promises.

A store inherits :class:`ReadContract`, or :class:`WriteContract` if it can be written, and supplies
how files are put there and read by somebody else: nothing here is judged by our own code.
"""

import json
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

import pytest

from tasks import storage
from tasks.errors import FailureKind, StorageError
from tasks.storage import Identity

CONTENT = bytes(range(256)) * 5000  # more than a buffer
NAMES = ["a.jsonl", "a::b.jsonl", "[x].jsonl", "[!a]*?.jsonl", "two words.jsonl", "é ü.jsonl",
         "100%41.jsonl", "#1.jsonl", "me@home.jsonl", "{a,b}.jsonl", "~.jsonl"]  # fmt: skip


class ReadContract:
    """The tests of reading. A subclass is named Test..., so that they are collected.

    Attributes:
        lists: the store can list folders.
        tells_size: it says how long a file is before it is read.
    """

    lists: ClassVar[bool] = True
    tells_size: ClassVar[bool] = True

    @pytest.fixture
    def base(self) -> str:
        """The URL of an empty folder."""
        raise NotImplementedError

    def put(self, url: str, content: bytes) -> None:
        """Write a file past our code."""
        raise NotImplementedError

    def url(self, base: str, name: str) -> str:
        """The URL of a name, where that is more than the name behind the folder's."""
        return f"{base}/{name}"

    @pytest.mark.parametrize("name", NAMES)
    def test_a_file_of_any_name_is_read(self, base: str, name: str) -> None:
        url = self.url(base, name)
        self.put(url, CONTENT)
        identity = storage.identify(url)
        assert identity.size == (len(CONTENT) if self.tells_size else -1)
        for seekable in (False, True):
            stream, opened = storage.open_for_reading(url, seekable=seekable)
            with stream:
                assert stream.read() == CONTENT
            assert opened == identity
        if self.lists:
            assert storage.list_files(url).files == [url]
            assert storage.list_files(base).files == [url]

    def test_it_is_read_at_any_offset(self, base: str) -> None:
        url = self.url(base, "a.mp4")
        self.put(url, CONTENT)
        with storage.open_for_reading(url, seekable=True).stream as stream:
            for offset in (len(CONTENT) - 3, 70_000, 0):
                assert stream.seek(offset) == offset
                assert stream.read(5) == CONTENT[offset : offset + 5]
            assert stream.seek(0, 2) == len(CONTENT)
            assert stream.read(5) == b""

    def test_an_empty_file_is_a_file(self, base: str) -> None:
        url = self.url(base, "empty.jsonl")
        self.put(url, b"")
        assert storage.identify(url).size == (0 if self.tells_size else -1)
        with storage.open_for_reading(url, seekable=False).stream as stream:
            assert stream.read() == b""

    def test_another_content_is_another_identity(self, base: str) -> None:
        url = self.url(base, "a.mp4")
        self.put(url, b"one")
        first = storage.identify(url)
        assert storage.identify(url) == first
        self.put(url, b"longer")
        assert storage.identify(url) != first

    @pytest.mark.parametrize("name", ["gone.mp4", "gone/a.mp4", "[x].mp4", "漢" * 100 + ".mp4"])
    def test_what_is_not_there_is_missing(self, base: str, name: str) -> None:
        url = self.url(base, name)
        assert storage.find(url) is None
        for attempt in (storage.identify, lambda url: storage.open_for_reading(url, seekable=True)):
            with pytest.raises(StorageError) as missing:
                attempt(url)
            assert missing.value.kind is FailureKind.MISSING


class WriteContract(ReadContract):
    """The tests of a store that can be written as well."""

    def get(self, url: str) -> bytes:
        """Read a file past our code."""
        raise NotImplementedError

    def names(self, base: str) -> list[str]:
        """The names of all files below a folder, hidden ones too, past our code."""
        raise NotImplementedError

    @pytest.fixture
    def new(self, tmp_path: Path) -> Path:
        path = tmp_path / f"new-{uuid4().hex}"
        path.write_bytes(b"new content\n")
        return path

    @pytest.mark.parametrize("name", NAMES)
    def test_a_file_of_any_name_is_replaced(self, base: str, name: str, new: Path) -> None:
        url = self.url(base, name)
        storage.replace(url, new, None)
        assert self.get(url) == b"new content\n"
        with storage.scratch(url) as scratch:
            scratch.write_bytes(b"newer content\n")
            storage.replace(url, scratch, storage.identify(url))
        assert self.get(url) == b"newer content\n"
        storage.overwrite(url, new)
        assert self.get(url) == b"new content\n"
        assert self.names(base) == [storage.name(url)]
        storage.remove(url)
        storage.remove(url)
        assert self.names(base) == []

    def test_nothing_else_is_ever_replaced(self, base: str, new: Path) -> None:
        url = self.url(base, "m.jsonl")
        self.put(url, b"theirs\n")
        read = storage.identify(url)
        self.put(url, b"theirs, later\n")
        for expected in (read, None, Identity(14, "nonsense")):
            with pytest.raises(StorageError) as refused:
                storage.replace(url, new, expected)
            assert refused.value.kind is FailureKind.CHANGED
        assert self.get(url) == b"theirs, later\n"
        with pytest.raises(StorageError) as gone:
            storage.replace(self.url(base, "gone.jsonl"), new, read)
        assert gone.value.kind is FailureKind.CHANGED
        assert self.names(base) == ["m.jsonl"]

    def test_a_listing_passes_over_what_is_hidden(self, base: str) -> None:
        for name in ("a.jsonl", "d/b.jsonl", "[x]/c.jsonl", "_SUCCESS", "_log/0.json", "d/_x.jsonl",
                     "[x]/_log/1.json", ".a.jsonl.1.tmp", ".cache/d.jsonl"):  # fmt: skip
            self.put(f"{base}/{name}", json.dumps({}).encode())
        shown = [f"{base}/{name}" for name in ("[x]/c.jsonl", "a.jsonl", "d/b.jsonl")]
        assert storage.list_files(base).files == shown
        assert storage.list_files(f"{base}/**/*.jsonl").files == shown
        assert storage.list_files(f"{base}/[ab].jsonl").files == [f"{base}/a.jsonl"]
        assert storage.list_files(f"{base}/[x]").files == [f"{base}/[x]/c.jsonl"]
        # What is typed is asked for.
        assert storage.list_files(f"{base}/_log").files == [f"{base}/_log/0.json"]
        assert storage.list_files(f"{base}/_log/*").files == [f"{base}/_log/0.json"]
        assert storage.list_files(f"{base}/[x]/_log").files == [f"{base}/[x]/_log/1.json"]
        assert storage.list_files(f"{base}/d/_*").files == [f"{base}/d/_x.jsonl"]
        assert storage.list_files(f"{base}/*.csv").files == []

    def test_a_listing_is_always_fresh(self, base: str) -> None:
        self.put(f"{base}/a.jsonl", b"")
        assert storage.list_files(base).files == [f"{base}/a.jsonl"]
        self.put(f"{base}/b.jsonl", b"")
        assert storage.list_files(base).files == [f"{base}/a.jsonl", f"{base}/b.jsonl"]
