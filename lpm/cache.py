"""Compiled programs: kept on disk for a next start of Python, forgotten where they are too many."""

import gc
import hashlib
import os
import platform
import sys
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

VARIABLE = "LPM_CACHE"
_OFF = ("0", "off", "no", "false")
_FROM = 0.1  # Seconds of compiling from which a program is worth a file.
_MOST = 2**30  # Bytes on disk at which the oldest programs go.
_MAPS = 0.75  # Share of the mappings that Linux allows a process at which compiled programs go.
_chosen: dict[str, Path | None] = {}  # What holds for this process, once something does.


def keep_compiled(folder: str | os.PathLike[str] | bool | None = None) -> Path | None:
    """Keep compiled programs in a folder from here on; where they lie, or `None` if nowhere.

    With `None` the first call decides and later ones change nothing: the environment variable
    `LPM_CACHE` names a folder or says `off`; else it is the user's cache folder. A cache that the
    user gave JAX itself (`JAX_COMPILATION_CACHE_DIR`) is left as it is. `True` is the user's
    cache folder again, `False` no cache at all, and a path that folder.

    A folder that cannot be written is done without. Programs belong to one kind of processor, so
    they lie in a folder of its own; where more than 1 GiB has gathered the oldest are removed.
    """
    if folder is None:
        if "folder" not in _chosen:
            _chosen["folder"] = _settle(_wished())
        return _chosen["folder"]
    if folder is True:
        target = user_folder()
    else:
        target = None if folder is False else Path(folder).expanduser()
    _chosen["folder"] = _settle(target, asked=True)
    return _chosen["folder"]


def forget_if_full(share: float = _MAPS) -> bool:
    """Forget all compiled programs of this process if it is near its limit of memory mappings.

    Each program keeps some tens of mappings; at the limit (65,530 unless the system says otherwise)
    the compiler takes the process down with it. What is forgotten is compiled again when needed.
    Where the system does not tell, nothing is forgotten.
    """
    try:
        with open("/proc/sys/vm/max_map_count", encoding="ascii") as file:
            limit = int(file.read())
        with open("/proc/self/maps", "rb") as maps:
            used = sum(1 for _ in maps)
    except (OSError, ValueError):
        return False
    if used <= share * limit:
        return False
    jax.clear_caches()
    gc.collect()
    return True


def user_folder() -> Path | None:
    """Where programs keep what they can make again, by the rules of the system; `None` if unknown.

    Source: XDG Base Directory Specification 0.8; `%LOCALAPPDATA%` and `~/Library/Caches`.
    """
    try:
        home = Path.home()
    except RuntimeError:
        return None
    given = os.environ.get("XDG_CACHE_HOME", "")
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(given) if os.path.isabs(given) else home / ".cache"
    return base / "lpm" / "compiled"


def _wished() -> Path | None:
    given = os.environ.get(VARIABLE, "").strip()
    if given.lower() in _OFF:
        return None
    return Path(given).expanduser() if given else user_folder()


def _settle(target: Path | None, asked: bool = False) -> Path | None:
    """Point JAX at the folder, unless the user has done so and did not ask us."""
    given = getattr(jax.config, "jax_compilation_cache_dir", None)
    if given and not asked:
        return Path(given)
    folder = None if target is None else _usable(target / processor())
    if folder is None and not asked:
        return None
    jax.config.update("jax_compilation_cache_dir", None if folder is None else str(folder))
    if folder is not None and "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _FROM)
    # JAX looks once, at its first compilation, which may have been before this.
    compilation_cache.reset_cache()
    return folder


def _usable(folder: Path) -> Path | None:
    """The folder, made if need be and kept from growing; `None` if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
        _prune(folder)
    except OSError:
        return None
    return folder


def _prune(folder: Path) -> None:
    """Where too many lie, remove those written longest ago until half the room is free."""
    files = [(entry.stat(), entry.path) for entry in os.scandir(folder) if entry.is_file()]
    total = sum(found.st_size for found, _ in files)
    if total <= _MOST:
        return
    for found, path in sorted(files, key=lambda pair: pair[0].st_mtime):
        Path(path).unlink(missing_ok=True)
        total -= found.st_size
        if total <= _MOST // 2:
            return


def processor() -> str:
    """A name for the instructions of this processor: code made for others may not run here."""
    told = [platform.machine(), platform.processor()]
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            told += sorted({x for x in lines if x.startswith(("flags", "Features", "model name"))})
    except OSError:
        pass
    digest = hashlib.sha256("\n".join(told).encode()).hexdigest()[:8]
    return f"{platform.machine() or 'unknown'}-{digest}"
