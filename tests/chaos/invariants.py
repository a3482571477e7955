"""The invariants of a disturbed run, checked from outside: its record, its files, the programs' logs.

I1 each (run, round, replica) is counted once; I2 what was recorded stays; I3 rounds never go back;
I4 weights are finite and bit for bit those of the undisturbed run; I5 no commit with an old token;
I8 status UNKNOWN is never seen. I6 and I7, of processes, are fleet.py's and the driver's."""

import array
import hashlib
import json
import math
import os
import re
import sqlite3

INITIALISE, TRAIN, EVALUATE = 1, 2, 3  # TaskKind
SUCCEEDED = 3  # RunState
LOST = ("expired", "abandoned", "stalled")  # outcomes of leases whose work is gone


class Record:
    """Looks at the record while the coordinator writes it, dies and comes back. What was once seen
    there must be there for ever; what is wrong is added to `violations`."""

    def __init__(self, state_folder):
        self._path = os.path.join(state_folder, "record.sqlite3")
        self.violations = []
        self.runs = {}  # run_id: (state, completed rounds, reason)
        self.results = {}  # (run_id, kind, round, replica): (request_id, sha256)
        self.rounds = {}  # (run_id, round): sha256
        self.leases = {}  # token: (run_id, kind, round, replica, worker, granted, ended, outcome)

    def query(self, text):
        database = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=10)
        try:
            return database.execute(text).fetchall()
        finally:
            database.close()

    def look(self):
        """False if it cannot be read now: not made yet, or left in the middle of a write."""
        database = None
        try:
            database = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=10)
            database.execute("BEGIN")  # one moment for all tables
            runs = database.execute(
                "SELECT run_id, state, completed_rounds, state_reason FROM runs").fetchall()
            results = database.execute(
                "SELECT run_id, kind, round, replica, request_id, delta_sha256 FROM tasks "
                "WHERE done=1").fetchall()
            rounds = database.execute(
                "SELECT run_id, round, weights_sha256 FROM rounds").fetchall()
            leases = database.execute(
                "SELECT l.fencing_token, l.run_id, l.kind, l.round, l.replica, w.name, "
                "l.granted_unix_millis, l.ended_unix_millis, l.outcome FROM leases l "
                "JOIN workers w USING (worker_id)").fetchall()
        except sqlite3.Error:
            return False
        finally:
            if database is not None:
                database.close()
        for run_id, *state in runs:
            before = self.runs.get(run_id)
            if before is not None and state[1] < before[1]:
                self.violations.append(f"I3: {run_id} went from round {before[1]} to {state[1]}")
            self.runs[run_id] = tuple(state)
        self._keep("result", self.results, {row[:4]: row[4:] for row in results})
        self._keep("round", self.rounds, {row[:2]: row[2] for row in rounds})
        now = {row[0]: row[1:] for row in leases}
        for token, lease in self.leases.items():
            if lease[-1] != "active" and now.get(token) != lease:
                self.violations.append(f"I5: lease {token} had ended as {lease}, is {now.get(token)}")
        self.leases = now
        return True

    def _keep(self, what, seen, now):
        for key, value in seen.items():
            if now.get(key) != value:
                self.violations.append(f"I2: {what} {key} was {value}, is {now.get(key)}")
        seen.clear()
        seen.update(now)

    def training_lease_of(self, worker):
        """Token of the training task that the worker holds, or None."""
        for token, lease in self.leases.items():
            if lease[1] == TRAIN and lease[4] == worker and lease[-1] == "active":
                return token
        return None

    def counted(self, run_id):
        """Training tasks that were counted: [(round, replica)], once for each time."""
        return sorted(lease[2:4] for lease in self.leases.values()
                      if lease[0] == run_id and lease[1] == TRAIN and lease[-1] == "done")


def check_counts(record, run_id, rounds, replicas):
    """I1 and I5, of a run that has succeeded."""
    counted = record.counted(run_id)
    expected = [(i, k) for i in range(rounds) for k in range(replicas)]
    wrong = []
    if counted != expected:
        wrong.append(f"I1: counted are {counted}")
    if record.results and sorted(key[2:] for key in record.results
                                 if key[0] == run_id and key[1] == TRAIN) != expected:
        wrong.append("I1: not each task has its one result")
    done = {lease[:4]: lease for lease in record.leases.values() if lease[-1] == "done"}
    if record.query("SELECT inexact, nondeterminism_alarms FROM runs "
                    f"WHERE run_id='{run_id}'") != [(0, 0)]:
        wrong.append("I4: two workers computed other bits for one task")
    for token, lease in record.leases.items():
        if lease[0] != run_id:
            continue
        if lease[-1] == "active":
            wrong.append(f"lease {token} is still active: {lease}")
        if lease[-1] == "failed":
            wrong.append(f"a task failed, though nothing but processes was disturbed: {lease}")
        if lease[:4] in done and lease[5] > done[lease[:4]][6]:
            wrong.append(f"I1: leased again when its result was there: {token} {lease}")
    return wrong


def check_weights(record, state_folder, run_id, expected_rounds):
    """I4: `expected_rounds` are the SHA-256 of the weights after each round, undisturbed."""
    wrong = []
    found = [record.rounds.get((run_id, i)) for i in range(len(expected_rounds))]
    for i, (got, expected) in enumerate(zip(found, expected_rounds)):
        if got != expected:
            wrong.append(f"I4: weights after round {i} are {got}, undisturbed {expected}")
            break
    path = os.path.join(state_folder, "weights", run_id, f"{len(expected_rounds):08}.safetensors")
    with open(path, "rb") as file:
        content = file.read()
    if hashlib.sha256(content).hexdigest() != expected_rounds[-1]:
        wrong.append(f"I4: {path} is not what the record says")
    if not finite(content):
        wrong.append(f"I4: {path} has values that are not finite")
    return wrong


def finite(safetensors):
    header_bytes = int.from_bytes(safetensors[:8], "little")
    header = json.loads(safetensors[8:8 + header_bytes])
    for tensor in header.values():
        begin, end = (8 + header_bytes + offset for offset in tensor["data_offsets"])
        kind = {"F32": "f", "F64": "d"}.get(tensor["dtype"])
        if kind is not None and not all(
                map(math.isfinite, array.array(kind, safetensors[begin:end]))):
            return False
    return True


def check_acknowledged(record, worker_logs):
    """I2: what a worker was told is done, is."""
    wrong = []
    done = {lease[:4] for lease in record.leases.values() if lease[-1] == "done"}
    for log in worker_logs:
        for task, token in re.findall(r"D (.*) is done \(token (\d+)\)", log):
            lease = record.leases.get(int(token))
            # The same bits as those of a faster worker are acknowledged too.
            if lease is None or (lease[-1] != "done" and
                                 not (lease[-1] == "superseded" and lease[:4] in done)):
                wrong.append(f"I2: {task} was acknowledged to token {token}, recorded is {lease}")
    return wrong


def check_logs(logs):
    """I8. `logs`: by label."""
    wrong = []
    for label, log in logs.items():
        for line in log.splitlines():
            # gRPC puts the word into the text of an UNAVAILABLE when no address can be reached.
            line = line.replace("last error: UNKNOWN: ", "last error: ")
            if re.search(r"\b(UNKNOWN|INTERNAL)\b", line):
                wrong.append(f"I8: {label}: {line}")
    return wrong


def lost_with_work(record, worker_logs):
    """Leases that were lost when their task was in the midst of training."""
    begun = {int(token) for log in worker_logs
             for token in re.findall(r" trains \(token (\d+)\)", log)}
    return sum(lease[-1] in LOST and token in begun for token, lease in record.leases.items())
