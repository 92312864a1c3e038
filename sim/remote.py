"""Folders that are no local ones: object stores and whatever else Arrow or fsspec can reach, by their URL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import lru_cache
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, TypeAlias

from sim.errors import DatasetError, ShapeError, shown

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(/+)(?=[^/])")
_NOWHERE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/*")  # "s3://", and "s3:", which pathlib makes of it
_WITHOUT_FOLDERS = ("s3", "gcs", "abfs")  # Arrow's names of stores in which a name with a slash is enough


@dataclass(frozen=True)
class RemotePath:
    """A file or folder at a URL, asked like a `pathlib.Path`; it pickles, and opens its connection where it is used.

    Args:
        url: Of a folder, such as "s3://bucket/samples"; what follows a question mark are options of Arrow's file systems.
        below: Names from there on.
        size: Of a file that was listed [bytes]; None asks.
    """

    url: str
    below: tuple[str, ...] = ()
    size: int | None = field(default=None, compare=False)

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(self.url, (*self.below, *name.split("/")))

    def __str__(self) -> str:
        return "/".join((self.url.partition("?")[0].rstrip("/"), *self.below))

    @property
    def name(self) -> str:
        """The last part."""
        return str(self).rpartition("/")[2]

    @property
    def parent(self) -> RemotePath:
        """The folder that it is in, down to that of the URL."""
        return RemotePath(self.url, self.below[:-1])

    @property
    def filesystem(self) -> Any:
        """Arrow's file system."""
        return _connect(self.url)[0]

    @property
    def key(self) -> str:
        """The name there."""
        return "/".join((_connect(self.url)[1], *self.below))

    def exists(self) -> bool:
        """Whether something is there."""
        return bool(self._info().type)

    def is_dir(self) -> bool:
        """Whether it is a folder; in an object store, whether names begin with it."""
        return not self._info().is_file and self.exists()

    def read_bytes(self) -> bytes:
        """All of the file."""
        with self.filesystem.open_input_stream(self.key) as file:
            return bytes(file.read())

    def iterdir(self) -> Iterator[RemotePath]:
        """What is in the folder, by one listing; nothing where there is none."""
        from pyarrow.fs import FileSelector

        for info in self.filesystem.get_file_info(FileSelector(self.key, allow_not_found=True)):
            yield RemotePath(self.url, (*self.below, info.base_name), info.size)

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """What of the folder has names of a pattern."""
        return (path for path in self.iterdir() if fnmatch(path.name, pattern))

    def mkdir(self, *, exist_ok: bool) -> None:
        """Nothing: a folder is made with the first file in it."""

    def stat(self) -> Any:
        """Its `st_size` [bytes], and no more."""
        return SimpleNamespace(st_size=self._info().size if self.size is None else self.size)

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """A local name to write to, whose content becomes that of the file when the block ends, in one go.

        There is no renaming in an object store, and none is needed: an object appears when its last byte has arrived. A file
        system that shows half-written files shows one here too, if the connection breaks; whoever reads must look at its end.

        Raises:
            DatasetError: The store did not keep what it was sent, such as one that writes AWS's checksums into the object.
        """
        import pyarrow as pa

        with TemporaryDirectory() as folder:
            local = Path(folder, self.name)
            yield local
            if self.filesystem.type_name not in _WITHOUT_FOLDERS:
                self.filesystem.create_dir(self.key.rpartition("/")[0], recursive=True)
            with pa.memory_map(str(local)) as content, self.filesystem.open_output_stream(self.key) as file:
                file.write(content.read_buffer())  # one call, which no interrupt divides
            if (kept := self._info().size) != (sent := local.stat().st_size):
                raise DatasetError(
                    f"{self} has {kept} bytes after {sent} were written; where its server does not know the checksums that "
                    "AWS adds, set AWS_REQUEST_CHECKSUM_CALCULATION=when_required, delete what is there, and repeat"
                )

    def _info(self) -> Any:
        return self.filesystem.get_file_info(self.key)


Place: TypeAlias = Path | RemotePath


def as_place(name: str | Place) -> Place:
    """A local path, or the file or folder at a URL.

    Args:
        name: "~/samples", "s3://bucket/samples", "gs://...", "memory://..." and so on; also a URL that `pathlib` has
            taken a slash from.

    Raises:
        DatasetError: There is nothing behind a URL's scheme.
    """
    if isinstance(name, RemotePath):
        return name
    if not isinstance(name, str | PathLike):
        raise ShapeError(f"a file or folder is named by a path or a URL; got {shown(name)}")
    text = str(name)
    if "\0" in text:
        raise ShapeError(f"a name of a file or folder holds no zero byte; got {shown(name)}")
    if text.startswith("file:/"):
        return Path("/" + text.removeprefix("file:").lstrip("/"))
    if match := _URL.match(text):
        scheme, slashes = match[1].lower(), match[2]
        if len(slashes) == 1:  # pathlib was here
            slashes = "///" if scheme == "local" else "//"
        return RemotePath(f"{scheme}:{slashes}{text[match.end() :]}")
    if _NOWHERE.fullmatch(text):
        raise DatasetError(f"{text!r} names no bucket or folder; allowed: one behind it, as in s3://bucket/samples")
    return Path(name).expanduser()


@lru_cache(maxsize=64)
def _connect(url: str) -> tuple[Any, str]:
    """Arrow's file system for a URL, and the name of the folder there."""
    import pyarrow as pa
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    try:
        filesystem, key = FileSystem.from_uri(url)
        return filesystem, key.rstrip("/")
    except pa.ArrowInvalid as error:  # not one of Arrow's own
        try:
            import fsspec

            other, key = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as reason:
            raise DatasetError(f"cannot reach {url!r}: {error}; fsspec: {reason}") from error
        return PyFileSystem(FSSpecHandler(other)), str(key).rstrip("/")
