"""The peers, each in an environment of its own with its own pinned versions, under the toolchain's folder.

They are programs that take one JSON task on stdin and answer with one JSON on stdout.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import cast

from agent.sim.toolchain import default_root

HERE = Path(__file__).resolve().parent / "peers"
PYTHON = {"multicall_py": "multicall.txt", "web3_multicall3": "web3.txt"}
NODE = {"viem": "read.mjs"}
NAMES = (*PYTHON, *NODE)
INSTALL_S, RUN_S = 600, 900


def ask(name: str, task: object) -> dict[str, object]:
    """The peer's answer. Raises CalledProcessError with its last words in ``stderr``."""
    alone = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        _command(name),
        input=json.dumps(task),
        env=alone,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    if done.returncode != 0:
        print(done.stderr[-2000:], file=sys.stderr)
        done.check_returncode()
    answer = json.loads(done.stdout)
    return cast(dict[str, object], answer if isinstance(answer, dict) else {"value": answer})


def install() -> None:
    """Whatever is missing. An environment without its stamp is unfinished and made again."""
    for name in NAMES:
        folder, stamp = _folder(name), _stamp(name)
        mark = folder / "stamp"
        if mark.is_file() and mark.read_text() == stamp:
            continue
        print(f"bench: installing the peer {name}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if name in PYTHON:
            venv.create(folder, with_pip=True)
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--requirement"]
            _run([*pip, str(HERE / PYTHON[name])], folder)
        else:
            for file in (HERE / name).iterdir():
                shutil.copy(file, folder)
            npm = shutil.which("npm") or "npm"
            _run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder)
        mark.write_text(stamp)


def versions() -> dict[str, str]:
    """What is compared with."""
    found = {}
    for name, package in (("multicall_py", "multicall"), ("web3_multicall3", "web3")):
        lines = (HERE / PYTHON[name]).read_text().splitlines()
        found[name] = next(line for line in lines if line.startswith(f"{package}=="))
    viem = json.loads((HERE / "viem" / "package.json").read_text())
    return found | {"viem": f"viem=={viem['dependencies']['viem']}"}


def _command(name: str) -> list[str]:
    folder = _folder(name)
    if name in PYTHON:
        return [str(folder / "bin" / "python"), str(HERE / f"{name}.py")]
    return [shutil.which("node") or "node", str(folder / NODE[name])]


def _folder(name: str) -> Path:
    return default_root() / "peers" / name


def _stamp(name: str) -> str:
    """Of everything that goes into its environment."""
    sources = [HERE / PYTHON[name]] if name in PYTHON else sorted((HERE / name).iterdir())
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def _run(command: list[str], folder: Path) -> None:
    # what the project's own pip is held to is not what a peer is held to
    own = os.environ | {"PIP_CONSTRAINT": "", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        command, cwd=folder, env=own, capture_output=True, text=True, timeout=INSTALL_S, check=False
    )
    if done.returncode != 0:
        print(done.stderr[-2000:], file=sys.stderr)
        done.check_returncode()
