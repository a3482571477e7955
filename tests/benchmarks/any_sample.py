#!/usr/bin/python3
"""Whether soft targets help a student of each kind of sample: table rows, lines of text, a language
model, pictures whose pixels have classes, and recordings.

For each data set a teacher is trained on hard labels with four fifths of `train`. Then a smaller
student learns from hard labels alone and from soft targets: equal samples, epochs and batches, and
each with the best learning rate of the same grid on the last fifth. Both are then trained with
several seeds and compared on `test`, with the 95 % interval of the paired difference. JSON on
standard output.

  tests/benchmarks/any_sample.py
  tests/benchmarks/any_sample.py --only wine --seeds 2

The tables are those of python3-sklearn; the text is shared/data/shakespeare, and the recordings are
shared/data/fsdd, by $DISTILLERY_DATA_DIR.
"""
import argparse
import dataclasses
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import types

from mnist_runs import BIN, ROOT, Services, mean_and_interval

sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
import sample_sets  # noqa: E402

SPEC = """name: {name}
seed: {seed}
dataset: {{name: {dataset}, train_split: {train}, evaluation_split: {test}, shard_size: {shard_size}{more}}}
student: {{architecture: "{architecture}"}}
loss: {{alpha: {alpha}, temperature: {temperature}}}
soft_targets: {soft_targets}
training:
  rounds: {rounds}
  replicas: 1
  local_epochs: {local_epochs}
  batch_size: {batch_size}
  optimizer: adamw
  optimizer_state: average
  learning_rate: {rate}
  schedule: one_cycle
evaluation: {{every_rounds: 0}}
"""
ALPHA = 0.9


def accuracy(metrics):
    return 100 * int(metrics.get("correct_count", 0)) / int(metrics["sample_count"])


def bits_per_byte(metrics):
    return metrics["cross_entropy"] / math.log(2)


def mean_iou(metrics):
    return 100 * metrics["mean_iou"]


@dataclasses.dataclass(frozen=True)
class Figure:
    name: str
    measure: callable
    digits: int = 1
    more_is_better: bool = True


ACCURACY = Figure("accuracy, %", accuracy)
BITS = Figure("bits per byte", bits_per_byte, digits=3, more_is_better=False)
IOU = Figure("mean IoU, %", mean_iou)


@dataclasses.dataclass(frozen=True)
class Study:
    """One data set, its teacher and its students."""

    make: callable  # writes the data set into a folder
    figure: Figure
    teacher: str
    teacher_rate: float
    teacher_epochs: int
    student: str
    rates: tuple
    epochs: int
    batch_size: int
    temperature: float = 2
    soft_targets: str = "{encoding: float32}"
    fraction: float = 1.0  # of the samples, for students
    labels: str = "all"  # or the part of the students' samples that have one
    rate_seeds: int = 1  # seeds by whose mean the rate is chosen
    shard_size: int = 128


def table(name):
    return lambda folder: sample_sets.write_table(folder, *sample_sets.sklearn_table(name))


def speakers(folder):
    sample_sets.write_speakers(folder, sample_sets.shakespeare(), speakers=3, length=40)


def plays(folder):
    sample_sets.write_plays(folder, sample_sets.shakespeare(), train=200_000, test=30_000)


def canvases(folder):
    sample_sets.write_canvases(folder, train=600, test=200, classes=5)


def spoken_digits(by_speaker):
    return lambda folder: sample_sets.write_spoken_digits(folder, by_speaker)


SPOKEN = Study(
    make=spoken_digits(by_speaker=False), figure=ACCURACY, teacher="dscnn:64-4",
    teacher_rate=0.01, teacher_epochs=12, student="dscnn:16-3", rates=(0.01, 0.03, 0.1), epochs=24,
    batch_size=32, temperature=4)
SPEAKERS = Study(
    make=speakers, figure=ACCURACY, teacher="transformer:1-4-64,dropout=0.1", teacher_rate=0.003,
    teacher_epochs=12, student="transformer:1-2-16", rates=(0.003, 0.01, 0.03), epochs=12,
    batch_size=32)
CANVASES = Study(
    make=canvases, figure=IOU, teacher="unet:12-3", teacher_rate=0.01, teacher_epochs=20,
    student="unet:6-3", rates=(0.02, 0.04, 0.08), epochs=16, batch_size=8, fraction=0.3,
    temperature=1)
STUDIES = {
    "breast_cancer": Study(
        make=table("breast_cancer"), figure=ACCURACY, teacher="mlp:30-64-64-2,dropout=0.2",
        teacher_rate=0.003, teacher_epochs=40, student="mlp:30-4-2", rates=(0.01, 0.03, 0.1),
        epochs=40, batch_size=16, fraction=0.15, rate_seeds=3),
    "wine": Study(
        make=table("wine"), figure=ACCURACY, teacher="mlp:13-64-64-3,dropout=0.2",
        teacher_rate=0.003, teacher_epochs=60, student="mlp:13-4-3", rates=(0.01, 0.03, 0.1),
        epochs=40, batch_size=8, fraction=0.3, rate_seeds=3),
    "speakers": SPEAKERS,
    "speakers_few_labels": dataclasses.replace(SPEAKERS, labels="0.2"),
    "plays": Study(
        make=plays, figure=BITS, teacher="gru:128", teacher_rate=0.01, teacher_epochs=5,
        student="gru:32", rates=(0.01, 0.02, 0.04), epochs=2, batch_size=16, temperature=1,
        soft_targets="{encoding: top_k, top_k: 16}"),
    "spoken_digits": SPOKEN,
    "spoken_digits_few_labels": dataclasses.replace(SPOKEN, labels="0.1"),
    "spoken_digits_by_speaker": dataclasses.replace(SPOKEN, make=spoken_digits(by_speaker=True)),
    "canvases": CANVASES,
    "canvases_few_labels": dataclasses.replace(CANVASES, fraction=1.0, labels="0.3", epochs=8),
}


def train_teacher(study, name, folder, data_dir):
    """Path of the model, and its figures on the test split."""
    path = f"{folder}/teacher.yaml"
    with open(path, "w", encoding="utf-8") as file:
        file.write(SPEC.format(
            name="teacher", seed=1, dataset=name, train="fit", test="test", more="",
            shard_size=study.shard_size, architecture=study.teacher, alpha=0, temperature=1,
            soft_targets="{}", rounds=1, local_epochs=study.teacher_epochs,
            batch_size=study.batch_size, rate=study.teacher_rate))
    done = subprocess.run([f"{BIN}/distillery", "run", path, "--data-dir", data_dir, "--output",
                           f"{folder}/teacher", "--json"], stdout=subprocess.PIPE, check=True,
                          stderr=subprocess.DEVNULL)
    return f"{folder}/teacher/student.pt", json.loads(done.stdout)["run"]["latest_evaluation"]


class Students:
    """Trains students of one study on services."""

    def __init__(self, study, name, services, data_dir):
        self._study = study
        self._name = name
        self._services = services
        self._data_dir = data_dir

    def start(self, alpha, rate, seed, train, test):
        study = self._study
        path = f"{self._services.folder}/student.yaml"
        with open(path, "w", encoding="utf-8") as file:
            file.write(SPEC.format(
                name=f"{self._name}-{alpha}-{rate}-{seed}-{train}", seed=seed, dataset=self._name,
                train=train, test=test, shard_size=study.shard_size, architecture=study.student,
                more=f", sample_fraction: {study.fraction}, labels: {study.labels}", alpha=alpha,
                temperature=study.temperature, soft_targets=study.soft_targets, rounds=2,
                local_epochs=study.epochs // 2, batch_size=study.batch_size, rate=rate))
        return self._services.command("submit", path, "--data-dir", self._data_dir).strip()

    def metrics(self, run_id):
        ended = json.loads(self._services.command("watch", run_id, "--json"))["run"]
        if ended["state"] != "RUN_STATE_SUCCEEDED":
            sys.exit(f"{run_id}: {ended}")
        return ended["latest_evaluation"]

    def best_rates(self):
        """By alpha: the rate with the best mean on the validation part."""
        study = self._study
        ids = {(alpha, rate, seed): self.start(alpha, rate, seed, "fit", "validation")
               for alpha in (0, ALPHA) for rate in study.rates
               for seed in range(101, 101 + study.rate_seeds)}
        values = {}
        for (alpha, rate, _), run_id in ids.items():
            values.setdefault((alpha, rate), []).append(study.figure.measure(self.metrics(run_id)))
        sign = 1 if study.figure.more_is_better else -1
        return {alpha: max(study.rates, key=lambda rate: sign * sum(values[alpha, rate]))
                for alpha in (0, ALPHA)}, {
                    f"alpha {alpha}, rate {rate}": sum(of) / len(of)
                    for (alpha, rate), of in values.items()}


def measure(name, folder, arguments):
    study = STUDIES[name]
    data_dir = f"{folder}/data"
    os.makedirs(data_dir, exist_ok=True)
    study.make(f"{data_dir}/{name}")
    work = f"{folder}/{name}"
    os.makedirs(work)
    start = time.time()
    teacher, teacher_metrics = train_teacher(study, name, work, data_dir)
    figure = study.figure
    print(f"{name}: teacher {figure.measure(teacher_metrics):.3f} {figure.name}, "
          f"{time.time() - start:.0f} s", file=sys.stderr)
    services = Services(work, types.SimpleNamespace(data_dir=data_dir, teacher=teacher,
                                                    workers=arguments.workers))
    try:
        students = Students(study, name, services, data_dir)
        rates, grid = students.best_rates()
        print(f"{name}: rates {rates} of {grid}", file=sys.stderr)
        ids = {(alpha, seed): students.start(alpha, rates[alpha], seed, "train", "test")
               for seed in range(1, arguments.seeds + 1) for alpha in (0, ALPHA)}
        metrics = {key: students.metrics(run_id) for key, run_id in ids.items()}
    finally:
        services.stop()
    values = {alpha: [figure.measure(metrics[alpha, seed])
                      for seed in range(1, arguments.seeds + 1)] for alpha in (0, ALPHA)}
    difference, interval = mean_and_interval(
        [soft - hard for hard, soft in zip(values[0], values[ALPHA])])
    deviations = {alpha: mean_and_deviation(of) for alpha, of in values.items()}
    verdict = "no difference" if abs(difference) <= interval else (
        "helps" if (difference > 0) == figure.more_is_better else "harms")
    row = {"data": name, "figure": figure.name, "samples": int(teacher_metrics["sample_count"]),
           "teacher": study.teacher, "student": study.student,
           "teacher_figure": figure.measure(teacher_metrics), "rates": [rates[0], rates[ALPHA]],
           "grid": grid, "hard": values[0], "soft": values[ALPHA], "difference": difference,
           "interval_95": interval, "verdict": verdict, "wall_seconds": round(time.time() - start)}
    places = figure.digits
    print(f"| {name} | {figure.name} | {row['teacher_figure']:.{places}f} | " + " | ".join(
        f"{mean:.{places}f} ± {deviation:.{places}f}" for mean, deviation in deviations.values())
        + f" | {difference:+.{places}f} ± {interval:.{places}f} | {verdict} |", file=sys.stderr)
    return row


def mean_and_deviation(values):
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((v - mean) ** 2 for v in values) / max(1, len(values) - 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=STUDIES, default=list(STUDIES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="distillery-samples-") as folder:
        rows = [measure(name, folder, arguments) for name in arguments.only]
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
