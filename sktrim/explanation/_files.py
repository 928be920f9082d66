"""Arrays by name in a file that may come from anyone, written in one step."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from sktrim.exceptions import ExplanationFileError

try:
    import fcntl
except ImportError:  # Windows, which keeps files from being removed while open
    fcntl = None

CHECKSUM = "checksum"
_LARGEST_CODE_POINT = 0x10FFFF


def check_kind(name: str, array: np.ndarray, kinds: str) -> None:
    """Raise a TypeError for a dtype that is not read back."""
    # `kinds` are letters of ``dtype.kind``
    if array.dtype.kind not in kinds or array.dtype.itemsize == 0:
        raise TypeError(
            f"{name} has dtype {array.dtype}, which a file does not keep there; its "
            f"dtype.kind must be one of {', '.join(kinds)}."
        )


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays with their checksum, in place of what is there."""
    arrays = {name: _little_endian(array) for name, array in arrays.items()}
    arrays[CHECKSUM] = np.array(_checksum(arrays))
    # the file that a link stands for, so that the link stays
    path = Path(os.path.realpath(path))
    # that of an existing file is kept
    mode = _replaceable_mode(path)
    _clear_stale_parts(path)
    with _part_of(path) as (part, file):
        if mode is not None:
            os.chmod(part, mode)
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        file.flush()
        os.fsync(file.fileno())
        os.replace(part, path)


def _replaceable_mode(path: Path) -> int | None:
    """Return the mode of the file to be replaced, None where there is none."""
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"the folder {path.parent} does not exist; make it before saving "
            f"{path.name}."
        )
    if not path.exists():
        return None
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise OSError(
            f"{path} is no file (but a folder or a device), which would be replaced; "
            "save under another name."
        )
    # the bits too, since everything is writable to a superuser
    if not mode & 0o222 or not os.access(path, os.W_OK):
        raise PermissionError(
            f"{path} is read-only, so it is not replaced; make it writable (chmod "
            "u+w), delete it, or save under another name."
        )
    return stat.S_IMODE(mode)


@contextmanager
def _part_of(path: Path) -> Iterator[tuple[Path, Any]]:
    """Open a new locked file beside `path`, and remove it unless it was renamed."""
    while True:
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
        with open(part, "xb") as file:
            try:
                # another save may have taken it for a stale one before it was locked
                if _lock(file) and part.exists():
                    yield part, file
                    return
            finally:
                part.unlink(missing_ok=True)


def _lock(file) -> bool:
    """Hold a file until it is closed, or its process ends; False if another does."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _clear_stale_parts(path: Path) -> None:
    """Remove what killed saves of the same file left: parts that nobody holds."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 32}.part"):
        with suppress(OSError), open(part, "rb") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink(missing_ok=True)


def _little_endian(array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _checksum(arrays: dict[str, np.ndarray]) -> str:
    """Return SHA-256 of names, dtypes, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(set(arrays) - {CHECKSUM}):
        array = _little_endian(arrays[name])
        layout = (name, np.lib.format.dtype_to_descr(array.dtype), array.shape)
        digest.update(repr(layout).encode("utf-8", "surrogatepass"))
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


class Archive:
    """The members of a npz file, of which no more is read than it claims to hold."""

    # where the file is damaged, its methods raise exceptions of any kind

    def __init__(self, file: IO[bytes], kinds: Callable[[str], str]):
        self._zip = zipfile.ZipFile(file)
        # from the name of an array to the letters of ``dtype.kind`` that it may have,
        # or to "" for what is not to be read
        self._kinds = kinds
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in self._zip.infolist():
            name = member.filename.removesuffix(".npy")
            if kinds(name):
                self._add(name, member)
        claimed = sum(member.file_size for member in self._members.values())
        if claimed > os.fstat(file.fileno()).st_size:
            raise ExplanationFileError(f"its members claim {claimed} bytes")

    def _add(self, name: str, member: zipfile.ZipInfo) -> None:
        if name in self._members:
            raise ExplanationFileError(f"{name} occurs twice")
        if member.compress_type != zipfile.ZIP_STORED:
            raise ExplanationFileError(f"{name} is compressed")
        if member.file_size != member.compress_size:
            raise ExplanationFileError(f"{name} claims another size than it has")
        self._members[name] = member

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str) -> np.ndarray:
        """Read one array; a KeyError if there is none of that name."""
        member = self._members[name]
        with self._zip.open(member) as stream:
            array = _empty_array(stream, member.file_size)
            check_kind(name, array, self._kinds(name))
            memory = array.reshape(-1, order="A").view(np.uint8).data
            while len(memory):
                n_read = stream.readinto(memory)  # pyright: ignore[reportAttributeAccessIssue]
                if not n_read:
                    raise EOFError(f"{name} is cut short")
                memory = memory[n_read:]
            # the zip's own checksum is compared at the end of the member
            if stream.read(1):
                raise ExplanationFileError(f"{name} is longer than it claims")
        if array.dtype.kind == "U" and array.size:
            codes = array.reshape(-1, order="A").view(array.dtype.byteorder + "u4")
            if codes.max() > _LARGEST_CODE_POINT:
                raise ExplanationFileError(f"{name} is no text")
        return array.astype(array.dtype.newbyteorder("="), copy=False)

    def read_all(self) -> dict[str, np.ndarray]:
        """Read every array and compare the checksum where there is one."""
        arrays = {name: self.read(name) for name in self._members}
        stated = arrays.pop(CHECKSUM, None)
        if stated is not None and str(stated) != _checksum(arrays):
            raise ExplanationFileError("its checksum is that of other arrays")
        return arrays


def _empty_array(stream, size: int) -> np.ndarray:
    """Return an array as the header of a npy stream of `size` bytes describes it."""
    version = np.lib.format.read_magic(stream)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, fortran, dtype = read_header(stream)
    claimed = prod(shape) * dtype.itemsize
    if claimed != size - stream.tell() or min(shape, default=0) < 0:
        raise ExplanationFileError(
            f"an array of shape {shape} and dtype {dtype} does not take "
            f"{size - stream.tell()} bytes"
        )
    return np.empty(shape, dtype, order="F" if fortran else "C")
