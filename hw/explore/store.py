"""Finished builds in the output folder, one file each, so that an interrupted search goes on where it was."""

import dataclasses
import hashlib
import json
from pathlib import Path

from sw.engine import Engine
from sw.files import write_atomic

from .job import Trial

__all__ = ["Store"]

SCHEMA_VERSION = 1


class Store:
    """``folder/builds/NAME.json`` is the trial of the job of that name, ``folder/logs/NAME`` has its logs."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def load(self, job):
        """The ``Trial`` of an earlier run, or ``None`` if there is none of the same sources, tools, board and network.

        One that failed for another reason than its size is forgotten: a tool that was killed may end another time.
        """
        try:
            content = json.loads(self._path(job).read_text())
            if content.pop("key") != _key(job):
                return None
            content["engine"] = Engine(**content["engine"])
            for name in ("estimates", "problems"):
                content[name] = {int(seed): value for seed, value in content[name].items()}
            trial = Trial(**content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return trial if trial.failure is None or trial.too_large else None

    def save(self, job, trial):
        """Write a trial, whole or not at all, and its logs."""
        content = {"key": _key(job)} | dataclasses.asdict(trial)
        for name, text in content.pop("logs").items():
            write_atomic(self.log_folder(job) / name, text)
        write_atomic(self._path(job), json.dumps(content, indent=1) + "\n")

    def log_folder(self, job):
        """Where the logs of a job are."""
        return self.folder / "logs" / job.name

    def _path(self, job):
        return self.folder / "builds" / f"{job.name}.json"


def _key(job):
    network = hashlib.sha256(b"".join(name.encode() + contents for name, contents in job.network)).hexdigest()[:16]
    return {"schema_version": SCHEMA_VERSION, "sources": job.digest, "board": job.board, "network": network}
