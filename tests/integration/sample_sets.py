"""Small data sets of each kind of sample, made from public data: table rows, lines of text, a text for
a language model, pictures whose pixels have classes, and recordings."""

import collections
import csv
import gzip
import json
import os
import tarfile

import numpy

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CANVAS = 32  # pixels, each way


def shakespeare():
    """The plays as one text. FileNotFoundError if $DISTILLERY_DATA_DIR does not hold them."""
    path = os.path.join(os.environ.get("DISTILLERY_DATA_DIR", ""), "shakespeare",
                        "tinyshakespeare.txt.gz")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return file.read()


def digits():
    """The built-in data: images [n, 8, 8] of 0 to 16, and labels [n]."""
    with gzip.open(os.path.join(SOURCE, "common/data/digits/digits.csv.gz"), "rt") as file:
        rows = numpy.loadtxt(file, delimiter=",", dtype=numpy.int64)
    return rows[:, :-1].reshape(-1, 8, 8), rows[:, -1]


def sklearn_table(name):
    """Column names, rows and class names of a table of scikit-learn: "breast_cancer" or "wine".
    ImportError without python3-sklearn."""
    from sklearn import datasets
    table = getattr(datasets, "load_" + name)()
    names = [str(column).replace(" ", "_") for column in table.feature_names]
    return names, table.data, [str(table.target_names[label]) for label in table.target]


def write_table(folder, columns, rows, labels, test_part=0.4, seed=1):
    """train.csv and test.csv with the columns and `label`."""
    os.makedirs(folder)
    order = numpy.random.default_rng(seed).permutation(len(rows))
    test_count = int(len(rows) * test_part)
    for split, chosen in (("test", order[:test_count]), ("train", order[test_count:])):
        with open(f"{folder}/{split}.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*columns, "label"])
            for i in chosen:
                writer.writerow([*(repr(float(value)) for value in rows[i]), labels[i]])


def write_speakers(folder, text, speakers=5, length=48, train=None, test=None, test_part=0.25,
                   seed=1):
    """train.jsonl and test.jsonl: a line of a play, and which of the most frequent speakers says it.
    A speech is in one of them as a whole. At most `train` and `test` lines; None: all."""
    speeches = []
    for block in text.split("\n\n"):
        name, *lines = block.split("\n")
        if name.endswith(":"):
            speeches.append((name[:-1].title(), [line for line in lines if line.strip()]))
    said = collections.Counter()
    for name, lines in speeches:
        said[name] += len(lines)
    known = {name for name, _ in said.most_common(speakers)}
    speeches = [speech for speech in speeches if speech[0] in known]
    os.makedirs(folder)
    order = numpy.random.default_rng(seed).permutation(len(speeches))
    test_count = int(len(speeches) * test_part)
    for split, chosen, limit in (("test", order[:test_count], test),
                                 ("train", order[test_count:], train)):
        lines = [(line, speeches[i][0]) for i in chosen for line in speeches[i][1]]
        with open(f"{folder}/{split}.jsonl", "w", encoding="utf-8") as file:
            for line, name in lines[:limit]:
                file.write(json.dumps({"text": line, "label": name}) + "\n")
    write_options(folder, length=length)


def write_plays(folder, text, train, test, length=64):
    """train.txt and test.txt of so many bytes each, for a language model of windows of `length`."""
    os.makedirs(folder)
    plays = text.encode()
    for split, part in (("train", plays[:train]), ("test", plays[len(plays) - test:])):
        with open(f"{folder}/{split}.txt", "wb") as file:
            file.write(part)
    write_options(folder, length=length)


def write_canvases(folder, train, test, classes=10, most=3, seed=1):
    """Arrays of grey pictures of 32 x 32 pixels: 1 to `most` digits below `classes` on noise, each
    twice as large as it is stored, of any brightness. The class of a pixel is 0, background, or 1 and
    the digit. Test pictures have digits that no training picture has."""
    images, labels = digits()
    images, labels = images[labels < classes], labels[labels < classes]
    random = numpy.random.default_rng(seed)
    order = random.permutation(len(images))
    test_digits = len(images) // 4
    os.makedirs(folder)
    for split, count, known in (("test", test, order[:test_digits]),
                                ("train", train, order[test_digits:])):
        pictures = random.integers(0, 60, (count, CANVAS, CANVAS))
        marks = numpy.zeros((count, CANVAS, CANVAS), numpy.int64)
        for picture, pixels in zip(pictures, marks):
            for _ in range(random.integers(1, most + 1)):
                which = random.choice(known)
                digit = numpy.kron(images[which], numpy.ones((2, 2), numpy.int64))
                y, x = random.integers(0, CANVAS - 16 + 1, 2)
                ink = digit > 4
                brightness = random.uniform(6, 15)
                place = picture[y:y + 16, x:x + 16]
                place[ink] = (digit * brightness)[ink].astype(numpy.int64)
                pixels[y:y + 16, x:x + 16][ink] = 1 + labels[which]
        numpy.save(f"{folder}/{split}_images.npy", pictures.clip(0, 255).astype(numpy.uint8))
        numpy.save(f"{folder}/{split}_labels.npy", marks)
    with open(f"{folder}/classes.txt", "w", encoding="utf-8") as file:
        file.write("\n".join(["background", *(f"digit {i}" for i in range(classes))]) + "\n")


def write_options(folder, **options):
    with open(f"{folder}/dataset.json", "w", encoding="utf-8") as file:
        json.dump(options, file)


def write_spoken_digits(folder, by_speaker, options=None, most=None):
    """labels.csv over the recordings of shared/data/fsdd. The test is the customary one, recordings 0
    to 4 of each speaker and digit; or, by_speaker, all of the last two speakers by name. At most `most`
    recordings of each class and split; None: all. FileNotFoundError if $DISTILLERY_DATA_DIR does not
    hold them."""
    path = os.path.join(os.environ.get("DISTILLERY_DATA_DIR", ""), "fsdd", "recordings.tar.xz")
    with tarfile.open(path) as archive:
        members = {os.path.basename(member.name): member for member in archive
                   if member.name.endswith(".wav")}
        rows = sorted(members)
        last = sorted({name.split("_")[1] for name in rows})[-2:]
        os.makedirs(f"{folder}/recordings")
        counts = collections.Counter()
        with open(f"{folder}/labels.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "label", "split"])
            for name in rows:
                digit, speaker, index = name.removesuffix(".wav").split("_")
                test = speaker in last if by_speaker else int(index) < 5
                counts[digit, test] += 1
                if most is not None and counts[digit, test] > most:
                    continue
                with open(f"{folder}/recordings/{name}", "wb") as sound:
                    sound.write(archive.extractfile(members[name]).read())
                writer.writerow([f"recordings/{name}", digit, "test" if test else "train"])
    with open(f"{folder}/dataset.json", "w", encoding="utf-8") as file:
        json.dump(options or {"rate": 8000, "length": 8000, "features": "log_mel"}, file)
