"""The failpoints of the programs, and how a process is armed with them: common/base/failpoint.h."""

import os
import re

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KILL, STOP = "kill", "stop"
PROGRAMS = ("coordinator", "teacher", "worker")


def names(header=os.path.join(SOURCE, "common", "base", "failpoint.h")):
    with open(header) as file:
        table = file.read().split("kFailpoints[] = {", 1)[1].split("};", 1)[0]
    return re.findall(r'^    "([a-z_.]+)",', table, re.MULTILINE)


def program_of(name):
    """Which program is to hit it. Durable files are the coordinator's."""
    first = name.split(".", 1)[0]
    return "coordinator" if first == "files" else first


def environment(arms, log):
    """Of a process that is to act: `arms` maps names to "kill@3" and the like, and the process notes
    in the file `log` that it does."""
    return {"DISTILLERY_FAILPOINTS": ",".join(f"{name}={act}" for name, act in arms.items()),
            "DISTILLERY_FAILPOINT_LOG": log}


def acted(log):
    """(name, action, process id) in the order in which they acted."""
    if not os.path.exists(log):
        return []
    with open(log) as file:
        lines = [line.split() for line in file]
    return [(name, action, int(process)) for name, action, process, _ in lines]
