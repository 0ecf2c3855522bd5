"""The agent's processes: a zygote that has imported everything forks them, so a start costs milliseconds.

A life is told one order per line: wake up, in this weather. It answers with one line per cycle.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
import traceback

from agent.errors import EvenkeelError, JournalLocked
from tests.chaos.mortal import Disk, Reaper, say
from tests.chaos.worker import Clock, Place, Worker

LOCKED = 2  # exit codes, as the command line's
CRASHED = 70


def live(place: Place, channel: socket.socket) -> int:
    """Until the channel closes, or something ends the agent. The exit code."""
    reader = channel.makefile("r")
    reaper, disk = Reaper(channel), Disk()
    agent: Worker | None = None
    for line in reader:
        order = json.loads(line)
        reaper.due = order.get("kills", [])
        if agent is None:
            disk.before(order.get("disk", ""))
        told: dict[str, object] = {"error": "", "signer": 0, "disk": 0, "open": -1}
        code = 0
        try:
            if agent is None:
                agent = Worker(place, Clock(order["now_s"]), reaper)
            agent.clock.now_s = order["now_s"]
            disk.squeeze(order.get("disk", ""), agent.database)
            agent.signer.mood, agent.signer.met = order.get("signer", ""), 0
            told["error"] = agent.wake([(item, urgency) for item, urgency in order["wanted"]])
            disk.squeeze("", agent.database)
            told["open"] = len(agent.sender.in_flight())
        except JournalLocked as error:
            told, code = told | {"locked": True, "error": error.message}, LOCKED
        except EvenkeelError as error:
            told, code = told | {"ended": error.code, "error": error.message}, error.exit_code
        except Exception as error:  # noqa: BLE001 - a crash is a finding: it is told, then it is a death
            told, code = told | {"ended": "crash", "error": repr(error)}, CRASHED
            told["trace"] = traceback.format_exc()[-2500:]
        if agent is not None:
            told["signer"] = agent.signer.met
            disk.before("")
        told["disk"] = int("cannot be written" in str(told["error"]))
        say(channel, told | {"done": True, "code": code})
        if code:
            return code
    return 0


def zygote(control: socket.socket) -> None:
    """Forks a worker for every message that comes with an open channel; tells its process id."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits: the channel's end tells
    while True:
        message, handles, _, _ = socket.recv_fds(control, 65536, 1)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            control.close()
            fields = json.loads(message)
            place = Place(**fields | {"urls": tuple(fields["urls"])})
            code = CRASHED
            try:
                code = live(place, socket.socket(fileno=handles[0]))
            finally:
                os._exit(code)
        os.close(handles[0])
        control.sendall(struct.pack("I", pid))


if __name__ == "__main__":
    zygote(socket.socket(fileno=int(sys.argv[1])))
