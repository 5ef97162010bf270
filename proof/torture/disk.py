"""A small file system for the warehouse's data, which can be filled to the last block.

What belongs here: the private mount namespace, the mount, the ballast file. PostgreSQL gets ENOSPC from the kernel
wherever it writes: tables, WAL, temporary files. Alternatives cover less: a preloaded library (libfiu) has to fail four
system calls in all forks of PostgreSQL, and RLIMIT_FSIZE gives EFBIG.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BALLAST = "ballast"
_PRIVATE = "TORTURE_MOUNTS_ARE_PRIVATE"
_SECONDS = 30
_BLOCK, _RETRY_BYTES = 4096, 256 * 1024


def enter_private_mounts() -> None:
    """Restart the program in a private mount namespace, so that no mount remains however the program ends.

    Returns without a restart if the namespace is private already, or if this machine does not permit one.
    """
    unshare = shutil.which("unshare")
    if os.environ.get(_PRIVATE) or unshare is None or os.geteuid() != 0:
        return
    private = [unshare, "--mount", "--propagation", "private"]
    tried = subprocess.run([*private, "true"], capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603
    if tried.returncode == 0:
        os.environ[_PRIVATE] = "1"
        os.execv(unshare, [*private, sys.executable, "-m", "proof.torture", *sys.argv[1:]])  # noqa: S606


def why_not() -> str:
    """Return the reason why the disk cannot be filled on this machine; empty if it can."""
    if os.geteuid() != 0:
        return "only root may mount a file system for the warehouse"
    if not os.environ.get(_PRIVATE):
        return "this machine permits no private mount namespace (unshare --mount)"
    if shutil.which("mount") is None:
        return "there is no program named mount"
    return ""


class SmallDisk:
    """A file system in memory that is mounted over a folder and holds the folder's files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def mount(self, megabytes: int) -> str:
        """Mount a disk of that size with the folder's files; return the error of `mount`, or an empty text."""
        aside = self._folder.with_name(self._folder.name + ".aside")
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(self._folder, aside, symlinks=True)
        owner, mode = self._folder.stat(), self._folder.stat().st_mode
        options = f"size={megabytes}m,mode=0700,uid={owner.st_uid},gid={owner.st_gid}"
        done = subprocess.run(  # noqa: S603
            ["mount", "-t", "tmpfs", "-o", options, "torture", str(self._folder)],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode == 0:
            shutil.copytree(aside, self._folder, symlinks=True, dirs_exist_ok=True)
            for path in (self._folder, *self._folder.rglob("*")):
                os.chown(path, owner.st_uid, owner.st_gid)
            self._folder.chmod(mode & 0o777)
        shutil.rmtree(aside)
        return done.stderr.strip() if done.returncode else ""

    def unmount(self) -> None:
        """Unmount the disk; its files are deleted."""
        subprocess.run(["umount", str(self._folder)], capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603, S607

    def free(self) -> int:
        """Return the free bytes."""
        return shutil.disk_usage(self._folder).free

    def fill(self, leave: int) -> int:
        """Fill the disk but for `leave` bytes; return the size of the ballast. Retries, because others write too."""
        taken = 0
        with (self._folder / BALLAST).open("wb") as file:
            while (size := (self.free() - leave) // _BLOCK * _BLOCK) > 0:
                try:
                    os.posix_fallocate(file.fileno(), taken, size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    leave += _RETRY_BYTES
                else:
                    taken += size
        return taken

    def clear(self) -> None:
        """Delete the ballast."""
        (self._folder / BALLAST).unlink(missing_ok=True)
