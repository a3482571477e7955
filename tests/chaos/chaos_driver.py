#!/usr/bin/env python3
"""Ends, stops and restarts a whole cluster at seeded moments; the weights stay bit for bit the same.

A coordinator, two teachers and four workers train a small student of the built-in digits. SIGKILL,
SIGSTOP with a later SIGCONT, SIGTERM, and failpoints within the programs hit them; what ended is
started again with the same flags. Then the invariants of invariants.py must hold, and the weights
of each round must be those of an undisturbed run. What is done is a function of the seed alone.

Any 25 seeds in a row hit every failpoint, lose at least 25 leases with work in them, and have
teachers fail over in mid-stream at least 10 times: if not, the driver fails, as it would prove less
than it says."""

import argparse
import collections
import dataclasses
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
from fleet import Fleet, Footprint, Member, free_address
from process_killer import ACTIONS, KILL, PAUSE, Strike, plan
from services import program, run, wait_for

PERIOD = 25  # seeds in a row that have each failpoint
COPIES = 3  # seeds of a period that have one failpoint
FEWEST_LOST = 25  # leases lost with work in them, in a period
FEWEST_FAILOVERS = 10
WORKERS = 4
REPLICAS = 4
ROUNDS = 6
LEASE = 1  # seconds
STRIKES = 6  # of a seed
PAUSE_SECONDS = (0.3, 2.5)  # shorter than a lease, and longer
LONGEST = 120  # seconds for a seed to succeed
MIB = 1 << 20

ROLES = ("coordinator", "teacher-0", "teacher-1", *(f"worker-{i}" for i in range(WORKERS)))

# How often at the least a process passes the failpoints that it passes but a few times.
MOST_HITS = {
    "coordinator.run.recorded": 1, "coordinator.run.ended": 1, "worker.initialise.done": 1,
    "worker.evaluation.done": 1, "coordinator.evaluation.recorded": 2,
    "coordinator.average.written": 3, "coordinator.momentum.renamed": 3,
    "coordinator.weights.renamed": 3, "coordinator.round.recording": 3,
    "coordinator.round.recorded": 3, "coordinator.average.fragment": 12,
    "coordinator.download.chunk": 5, "coordinator.lease.granted": 8,
    "teacher.stream.opened": 6, "teacher.stream.chunk": 30, "teacher.stream.trailer": 6,
    "teacher.cache.rows": 8, "teacher.cache.written": 4, "teacher.cache.renamed": 4,
    "worker.task.leased": 3, "worker.download.chunk": 2, "worker.shard.chunk": 12,
    "worker.train.step": 150, "worker.upload.begin": 2, "worker.upload.chunk": 2,
    "worker.upload.sent": 2, "worker.upload.done": 2,
}
USUAL_HITS = 8

# Each way for results to travel and for the outer optimizer to keep its state.
VARIANTS = (
    dict(architecture="mlp:64-256-256-10,dropout=0.1", outer="nesterov", momentum=0.5, rate=0.7,
         delta_encoding="float32", broadcast_encoding="float32", more=""),
    dict(architecture="mlp:64-256-256-10", outer="adam", momentum=0.9, rate=0.01,
         delta_encoding="int8", broadcast_encoding="float32", more=", beta2: 0.99, epsilon: 0.001"),
    dict(architecture="mlp:64-256-256-10", outer="momentum", momentum=0.3, rate=0.8,
         delta_encoding="bfloat16", broadcast_encoding="float16", more=""),
)
SPEC = """\
name: chaos
seed: {seed}
dataset: {dataset}
student: {{architecture: "{architecture}"}}
teacher: {{model: "{teacher}"}}
loss: {{alpha: 0.9, temperature: 2}}
training:
  rounds: {rounds}
  replicas: {replicas}
  {amount}
  batch_size: 32
  learning_rate: 0.05
  delta_encoding: {delta_encoding}
  broadcast_encoding: {broadcast_encoding}
outer: {{optimizer: {outer}, learning_rate: {rate}, momentum: {momentum}{more}}}
"""
DATASETS = {
    "digits": dict(selector="{name: digits, shard_size: 64}", amount="local_epochs: 24",
                   width=64, teacher="mlp:64-128-10", epochs=10),
    "mnist": dict(selector="{name: mnist, shard_size: 2000}", amount="local_steps: 60",
                  width=784, teacher="mlp:784-128-10", epochs=1),
}


@dataclasses.dataclass(frozen=True)
class Schedule:
    """What is done to the processes of one seed."""

    variant: int
    arms: dict  # role: {failpoint: "kill@3"}
    strikes: list  # of Strike; `at` is the part of the training tasks that are done
    delays: list  # of each strike: seconds to wait once its moment has come

    def describe(self):
        acts = [f"{role}:{name}={act}" for role, arms in self.arms.items()
                for name, act in arms.items()]
        return acts + [f"{strike.role}:{strike.action}@{strike.at:.2f}" for strike in self.strikes]


def schedule(seed):
    """A pure function of the seed."""
    generator = random.Random(f"chaos {seed}")
    arms = collections.defaultdict(dict)
    for name, copy in allotted(seed):
        program_name = failpoints.program_of(name)
        action = failpoints.STOP if copy > 0 and generator.random() < 0.25 else failpoints.KILL
        hit = 1 + int(generator.random() * MOST_HITS.get(name, USUAL_HITS))
        roles = [role for role in ROLES if role.startswith(program_name)]
        if name.startswith("teacher.cache"):
            roles = roles[:1]  # the one with a cache
        # Evaluations are few: of four workers two are sure enough to be given one.
        for role in generator.sample(roles, 2 if name == "worker.evaluation.done" else 1):
            arms[role][name] = f"{action}@{hit}"
    # A teacher dies in mid-stream in each seed.
    arms[generator.choice(("teacher-0", "teacher-1"))].setdefault(
        "teacher.stream.chunk", f"kill@{generator.randint(2, 40)}")
    strikes = plan(seed, ("coordinator", *ROLES), STRIKES, ACTIONS, PAUSE_SECONDS)
    # Leases with work in them are lost by workers: two strikes of each seed are for them.
    for i in generator.sample(range(STRIKES), 2):
        pause = generator.random() < 0.3
        strikes[i] = Strike(at=strikes[i].at, role=f"worker-{generator.randrange(WORKERS)}",
                            action=PAUSE if pause else KILL,
                            pause_seconds=round(generator.uniform(1.5, 2.5), 3) if pause else 0.0)
    delays = [generator.random() * 0.15 for _ in strikes]
    return Schedule(seed % len(VARIANTS), dict(arms), strikes, delays)


def allotted(seed):
    """(failpoint, which copy) of this seed: each has COPIES of any PERIOD seeds in a row."""
    names = failpoints.names()
    random.Random("failpoints").shuffle(names)
    return [(name, copy) for i, name in enumerate(names) for copy in range(COPIES)
            if (i + copy * (PERIOD // COPIES)) % PERIOD == seed % PERIOD]


class Undisturbed:
    """SHA-256 of the weights after each round of a variant."""

    def __init__(self, folder, dataset):
        self._folder = folder
        self._dataset = DATASETS[dataset]
        self._flags = data_flags(dataset)
        self._rounds = None
        self.teacher = os.path.join(folder, "teacher.pt")
        run("distillery", "train-teacher", "--output", self.teacher, "--dataset", dataset,
            "--epochs", self._dataset["epochs"], "--architecture", self._dataset["teacher"],
            *self._flags)

    def spec(self, variant):
        """Path of its RunSpec."""
        path = os.path.join(self._folder, f"run-{variant}.yaml")
        if not os.path.exists(path):
            values = dict(VARIANTS[variant], seed=variant + 1, dataset=self._dataset["selector"],
                          teacher=self.teacher, rounds=ROUNDS, replicas=REPLICAS,
                          amount=self._dataset["amount"])
            values["architecture"] = values["architecture"].replace(
                "mlp:64", f"mlp:{self._dataset['width']}")
            with open(path, "w") as file:
                file.write(SPEC.format(**values))
        return path

    def rounds(self, variant):
        if self._rounds is None:
            self._rounds = self._run_all()
        return self._rounds[variant]

    def _run_all(self):
        """All variants, on a cluster that is left alone."""
        folder = os.path.join(self._folder, "undisturbed")
        os.makedirs(folder)
        cluster = Cluster(folder, self.teacher, self._flags)
        fleet = Fleet(folder, {role: cluster.member(role) for role in
                               ("coordinator", "teacher-1", "worker-0", "worker-1")},
                      random.Random(), PAUSE_SECONDS)
        record = invariants.Record(cluster.state)
        try:
            for role in fleet.members:
                fleet.start(role)
            wait_for("the coordinator", lambda: "listens on" in fleet.members["coordinator"].log())
            run_ids = [run("distillery", "submit", self.spec(variant), "--coordinator",
                           cluster.addresses["coordinator"]).stdout.strip()
                       for variant in range(len(VARIANTS))]
            wait_for("the undisturbed runs", lambda: record.look() and all(
                record.runs[run_id][0] == invariants.SUCCEEDED for run_id in run_ids))
            fleet.stop()
        finally:
            fleet.kill_all()
        if fleet.deaths:
            raise AssertionError(f"undisturbed, and yet: {fleet.deaths}")
        return [[record.rounds[run_id, i] for i in range(ROUNDS)] for run_id in run_ids]


def data_flags(dataset):
    folder = os.environ.get("DISTILLERY_DATA_DIR", "")
    return ("--data-dir", folder) if dataset != "digits" else ()


class Cluster:
    """Flags and addresses of the programs; what a role is started with never changes."""

    def __init__(self, folder, teacher, flags, lease=LEASE, worker_flags=()):
        """`flags`: of teachers and workers, such as where the data are."""
        self.folder = folder
        self.state = os.path.join(folder, "state")
        self.addresses = {role: free_address() for role in ROLES[:3]}
        self._teacher = teacher
        self._flags = flags
        self._lease = lease
        self._worker_flags = worker_flags

    def member(self, role):
        coordinator = self.addresses["coordinator"]
        if role == "coordinator":
            arguments = ("coordinator", "--state-dir", self.state, "--listen", coordinator,
                         "--lease-seconds", self._lease)
        elif role.startswith("teacher"):
            # Small cuts, so that a shard is a stream of many messages.
            arguments = ("teacher_service", "--model", self._teacher, "--listen",
                         self.addresses[role], "--batch-rows", 8, "--compute-slots", 1,
                         *self._flags)
            if role == "teacher-0":
                arguments += ("--cache-dir", os.path.join(self.folder, "cache"))
        else:
            arguments = ("student_worker", "--name", role, "--coordinator", coordinator,
                         "--teacher", ",".join(self.addresses[role] for role in ROLES[1:3]),
                         "--log-level", "debug", *self._flags, *self._worker_flags)
        return Member(self.folder, role, *arguments)


class Seed:
    """One disturbed run."""

    def __init__(self, seed, undisturbed, folder, dataset):
        self.seed = seed
        self.schedule = schedule(seed)
        self.folder = folder
        self.violations = []
        self.faults = collections.Counter()  # "kill coordinator": times
        self.lost_with_work = 0
        self.failovers = 0
        self.seconds = 0.0
        self._undisturbed = undisturbed
        self._cluster = Cluster(folder, undisturbed.teacher, data_flags(dataset))
        self._record = invariants.Record(self._cluster.state)
        self._fleet = Fleet(folder, {role: self._cluster.member(role) for role in ROLES},
                            random.Random(f"pauses {seed}"), PAUSE_SECONDS)
        for role, arms in self.schedule.arms.items():
            self._fleet.members[role].arms = dict(arms)
        self._next_look = 0.0
        self._progress = 0.0
        self._run_id = None
        self._submitting = None

    def go(self):
        start = time.monotonic()
        try:
            self._disturb(start + LONGEST)
            self._check()
        except AssertionError as error:
            self.violations.append(str(error))
        finally:
            self._fleet.kill_all()
            if self._submitting is not None and self._submitting.poll() is None:
                self._submitting.kill()
                self._submitting.wait()
        self.seconds = time.monotonic() - start
        for name, action, role in self._fleet.hits:
            self.faults[f"failpoint {action} {role.split('-')[0]}"] += 1
        self.violations += self._fleet.deaths + self._record.violations

    @property
    def hits(self):
        return {name for name, _, _ in self._fleet.hits}

    def _disturb(self, deadline):
        # Who alone makes the initial weights comes first.
        first = [role for role in ROLES if "worker.initialise.done" in
                 self.schedule.arms.get(role, {})]
        for role in ROLES[:3] + tuple(first):
            self._fleet.start(role)
        if first:
            self._tend_until("the initial weights to be made", deadline,
                             lambda: "worker.initialise.done" in self.hits)
        for role in ROLES:
            if self._fleet.members[role].process is None:
                self._fleet.start(role)
        for strike, delay in zip(self.schedule.strikes, self.schedule.delays):
            self._tend_until(f"{strike.at:.0%} of the tasks", deadline,
                             lambda: self._progress >= strike.at or self._succeeded())
            if strike.role.startswith("worker"):
                # With a task in its hands, if it gets one soon.
                soon = min(deadline, time.monotonic() + 3)
                self._tend(soon, lambda: self._trains(strike.role) or self._succeeded())
            self._tend(min(deadline, time.monotonic() + delay), lambda: False)
            if self._succeeded():
                break
            self._strike(strike)
        self._tend_until("the run to succeed", deadline, self._succeeded)

    def _strike(self, strike):
        self._fleet.strike(strike)
        self.faults[f"{strike.action} {strike.role.split('-')[0]}"] += 1

    def _tend_until(self, what, deadline, condition):
        if not self._tend(deadline, condition):
            raise AssertionError(f"gave up waiting for {what}; runs: {self._record.runs}")

    def _tend(self, deadline, condition):
        """Keeps all going until the condition holds (true) or the time is over."""
        return self._fleet.tend_until(condition, deadline, self._look)

    def _look(self):
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + 0.05
        if not self._record.look():
            return
        if not self._record.runs:
            self._submit()
            return
        if self._run_id is None:
            self._run_id = next(iter(self._record.runs))
        self._progress = len(self._record.counted(self._run_id)) / (ROUNDS * REPLICAS)
        for member in self._fleet.members.values():
            if (self._progress > 0.1 and member.baseline is None and member.age() > 1.5 and
                    member.works() and member.process.child.poll() is None):
                member.baseline = Footprint(member.pid)

    def _submit(self):
        """In the background, again until the run is in the record: the answer may be lost."""
        if self._submitting is None or self._submitting.poll() is not None:
            with open(os.path.join(self.folder, "submit.log"), "ab") as log:
                self._submitting = subprocess.Popen(
                    [program("distillery"), "submit", self._undisturbed.spec(self.schedule.variant),
                     "--coordinator", self._cluster.addresses["coordinator"]], stdout=log, stderr=log)

    def _succeeded(self):
        return self._run_id is not None and (
            self._record.runs[self._run_id][0] == invariants.SUCCEEDED)

    def _trains(self, role):
        token = self._record.training_lease_of(role)
        return token is not None and (
            f" trains (token {token})" in self._fleet.members[role].log())

    def _check(self):
        # Those that are stopped go on; those that have just died are back.
        settle = time.monotonic() + max(PAUSE_SECONDS) + 0.5
        self._tend(settle, lambda: all(member.resume_at is None
                                       for member in self._fleet.members.values()))
        self._check_footprints()
        self._fleet.stop()
        if not self._record.look():
            self.violations.append("the record cannot be read")
        if len(self._record.runs) != 1:
            self.violations.append(f"one run was submitted, there are {self._record.runs}")
        logs = {role: member.log() for role, member in self._fleet.members.items()}
        worker_logs = [log for role, log in logs.items() if role.startswith("worker")]
        self.violations += invariants.check_counts(self._record, self._run_id, ROUNDS, REPLICAS)
        self.violations += invariants.check_weights(
            self._record, self._cluster.state, self._run_id,
            self._undisturbed.rounds(self.schedule.variant))
        self.violations += invariants.check_acknowledged(self._record, worker_logs)
        self.violations += invariants.check_logs(logs)
        self.lost_with_work = invariants.lost_with_work(self._record, worker_logs)
        self.failovers = self._record.query("SELECT SUM(teacher_failover_count) FROM rounds")[0][0]

    def _check_footprints(self):
        """I6: those that lived through it hold no more than in the midst of their work."""
        for role, member in self._fleet.members.items():
            if member.baseline is None or member.process.child.poll() is not None:
                continue
            now = Footprint(member.pid)
            before = member.baseline
            if (now.descriptors > before.descriptors + 16 or now.threads > before.threads + 16 or
                    now.resident > before.resident + 64 * MIB):
                self.violations.append(
                    f"I6: {role} had {vars(before)}, now has {vars(now)}")

    def line(self):
        acts = ", ".join(f"{name}={action}@{role}" for name, action, role in self._fleet.hits)
        strikes = ", ".join(f"{kind} x{times}" for kind, times in sorted(self.faults.items())
                            if not kind.startswith("failpoint"))
        return (f"seed {self.seed}: {'FAILED' if self.violations else 'same bits'} in "
                f"{self.seconds:.1f} s; {strikes}; {acts}; {self.lost_with_work} leases lost with "
                f"work, {self.failovers} fail-overs in mid-stream")


class Summary:
    """Of all seeds."""

    def __init__(self):
        self.seeds = 0
        self.failed = []
        self.faults = collections.Counter()
        self.hits = collections.Counter()
        self.lost_with_work = 0
        self.failovers = 0
        self.start = time.monotonic()

    def add(self, seed):
        self.seeds += 1
        if seed.violations:
            self.failed.append(seed.seed)
        self.faults += seed.faults
        self.hits.update(seed.hits)
        self.lost_with_work += seed.lost_with_work
        self.failovers += seed.failovers

    def missing(self):
        """What a full period should have had and has not."""
        if self.seeds < PERIOD:
            return []
        missing = [f"failpoint {name} was never hit" for name in failpoints.names()
                   if self.hits[name] == 0]
        if self.lost_with_work < FEWEST_LOST:
            missing.append(f"{self.lost_with_work} leases were lost with work in them, "
                           f"{FEWEST_LOST} are asked for")
        if self.failovers < FEWEST_FAILOVERS:
            missing.append(f"{self.failovers} fail-overs in mid-stream, {FEWEST_FAILOVERS} are "
                           "asked for")
        return missing

    def as_dict(self):
        return {"seeds": self.seeds, "failed_seeds": self.failed, "missing": self.missing(),
                "seconds": round(time.monotonic() - self.start, 1), "faults": dict(self.faults),
                "failpoints_hit": dict(self.hits), "leases_lost_with_work": self.lost_with_work,
                "failovers_in_mid_stream": self.failovers}

    def text(self):
        lines = [f"{self.seeds} seeds in {time.monotonic() - self.start:.0f} s, "
                 f"{len(self.failed)} failed"]
        for kind in sorted({fault.rsplit(" ", 1)[0] for fault in self.faults}):
            lines.append(f"  {kind}: " + ", ".join(
                f"{name} {self.faults[f'{kind} {name}']}" for name in failpoints.PROGRAMS))
        for name in failpoints.PROGRAMS:
            mine = [point for point in failpoints.names() if failpoints.program_of(point) == name]
            hit = [point for point in mine if self.hits[point] > 0]
            lines.append(f"  failpoints of the {name}: {len(hit)} of {len(mine)} hit")
        lines.append(f"  {self.lost_with_work} leases lost with work in them, {self.failovers} "
                     "teacher fail-overs in mid-stream")
        return "\n".join(lines + [f"MISSING: {what}" for what in self.missing()])


EXAMPLES = """\
examples:
  tests/chaos/chaos_driver.py                              25 seeds, in under 10 minutes
  tests/chaos/chaos_driver.py --minutes 60 --first-seed 1  a soak
  tests/chaos/chaos_driver.py --seeds 1 --first-seed 17    one seed again
Programs are taken from $DISTILLERY_BIN, else build/release/bin; data from $DISTILLERY_DATA_DIR."""


def main():
    parser = argparse.ArgumentParser(
        description="Ends, stops and restarts a cluster at seeded moments.", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, help=f"how many at least (default {PERIOD}, with "
                        "--minutes 1)")
    parser.add_argument("--minutes", type=float, default=0, help="go on until the time is over")
    parser.add_argument("--first-seed", type=int, default=1, help="(default %(default)s)")
    parser.add_argument("--dataset", choices=sorted(DATASETS), default="digits",
                        help="(default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    options = parser.parse_args()
    seeds = options.seeds if options.seeds is not None else 1 if options.minutes else PERIOD
    if seeds < 1 or options.minutes < 0:
        parser.error("--seeds must be 1 or more, --minutes 0 or more")
    folder = tempfile.mkdtemp(prefix="distillery-chaos-")
    out = sys.stderr if options.json else sys.stdout
    undisturbed = Undisturbed(folder, options.dataset)
    summary = Summary()
    end = summary.start + 60 * options.minutes
    number = options.first_seed
    while summary.seeds < seeds or time.monotonic() < end:
        seed_folder = os.path.join(folder, f"seed-{number}")
        os.makedirs(seed_folder)
        seed = Seed(number, undisturbed, seed_folder, options.dataset)
        seed.go()
        summary.add(seed)
        print(seed.line(), file=out, flush=True)
        if seed.violations:
            print("\n".join("  " + violation for violation in seed.violations[:20]) +
                  f"\n  planned: {', '.join(seed.schedule.describe())}"
                  f"\n  logs and record: {seed_folder}\n  again: tests/chaos/chaos_driver.py "
                  f"--seeds 1 --first-seed {number} --dataset {options.dataset}",
                  file=out, flush=True)
        else:
            shutil.rmtree(seed_folder)
        number += 1
    print(summary.text(), file=out)
    if options.json:
        print(json.dumps(summary.as_dict()))
    if not summary.failed:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if summary.failed or summary.missing() else 0


if __name__ == "__main__":
    sys.exit(main())
