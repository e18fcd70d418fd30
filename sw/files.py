"""Files that are written whole or not at all."""

import io
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw.errors import CompileError

__all__ = ["npz_bytes", "read_npz", "write_atomic"]


def write_atomic(path: Path | str, content: bytes | str) -> None:
    """Write ``content`` to ``path`` through a temporary name in the same folder and a rename.

    A reader sees the old file or the new one, never a part. ``str`` is written as UTF-8. Missing parent folders
    are made. Raises ``OSError`` as the operating system does; the temporary file is removed then.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """An npz file's contents. Unlike ``numpy.savez`` it stores no time, so equal arrays give equal bytes."""
    contents = io.BytesIO()
    with zipfile.ZipFile(contents, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w") as stream:
                np.lib.format.write_array(stream, np.asarray(array, order="C"), allow_pickle=False)
    return contents.getvalue()


def read_npz(path: Path, error: type[CompileError], names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of an npz file: those of ``names`` that it has, or all.

    Raises ``error`` if it cannot be read, is damaged, or holds pickles.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in (archive.files if names is None else names) if name in archive}
    except (OSError, EOFError, ValueError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error):
        raise error(f"{path} is not a whole .npz archive of arrays") from None
