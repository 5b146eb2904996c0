# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

from __future__ import annotations

import copy
import errno
import fcntl
import hashlib
import os
import re
import shutil
import time
from contextlib import contextmanager, suppress
from typing import Any, Callable, Iterator, TypeVar

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

FULL = "No space left on device"
# Of root alone, and gone with a reboot, as those are who hold a lock.
TURNS = "/run/shakenfist-rolling"
# The modules that the module several runs; what each does is in parts/, by its name.
PARTS = ("config_info", "ctl_info", "exceptions_info", "grpc_health_info", "haproxy_info", "haproxy_server",
         "host_info", "lock", "lock_info", "nodes_info", "ready_info", "release_info", "schema", "schema_info", "units",
         "units_info")
T = TypeVar("T")
# The password of a URL, also where a sign in it ought to be written as %40, for example; and a token in its place. What
# is only the port of one, before an @ in its path, is none.
PASSWORD = re.compile(r"(\w://[^\s/:@'\"]*:)(?!\d+/)(?:(?:(?!\w://)[^\s'\"@])+@)+")
TOKEN = re.compile(r"(https?://)[^\s/:@'\"]+@", re.IGNORECASE)


class RollingError(Exception):
    """A step did not end as expected; a module turns it into its one failure.

    :arg message: what was expected and what was seen, in words for the operator.
    :arg details: further return values of the failing module.
    """

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


def hide_passwords(words: T) -> T:
    """Words of others, without the passwords of the URLs that are in them; anything else as it is."""
    if not isinstance(words, str):
        return words
    return TOKEN.sub(r"\1********@", PASSWORD.sub(r"\1********@", words))  # type: ignore[return-value]


def as_part(module: Any, part: Any, given: dict) -> Any:
    """The module as one of its parts sees it, with arguments of its own.

    :arg part: it has C(ARGUMENTS), as a module of its own would declare them, and perhaps C(REQUIRED_IF).
    """
    checked = ArgumentSpecValidator(part.ARGUMENTS, required_if=getattr(part, "REQUIRED_IF", None)).validate(given)
    if checked.error_messages:
        raise RollingError("; ".join(checked.error_messages))
    seen = copy.copy(module)
    seen.params = checked.validated_parameters
    return seen


def conclude(module: Any, act: Callable[[], dict], intent: str = "", folder: str = "") -> None:
    """End a module with what C(act) returns, or with the error that it raises.

    What is a text of its own in either, such as what a program has printed, has no password of a URL in it.

    :arg intent: what could not be done then, in words.
    :arg folder: where it works with files; without it an OSError is a fault of the module.
    """
    begin = f"{intent}: " if intent else ""
    try:
        result = act()
    except RollingError as exc:
        module.fail_json(**without_passwords(dict(exc.details, msg=f"{begin}{exc.message}")))
    except OSError as exc:
        if not folder:
            raise
        module.fail_json(msg=f"{begin}{explain_os_error(exc, folder)}")
    module.exit_json(**without_passwords({"changed": False, **result}))


def without_passwords(result: dict) -> dict:
    return {key: hide_passwords(value) for key, value in result.items()}


def stand_back(module: Any) -> None:
    """Let all else on this node come first, for a module that works hard while the node serves.

    It holds for this process and all that it starts, so not for a module that starts or stops what serves. Where the
    kernel shares the CPU between control groups or sessions first, the priority counts within that of this process.
    """
    os.nice(10)
    with suppress(OSError):  # without ionice, the disk follows the priority
        module.run_command(["ionice", "-c", "3", "-p", str(os.getpid())], handle_exceptions=False)


def wait_for(look: Callable[[], T], timeout: float, interval: float = 0.1) -> T:
    """Call C(look) every C(interval) seconds until it returns something true, for at most C(timeout) seconds.

    :returns: what C(look) returned last; false when the time ran out. C(look) is always called at least once.
    """
    deadline = time.monotonic() + timeout
    while True:
        seen = look()
        if seen or time.monotonic() >= deadline:
            return seen
        time.sleep(min(interval, max(0.0, deadline - time.monotonic())))


def make_directory(path: str, mode: int = 0o755) -> None:
    """Make sure that a directory is there. Each one that is made has the mode that is meant, whatever the umask."""
    if os.path.isdir(path):
        return
    make_directory(os.path.dirname(path) or ".")
    try:
        os.mkdir(path)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
    else:
        os.chmod(path, mode)


@contextmanager
def opened(directory: str) -> Iterator[int]:
    """A handle of a directory."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield handle
    finally:
        os.close(handle)


def sync_directories(*paths: str) -> None:
    """Have the names that were made in some directories outlive a loss of power."""
    for path in dict.fromkeys(map(os.path.realpath, paths)):
        with opened(path) as handle:
            os.fsync(handle)


def new_file(path: str) -> int:
    """A handle of a new file, for nobody else to read yet, also where a killed run has left one of that name."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def replace_file(path: str, content: bytes) -> None:
    """Have a file with these bytes, at once and for good; it keeps its mode and owner, and a link to one stays."""
    path = os.path.realpath(path)
    folder, name = os.path.split(path)
    make_directory(folder)
    new = f"{folder}/.{name}.rolling-new"
    with open(new_file(new), "wb") as stream:
        try:
            seen = os.stat(path)
            os.fchown(stream.fileno(), seen.st_uid, seen.st_gid)
            os.fchmod(stream.fileno(), seen.st_mode & 0o7777)
        except FileNotFoundError:
            os.fchmod(stream.fileno(), 0o644)
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(new, path)
    sync_directories(folder)


def process_started(pid: int | str) -> str:
    """When a process was started, in clock ticks since the boot; empty if it does not run or this is not Linux."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as handle:
            # After the command in parentheses, which may contain anything, this is the 20th field.
            state, *fields = handle.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else fields[18]


def boot_id() -> str:
    """The id of the boot; empty where it has none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def turn_of(directory: str) -> str:
    """The file whose lock stands for a directory. That of the directory itself could be held by whoever may read it."""
    path = os.path.realpath(directory)
    return os.path.join(TURNS, f"{os.path.basename(path)}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}")


@contextmanager
def flocked(directory: str, within: float) -> Iterator[int | None]:
    """Have a directory alone; gives the handle of the lock, None if it was not free within so many seconds."""
    try:
        make_directory(TURNS, 0o700)
        handle = os.open(turn_of(directory), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        raise RollingError(f"cannot keep locks in {TURNS}: {exc.strerror}. It must be a directory of root's") from exc

    def take() -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        yield handle if wait_for(take, within) else None
    finally:
        os.close(handle)


def size(path: str) -> int:
    """How many bytes a directory takes on the disk. A file with several names counts once."""
    seen: set[tuple[int, int]] = set()
    total = 0

    def complain(exc: OSError) -> None:
        if not isinstance(exc, FileNotFoundError):
            raise exc

    for root, directories, files in os.walk(path, onerror=complain):
        for name in ["", *files, *(name for name in directories if os.path.islink(os.path.join(root, name)))]:
            try:
                found = os.lstat(os.path.join(root, name))
            except FileNotFoundError:
                continue  # a running daemon writes its byte code here
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                total += found.st_blocks * 512
    return total


def last_lines(text: str, count: int = 12) -> str:
    """The last C(count) lines of C(text) that say something, for an error message."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-count:])


def free_space(*folders: str) -> str:
    """How much is free in some directories, in words; once for each file system."""
    by_device: dict[int, str] = {}
    for folder in folders:
        by_device.setdefault(os.stat(folder).st_dev, folder)
    return " and ".join(f"{shutil.disk_usage(folder).free // 2**20} MB are free in {folder}"
                        for folder in by_device.values())


def disk_full(*folders: str) -> str:
    """That one of some directories has no room, and what to do."""
    return f"the disk is full: {free_space(*folders)}: make room there, and start again"


def explain_os_error(exc: OSError, *folders: str) -> str:
    """What an OSError means for who worked in some directories, and what to do."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(*folders)
    where = "" if exc.filename else f", in {folders[0]}"
    return f"{exc}{where}: see that it is there and can be read and written, and start again"
