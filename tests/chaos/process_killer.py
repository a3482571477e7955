#!/usr/bin/env python3
"""Ends, pauses and restarts processes at moments that a seed decides.

    killer = ProcessKiller({"worker-0": worker, "worker-1": other}, restart=start_again,
                           log=path("killer.jsonl"))
    killer.run(plan(seed=1, roles=killer.roles, count=10), seconds=30, over=run_has_ended)

or as soon as something is seen, such as a line of the record:

    killer.run_when(strikes, lambda strike: record("SELECT ..."), over=run_has_ended)

Every strike is one JSON line of the log, and the plan is its first. The program alone prints a plan.
"""

import argparse
import dataclasses
import json
import random
import signal
import time

KILL, PAUSE, TERMINATE = "kill", "pause", "terminate"
ACTIONS = (KILL, PAUSE, TERMINATE)
POLL = 0.02  # seconds between two looks at a condition


@dataclasses.dataclass(frozen=True)
class Strike:
    at: float  # moment, as a fraction of the expected time
    role: str
    action: str = KILL  # SIGKILL; SIGSTOP, later SIGCONT; SIGTERM
    pause_seconds: float = 0.0  # between SIGSTOP and SIGCONT

    def __post_init__(self):
        if self.action not in ACTIONS:
            raise ValueError(f'action must be one of {", ".join(ACTIONS)}, got "{self.action}"')


def plan(seed, roles, count, actions=(KILL,), pause_seconds=(0.5, 2.0)):
    """`count` strikes in the order of their moments: a pure function of its arguments. Each part of
    1/count of the time has one, so that what was struck has time to come back."""
    generator = random.Random(f"{seed}")
    strikes = []
    for i in range(count):
        # Always the same number of draws, so that one role or action more moves no moment.
        moment, role, action, pause = (generator.random() for _ in range(4))
        action = actions[int(action * len(actions))]
        shortest, longest = pause_seconds
        strikes.append(Strike(
            at=round((i + moment) / count, 6), role=roles[int(role * len(roles))], action=action,
            pause_seconds=round(shortest + pause * (longest - shortest), 3) if action == PAUSE
            else 0.0))
    return strikes


class ProcessKiller:
    """Carries strikes out on the processes of a test, one at a time.

    `processes`: by role, a subprocess.Popen, or an object whose `child` is one. `restart(role)` gives
    the new process of a role that was ended; without it the role stays down and is not struck again.
    A process that ended by itself before its strike is an error (RuntimeError), and so is one that
    does not end within `grace` seconds of SIGTERM.

    Threads: one. `run` and `run_when` block; no process is left paused when they return."""

    def __init__(self, processes, restart=None, log=None, grace=30, clock=time.monotonic,
                 sleep=time.sleep):
        self.processes = dict(processes)
        self._restart = restart
        self._log_path = log
        self._grace = grace
        self._clock = clock
        self._sleep = sleep
        self._start = clock()
        self._paused = {}  # role: time to go on
        self.done = []  # strikes that were carried out

    @property
    def roles(self):
        return sorted(self.processes)

    def run(self, strikes, seconds, over=lambda: False):
        """Each strike at its moment of the `seconds` that the work is expected to take, until `over`.
        Returns those carried out."""
        start = self._clock()
        return self._run(strikes, lambda strike: self._clock() - start >= strike.at * seconds, over)

    def run_when(self, strikes, condition, over=lambda: False):
        """Each strike, in order, once `condition(strike)` is true, until `over`. Returns those
        carried out."""
        return self._run(strikes, condition, over)

    def strike(self, strike):
        """One strike, now."""
        process = self._child(strike.role)
        if process is None:
            self._log(strike, skipped="it is down")
            return
        if process.poll() is not None:
            raise RuntimeError(f"{strike.role} ended by itself with {process.poll()}")
        news = {"pid": process.pid}
        if strike.action == PAUSE:
            process.send_signal(signal.SIGSTOP)
            self._paused[strike.role] = self._clock() + strike.pause_seconds
        else:
            process.send_signal(signal.SIGKILL if strike.action == KILL else signal.SIGTERM)
            self.resume(strike.role)  # a stopped process does not see SIGTERM
            news["exit_code"] = process.wait(timeout=self._grace)
            self.processes[strike.role] = self._restart(strike.role) if self._restart else None
            restarted = self._child(strike.role)
            if restarted is not None:
                news["new_pid"] = restarted.pid
        self.done.append(strike)
        self._log(strike, **news)

    def resume(self, role):
        """SIGCONT if the role is paused."""
        if self._paused.pop(role, None) is None:
            return
        process = self._child(role)
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGCONT)

    def _run(self, strikes, condition, over):
        self._write({"plan": [dataclasses.asdict(strike) for strike in strikes]})
        before = len(self.done)
        waiting = list(strikes)
        try:
            while (waiting or self._paused) and not over():
                for role in [role for role, end in self._paused.items() if end <= self._clock()]:
                    self.resume(role)
                if waiting and condition(waiting[0]):
                    self.strike(waiting.pop(0))
                else:
                    self._sleep(POLL)
        finally:
            for role in list(self._paused):
                self.resume(role)
        return self.done[before:]

    def _child(self, role):
        process = self.processes[role]
        return getattr(process, "child", process)

    def _log(self, strike, **news):
        self._write({"seconds": round(self._clock() - self._start, 3),
                     **dataclasses.asdict(strike), **news})

    def _write(self, line):
        if self._log_path is not None:
            with open(self._log_path, "a") as file:
                file.write(json.dumps(line) + "\n")


EXAMPLES = """\
examples:
  tests/chaos/process_killer.py --seed 1 --roles teacher-0,teacher-1 --count 10
  tests/chaos/process_killer.py --seed 7 --roles worker --count 5 --actions kill,pause"""


def main():
    parser = argparse.ArgumentParser(
        description="Prints the strikes of a seed, one JSON line each.", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="(default %(default)s)")
    parser.add_argument("--roles", required=True, metavar="ROLE[,ROLE...]")
    parser.add_argument("--count", type=int, default=10, help="strikes (default %(default)s)")
    parser.add_argument("--actions", default=KILL, metavar="ACTION[,ACTION...]",
                        help="of kill, pause and terminate (default %(default)s)")
    options = parser.parse_args()
    try:
        strikes = plan(options.seed, options.roles.split(","), options.count,
                       options.actions.split(","))
    except ValueError as error:
        parser.error(str(error))
    for strike in strikes:
        print(json.dumps(dataclasses.asdict(strike)))


if __name__ == "__main__":
    main()
