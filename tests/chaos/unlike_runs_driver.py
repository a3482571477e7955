#!/usr/bin/env python3
"""Sixty unlike runs at once on a cluster that is ended, stopped and restarted at seeded moments: each
run keeps, bit for bit, the weights that `distillery run` gives it in a process of its own.

A coordinator, two teachers and four workers. Thirty runs with one teacher's file, then, after all
teachers have ended and come back with another file under the same path, thirty with that. Strikes and
failpoints are those of chaos_driver.py; the invariants are those of invariants.py, for every run. What
is done is a function of the seed alone."""

import argparse
import collections
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import failpoints
import invariants
from chaos_driver import PAUSE_SECONDS, ROLES, Cluster
from fleet import Fleet
from process_killer import ACTIONS, plan
from services import program, wait_for
from unlike_runs import (ROUNDS, RUNS, all_alone, train_teachers, write_datasets, write_specs,
                         write_students)

LEASE = 2  # seconds
EPOCHS = 10  # of a task: long enough that a worker is struck in the midst of it
STRIKES = 20  # of each half of a seed
FAILPOINTS = 6  # armed in each seed
LONGEST = 900  # seconds for a half of a seed


class Alone:
    """Files of the sixty runs, and what each gives by itself."""

    def __init__(self, folder):
        self.folder = folder
        self.data = os.path.join(folder, "data")
        write_students(folder)
        write_datasets(self.data)
        self.teachers = train_teachers(folder)
        self.halves = write_specs(folder, self.teachers, EPOCHS)
        self.expected = all_alone([path for half in self.halves for path in half], self.data)


class Seed:
    """All sixty runs once, disturbed."""

    def __init__(self, seed, alone, folder):
        self.seed = seed
        self.violations = []
        self.faults = collections.Counter()
        self.lost_with_work = 0
        self.seconds = 0.0
        self._alone = alone
        self._folder = folder
        self._served = os.path.join(folder, "served.pt")
        self._cluster = Cluster(folder, self._served, ("--data-dir", alone.data), LEASE,
                                ("--student-dir", alone.folder))
        self._random = random.Random(f"unlike {seed}")
        self._fleet = Fleet(folder, {role: self._cluster.member(role) for role in ROLES},
                            random.Random(f"pauses {seed}"), PAUSE_SECONDS)
        self._record = invariants.Record(self._cluster.state)
        self._next_look = 0.0
        self._progress = 0.0
        self._paths = {}  # run_id: path of its spec
        for name in self._random.sample(failpoints.names(), FAILPOINTS):
            roles = [role for role in ROLES if role.startswith(failpoints.program_of(name))]
            if name.startswith("teacher.cache"):
                roles = roles[:1]  # the one with a cache
            arms = self._fleet.members[self._random.choice(roles)].arms
            arms[name] = f"{failpoints.KILL}@{self._random.randint(1, 30)}"

    def go(self):
        start = time.monotonic()
        try:
            for half, (teacher, paths) in enumerate(zip(self._alone.teachers, self._alone.halves)):
                self._replace(teacher)
                self._disturb(half, paths)
            self._check()
        except AssertionError as error:
            self.violations.append(str(error))
        finally:
            self._fleet.kill_all()
        self.seconds = time.monotonic() - start
        for name, action, _ in self._fleet.hits:
            self.faults[f"failpoint {action} {failpoints.program_of(name)}"] += 1
        self.violations += self._fleet.deaths + self._record.violations

    def _replace(self, teacher):
        """Gives the teachers this file under the path that they were started with."""
        os.link(teacher, self._served + ".new")
        os.replace(self._served + ".new", self._served)
        for role in ROLES:
            if self._fleet.members[role].process is None:
                self._fleet.start(role)
            elif role.startswith("teacher"):
                self._fleet.terminate(role)
        self._tend_until("the services", time.monotonic() + 60, lambda: all(
            self._fleet.members[role].has_begun() and
            "listens on" in self._fleet.members[role].log() for role in ROLES[:3]))

    def _disturb(self, half, paths):
        deadline = time.monotonic() + LONGEST
        order = list(paths)
        self._random.shuffle(order)
        mine = [self._submit(path, deadline) for path in order]
        strikes = plan(f"{self.seed} {half}", ROLES, STRIKES, ACTIONS, PAUSE_SECONDS)
        for strike in strikes:
            self._tend_until(f"{strike.at:.0%} of the runs", deadline,
                             lambda: self._done(mine) >= strike.at * len(mine))
            # One at a time: who was struck before is back. A worker with a task in its hands, if it
            # gets one soon.
            self._tend(time.monotonic() + 0.3, lambda: False)
            if strike.role.startswith("worker"):
                self._tend(time.monotonic() + 2, lambda: self._trains(strike.role))
            self._fleet.strike(strike)
            self.faults[f"{strike.action} {strike.role.split('-')[0]}"] += 1
        self._tend_until("all runs to succeed", deadline, lambda: self._done(mine) == len(mine))

    def _trains(self, role):
        token = self._record.training_lease_of(role) if self._record.look() else None
        return token is not None and (
            f" trains (token {token})" in self._fleet.members[role].log())

    def _submit(self, path, deadline):
        """The run's id. If a failpoint ends the coordinator meanwhile, the answer may be lost."""
        name = os.path.basename(path)[:-len(".yaml")]
        while time.monotonic() < deadline:
            with open(os.path.join(self._folder, "submit.log"), "a") as log:
                submitting = subprocess.Popen(
                    [program("distillery"), "submit", path, "--coordinator",
                     self._cluster.addresses["coordinator"]], text=True, stdout=subprocess.PIPE, stderr=log)
            # The coordinator comes back meanwhile.
            self._tend(deadline, lambda: submitting.poll() is not None)
            submitting.kill()
            run_id = submitting.communicate()[0].strip()
            if submitting.returncode != 0:
                wait_for("the record", self._record.look)
                run_id = next((known for known in self._record.runs
                               if known.rpartition("-")[0] == name), None)
            if run_id is not None:
                self._paths[run_id] = path
                return run_id
        raise AssertionError(f"cannot submit {path}: see submit.log")

    def _done(self, run_ids):
        """How many of the runs have succeeded, and of others the part of their rounds."""
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + 0.2
            if self._record.look():
                states = [self._record.runs[run_id] for run_id in run_ids]
                # The last round is not the end: its evaluation may follow.
                self._progress = sum(1 if state[0] == invariants.SUCCEEDED else
                                     state[1] / (ROUNDS + 1) for state in states)
        return self._progress

    def _tend_until(self, what, deadline, condition):
        if not self._tend(deadline, condition):
            raise AssertionError(f"gave up waiting for {what}; runs: {self._record.runs}")

    def _tend(self, deadline, condition):
        return self._fleet.tend_until(condition, deadline)

    def _check(self):
        settle = time.monotonic() + max(PAUSE_SECONDS) + 0.5
        self._tend(settle, lambda: all(member.resume_at is None
                                       for member in self._fleet.members.values()))
        self._fleet.stop()
        if not self._record.look():
            self.violations.append("the record cannot be read")
        if len(self._record.runs) != RUNS:
            self.violations.append(f"{RUNS} runs were submitted, there are {len(self._record.runs)}")
        logs = {role: member.log() for role, member in self._fleet.members.items()}
        worker_logs = [log for role, log in logs.items() if role.startswith("worker")]
        for run_id, path in self._paths.items():
            expected = self._alone.expected[path]
            replicas = expected["run"]["spec"]["training"]["replicas"]
            wrong = invariants.check_counts(self._record, run_id, len(expected["rounds"]), replicas)
            wrong += invariants.check_weights(
                self._record, self._cluster.state, run_id,
                [found["weights_sha256"] for found in expected["rounds"]])
            self.violations += [f"{path}: {what}" for what in wrong]
        self.violations += invariants.check_acknowledged(self._record, worker_logs)
        self.violations += invariants.check_logs(logs)
        self.lost_with_work = invariants.lost_with_work(self._record, worker_logs)

    def line(self):
        strikes = ", ".join(f"{kind} x{times}" for kind, times in sorted(self.faults.items()))
        return (f"seed {self.seed}: {'FAILED' if self.violations else f'{RUNS} runs, same bits'} in "
                f"{self.seconds:.1f} s; {strikes}; {self.lost_with_work} leases lost with work")


def main():
    parser = argparse.ArgumentParser(
        description=f"{RUNS} unlike runs at once on a cluster that is ended, stopped and restarted at "
        "seeded moments.", epilog="Programs are taken from $DISTILLERY_BIN, else build/release/bin.")
    parser.add_argument("--seeds", type=int, default=1, help="how many at least "
                        "(default %(default)s)")
    parser.add_argument("--minutes", type=float, default=0, help="go on until the time is over")
    parser.add_argument("--first-seed", type=int, default=1, help="(default %(default)s)")
    options = parser.parse_args()
    if options.seeds < 1 or options.minutes < 0:
        parser.error("--seeds must be 1 or more, --minutes 0 or more")
    folder = tempfile.mkdtemp(prefix="distillery-unlike-")
    alone = Alone(folder)
    failed, seeds, lost = [], 0, 0
    faults = collections.Counter()
    start = time.monotonic()
    while seeds < options.seeds or time.monotonic() < start + 60 * options.minutes:
        number = options.first_seed + seeds
        seed_folder = os.path.join(folder, f"seed-{number}")
        os.makedirs(seed_folder)
        seed = Seed(number, alone, seed_folder)
        seed.go()
        seeds += 1
        lost += seed.lost_with_work
        faults += seed.faults
        print(seed.line(), flush=True)
        if seed.violations:
            failed.append(number)
            print("\n".join("  " + violation for violation in seed.violations[:20]) +
                  f"\n  logs and record: {seed_folder}\n  again: tests/chaos/unlike_runs_driver.py "
                  f"--first-seed {number}", flush=True)
        else:
            shutil.rmtree(seed_folder)
    print(json.dumps({"seeds": seeds, "failed_seeds": failed, "runs": seeds * RUNS,
                      "seconds": round(time.monotonic() - start, 1), "faults": dict(faults),
                      "leases_lost_with_work": lost}))
    if not failed:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
