"""Replace a local file in one step, so that neither a crash nor a second run loses anything."""

import errno
import fcntl
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tasks.errors import FailureKind, StorageError

MAX_NAME_BYTES = 255
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


def make_scratch(target: Path | None, like: Path | None = None) -> Path:
    """Make a new empty file: hidden beside a local ``target`` (a rename does not cross file
    systems), in the temporary folder for a remote one.

    The file is no more readable than ``target``, or ``like`` if there is no target yet. When it
    replaces the target, it takes the target's mode.
    """
    if target is None:
        handle, path = tempfile.mkstemp()
        os.close(handle)
        return Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    new = _hidden(target, f".{uuid.uuid4().hex}.tmp")
    mode = 0o600 if target.exists() else 0o666
    if like is not None and like.exists():
        mode &= like.stat().st_mode | 0o600
    os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    return new


def _hidden(target: Path, suffix: str) -> Path:
    """Return a hidden name beside ``target``, with no more bytes than file systems take."""
    name = target.name.encode()[: MAX_NAME_BYTES - len(suffix) - 1].decode(errors="ignore")
    return target.with_name(f".{name}{suffix}")


def replace(path: str, file: Path, is_expected: Callable[[], bool]) -> None:
    """Put ``file`` at ``path``, with the mode and owner of the old file; a link stays a link.

    Raises:
        StorageError: ``changed``, if ``is_expected`` returns False. It is called while no other
            run can replace the file.
    """
    target = Path(os.path.realpath(path))
    with _staged_in_same_folder(target, file) as new, _locked(target):
        if not is_expected():
            raise StorageError(FailureKind.CHANGED, "has changed since it was read")
        _copy_mode_and_owner(target, new)
        with new.open("rb") as written:
            os.fsync(written.fileno())
        _remove_checksum_of_hadoop(target)
        new.rename(target)
        _sync_folder(target.parent)


def try_to_write(folder: str) -> None:
    """Make a temporary file in a folder, or in the one above it that exists; nothing stays.

    Raises:
        OSError: no file can be made there.
    """
    path = Path(folder)
    while not path.exists():
        path = path.parent
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except FileNotFoundError as error:  # from /proc
        raise OSError("no file can be made there") from error


@contextmanager
def _staged_in_same_folder(target: Path, file: Path) -> Iterator[Path]:
    if file.parent.resolve() == target.parent and file.name.startswith("."):
        yield file
        return
    copy = make_scratch(target)
    try:
        shutil.copyfile(file, copy)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Keep other runs from replacing the target, by a lock on a hidden file, removed in the end.

    The folder itself cannot be locked: NFS locks only files that are open for writing. On a file
    system without locks (Lustre without its option), a change between the comparison and the
    rename goes unnoticed.
    """
    path = _hidden(target, ".lock")
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(handle)
                raise
        # The previous holder may have removed the file that we waited for: then try again.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                break
        os.close(handle)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _remove_checksum_of_hadoop(target: Path) -> None:
    """Remove the ``.NAME.crc`` that Spark writes beside each local file: it would no longer match,
    and Spark would refuse to read the file. Without a checksum it does not check."""
    checksum = target.with_name(f".{target.name}.crc")
    with suppress(OSError):
        with checksum.open("rb") as file:
            is_of_hadoop = file.read(4) == b"crc\0"
        if is_of_hadoop:
            checksum.unlink()


def _copy_mode_and_owner(target: Path, new: Path) -> None:
    try:
        old = target.stat()
    except FileNotFoundError:
        return
    with suppress(PermissionError):  # only root may give a file away
        os.chown(new, old.st_uid, old.st_gid)
    new.chmod(stat.S_IMODE(old.st_mode))
    status = new.stat()
    if status.st_mtime_ns <= old.st_mtime_ns:
        # The time of a file advances in milliseconds: two versions must never share an identity.
        os.utime(new, ns=(status.st_atime_ns, old.st_mtime_ns + 1))


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
