"""The version of the decoder: a video that failed with another one may succeed with this one."""

import hashlib
from functools import cache
from pathlib import Path


@cache
def decoder_version() -> str:
    """Return the versions of PyAV, of FFmpeg's libraries and of the code in this folder."""
    import av  # here: it takes 0.1 s, and otherwise only the child processes need it

    libraries = [
        f"{name} {'.'.join(map(str, version))}"
        for name, version in sorted(av.library_versions.items())
    ]
    code = hashlib.sha256()
    for module in sorted(Path(__file__).parent.glob("*.py")):
        code.update(module.read_bytes())
    return ", ".join([f"PyAV {av.__version__}", *libraries, f"code {code.hexdigest()}"])
