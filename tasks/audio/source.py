"""Read a video in place: in blocks, counted, and only as long as it stays the same file."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EINVAL
from io import SEEK_CUR, SEEK_END
from typing import IO

from fsspec.caching import BaseCache
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from tasks import storage
from tasks.errors import FailureKind, StorageError, TransientError, VideoError
from tasks.storage import Identity, translated
from tasks.storage.paths import is_s3
from tasks.storage.web import is_web, open_seekable

# This size reads the fewest bytes in at most 5 requests: see benchmarks/s3_reading.py, where s3fs's
# own blocks of 50 MiB read 52 to 108 MB of a video.
BLOCK_SIZE = 2**20
_MAX_BLOCKS = 32


class Blocks(BaseCache):  # type: ignore[misc]
    """A cache of blocks that begin where FFmpeg reads, not at multiples of their size.

    The index at the end of an MP4 then costs its own length: fsspec's ``blockcache`` reads up to
    a block more, by one more request.
    """

    name = "unaligned-blocks"

    def __init__(self, fetcher: Callable[[int, int], bytes], size: int) -> None:
        super().__init__(BLOCK_SIZE, fetcher, size)
        self._blocks: deque[tuple[int, bytes]] = deque(maxlen=_MAX_BLOCKS)

    def _fetch(self, start: int | None, stop: int | None) -> bytes:
        offset, end = start or 0, self.size if stop is None else min(stop, self.size)
        parts = []
        while offset < end:
            begin, block = self._block_with(offset)
            parts.append(block[offset - begin : end - begin])
            offset += len(parts[-1])
        return b"".join(parts)

    def _block_with(self, offset: int) -> tuple[int, bytes]:
        for begin, block in self._blocks:
            if begin <= offset < begin + len(block):
                return begin, block
        following = [begin for begin, _ in self._blocks if begin > offset]
        end = min(offset + BLOCK_SIZE, self.size, *following)
        block = self.fetcher(offset, end)
        if len(block) < end - offset:
            raise ConnectionError(f"the storage sent {len(block)} of {end - offset} bytes")
        self._blocks.append((offset, block))
        return offset, block


class Source:
    """The file object that FFmpeg reads through: it counts bytes and remembers the first error.

    It has no ``name``, so that FFmpeg goes by the content, never by an extension.

    Args:
        file: seekable and binary.
        is_copy: ``file`` is a copy, all of which came over the network already.

    Attributes:
        bytes_read: from the disk or the network so far; bytes that are read twice count twice.
        size: of the file, in bytes.
        error: the first error in reading, which FFmpeg may take for the end of the file.
        conditional: whether the store refuses each request once the content has changed.
    """

    def __init__(self, file: AbstractBufferedFile | IO[bytes], is_copy: bool = False) -> None:
        self._file = file
        self.error: StorageError | None = None
        self.conditional = "IfMatch" in getattr(file, "read_kw", {})
        self._counts_reads = not is_copy
        if isinstance(file, AbstractBufferedFile) and isinstance(file.cache, BaseCache):
            file.cache = Blocks(self._counting(file.cache.fetcher), file.size)
            self._counts_reads = False
        self.bytes_read = 0
        self.size = self._offset = int(file.seek(0, SEEK_END))
        if is_copy:
            self.bytes_read = self.size
        self.seek(0)

    def _counting(self, fetch: Callable[[int, int], bytes]) -> Callable[[int, int], bytes]:
        def counted(start: int, end: int) -> bytes:
            data = fetch(start, end)
            self.bytes_read += len(data)
            return data

        return counted

    def read(self, size: int) -> bytes:
        try:
            with translated():
                data: bytes = self._file.read(size)
        except StorageError as error:
            self.error = self.error or error
            raise
        if self._counts_reads:
            self.bytes_read += len(data)
        self._offset += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to an offset, even beyond the end, where a read returns nothing, as FFmpeg expects.

        FFmpeg takes a negative answer for a refusal; an exception would end the decoding.
        """
        base = {SEEK_CUR: self._offset, SEEK_END: self.size}.get(whence, 0)
        if base + offset < 0:
            return -EINVAL
        self._offset = base + offset
        with translated():
            self._file.seek(min(self._offset, self.size))
        return self._offset

    def tell(self) -> int:
        return self._offset


@contextmanager
def opened(url: str, identity: Identity | None) -> Iterator[Source]:
    """Open the video at ``url`` as a :class:`Source`.

    Args:
        identity: of the video when the run looked at it. If given, a file that has another one
            after the reading is an error; its size saves a request to S3.

    Raises:
        VideoError: ``empty-file``, ``changed``, and the storage's errors that will not pass.
        TransientError: the storage may answer later.
    """
    try:
        # Held until the end: fsspec closes an archive once nobody holds its file system.
        fs, path = storage.resolve(url)
        with translated():
            opened_file = _open(fs, path, identity)
        with opened_file as file:
            with translated():
                source = Source(file, is_copy=is_web(fs) and not hasattr(file, "cache"))
            if source.size == 0:
                raise VideoError(FailureKind.EMPTY_FILE, "the file has no bytes")
            yield source
            if source.error:
                raise source.error
        if identity and not source.conditional and storage.identify(url) != identity:
            raise VideoError(FailureKind.CHANGED, "changed since the run looked at it")
    except StorageError as error:
        if error.is_transient:
            raise TransientError(error.reason) from error
        raise VideoError(error.kind, error.reason) from error


def _open(
    fs: AbstractFileSystem, path: str, identity: Identity | None
) -> AbstractBufferedFile | IO[bytes]:
    if is_web(fs):
        return open_seekable(fs, path)
    if identity is None or not is_s3(fs):
        return fs.open(path, "rb")
    # s3fs would send a HEAD request for the size and the ETag, which the run knows already: with
    # them it reads on condition that the object stays the same (If-Match).
    file = fs.open(path, "rb", size=identity.size)
    file.details = {"name": path, "size": identity.size, "ETag": f'"{identity.token}"'}
    file.read_kw = {**file.read_kw, "IfMatch": file.details["ETag"]}
    return file
