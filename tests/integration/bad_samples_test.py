#!/usr/bin/env python3
"""Arrays, tables and texts that cannot be samples: one clear line that names file, place, value and way
out, whichever program meets them first."""

import os
import sys
import unittest

from services import ServiceTestCase, add_stubs, run

try:
    import grpc
    import numpy
except ImportError as error:
    print(f"skipped: {error}; install python3-grpcio and python3-numpy")
    sys.exit(77)

ROWS = 8
FEATURES = numpy.arange(ROWS * 3, dtype=numpy.float32).reshape(ROWS, 3)
CLASSES = numpy.arange(ROWS) % 2
TOKENS = numpy.arange(ROWS * 6).reshape(ROWS, 6)
TAGS = numpy.tile(numpy.arange(3), (ROWS, 1))
HEADER = "age,height,label\n"
TABLE = HEADER + "1,2,x\n3,4,y\n"
TEXTS = '{"text": "abc", "label": "x"}\n{"text": "bcd", "label": "y"}\n'


def spoiled(array, place, value):
    copy = array.copy()
    copy[place] = value
    return copy


def ragged():
    rows = numpy.empty(ROWS, object)
    rows[:] = [[1, 2], [3]] * (ROWS // 2)
    return rows


def arrays(inputs=FEATURES, labels=CLASSES, name="inputs", **more):
    return {f"{split}_{array}.npy": values for split in ("train", "test")
            for array, values in {name: inputs, "labels": labels, **more}.items()}


def table(train=TABLE, test=TABLE, **more):
    return {"train.csv": train, "test.csv": test, **more}


def lines(train=TEXTS, test=TEXTS, **more):
    return {"train.jsonl": train, "test.jsonl": test, **more}


# Name -> (files, exit code, what is said).
CASES = {
    # Arrays.
    "wrong-type": (arrays(FEATURES.astype("c8")), 2,
                   "train_inputs.npy holds elements of type <c8, wanted: |u1, |b1, |i1, <i2, <u2, <i4, "
                   "<u4, <i8, <f2, <f4, <f8"),
    "ragged": (arrays(ragged()), 2,
               "as a list of rows of unlike lengths becomes: pad the rows to one length"),
    "nan": (arrays(spoiled(FEATURES, (3, 1), numpy.nan)), 2,
            "train_inputs.npy: sample 3: element 1 is nan"),
    "nan-of-halves": (arrays(spoiled(FEATURES, (3, 1), numpy.nan).astype("f2")), 2,
                      "train_inputs.npy: sample 3: element 1 is nan"),
    "beyond-float32": (arrays(spoiled(FEATURES.astype("f8"), (7, 2), 1e39)), 2,
                       "train_inputs.npy: sample 7: element 2 is 1e+39, which is beyond float32"),
    "fortran": (arrays(numpy.asfortranarray(FEATURES)), 2,
                "save numpy.ascontiguousarray(array) to have C order"),
    "lengths": (arrays(labels=CLASSES[:7]), 1,
                "train_inputs.npy has 8 samples but train_labels.npy has 7 labels"),
    "no-samples": (arrays(FEATURES[:0], CLASSES[:0]), 1,
                   "train_inputs.npy: shape [0, 3] has the size 0"),
    "token": (dict(arrays(TOKENS, name="tokens"), **{"dataset.json": '{"vocabulary": 20}'}), 2,
              "train_tokens.npy: sample 3, element 2 is 20, tokens are 0 to 19"),
    "token-of-32-bits": (arrays(spoiled(TOKENS, (1, 2), 2 ** 31), name="tokens"), 2,
                         "sample 1, element 2 is 2147483648, tokens are 0 to 4194303"),
    "least-token": (arrays(spoiled(TOKENS, (1, 2), -2 ** 63), name="tokens"), 2,
                    "sample 1, element 2 is -9223372036854775808, tokens are 0 to 4194303"),
    "vocabulary": (dict(arrays(TOKENS, name="tokens"), **{"dataset.json": '{"vocabulary": 2147483648}'}),
                   2, "dataset.json: vocabulary must be a whole number from 1 to 4194304"),
    "mask": (arrays(labels=TAGS, mask=numpy.ones((ROWS, 2), bool)), 2,
             "train_mask.npy has the shape [8, 2], wanted that of train_labels.npy: [8, 3]"),
    "mask-numbers": (arrays(labels=TAGS, mask=numpy.full((ROWS, 3), 2, numpy.uint8)), 2,
                     "train_mask.npy: sample 0 has other numbers than 0 and 1"),
    "label": (dict(arrays(labels=spoiled(TAGS, (2, 1), 5)), **{"classes.txt": "a\nb\nc\n"}), 2,
              "train_labels.npy: sample 2, position 1 has the label 5, classes are 0 to 2, and -100 is "
              "none"),
    "class": (arrays(labels=CLASSES - 1), 2,
              "train_labels.npy: label 0 is -1, classes are 0 to 65535"),
    "no-labels": (arrays(labels=numpy.full((ROWS, 3), -100)), 2,
                  "train_labels.npy is <i8 [8, 3]: no position has a label"),
    "unclear": (arrays(labels=numpy.zeros((ROWS, 3), numpy.uint8)), 2,
                "save bool, or name them in labels.txt; or two classes at each position: save int64, or "
                "name them in classes.txt"),
    # Tables.
    "cell": (table(HEADER + "1,2,x\n3,abc,y\n"), 2,
             'train.csv:3: column height: "abc" is no number, as line 2 has one (2); if its numbers are '
             'names, say {"categorical": ["height"]} in dataset.json'),
    "cell-of-test": (table(test=HEADER + "1,2,x\n\nabc,4,y\n"), 2,
                     'test.csv:4: column age: "abc" is no number'),
    "nan-cell": (table(HEADER + "1,2,x\n3,nan,y\n"), 2,
                 'train.csv:3: column height: "nan" is no finite number of float32'),
    "empty-cell": (table(HEADER + "1,2,x\n3,,y\n"), 2, "train.csv:3: column height: the cell is empty"),
    "after-lines-in-quotes": (table(HEADER + '1,2,"x\n\nz"\n3,bad,y\n'), 2,
                              'train.csv:5: column height: "bad" is no number'),
    "short-row": (table(HEADER + "1,2,x\n3,4\n"), 2, "train.csv:3: 2 cells, there are 3 columns"),
    "quote": (table(HEADER + '1,2,"x\n3,4,y\n'), 2,
              "train.csv:2: a cell starts with a quote and has none at its end"),
    "twice": (table("age,age,label\n1,2,x\n"), 2, 'train.csv:1: two columns have the name "age"'),
    "one-column": (table("age\n1\n", "age\n1\n"), 2, "there is one column alone, wanted: features and"),
    "semicolons": (table("age;label\n1;x\n"), 2, "cells are set apart by commas"),
    "empty-table": (table(""), 2, "train.csv:1: the file is empty"),
    "header-alone": (table(HEADER), 2, "train.csv:1: there are columns' names, and no row below them"),
    "carriage-returns": (table(TABLE.replace("\n", "\r")), 2, "a line ends in CR alone: save the file"),
    "label-of-test": (table(test=HEADER + "1,2,z\n"), 2, 'test.csv:2: column label: unknown class "z"'),
    # Texts.
    "no-text": (lines(TEXTS + '{"text": 3, "label": "x"}\n'), 2, "train.jsonl:3: text must be text"),
    "empty-text": (lines(TEXTS + '{"text": "", "label": "x"}\n'), 2,
                   "train.jsonl:3: text: the text is empty"),
    "key": (lines('{"txt": "a", "label": "x"}\n'), 2, 'txt is no key here; did you mean "text"?'),
    "no-json": (lines(TEXTS + '{"text": "a",\n'), 2, "train.jsonl:3: the text is not a JSON object"),
    "no-texts": (lines(""), 2, "train.jsonl holds no texts"),
    "text-label-of-test": (lines(test='{"text": "a", "label": "w"}\n'), 2,
                           'test.jsonl:1: label: unknown class "w"'),
    "length": (lines(**{"dataset.json": '{"length": 0}'}), 2,
               "dataset.json: length must be a whole number from 1 to 65536"),
    "short-text": ({"train.txt": "hello", "test.txt": "h"}, 2,
                   "test.txt has 1 bytes, wanted: at least 2"),
}
# One of each line of what may be wrong, through all commands.
EVERYWHERE = ["wrong-type", "cell", "token", "label"]
STATUSES = {1: "DATA_LOSS", 2: "INVALID_ARGUMENT"}


class BadSamplesTest(ServiceTestCase):
    def setUp(self):
        super().setUp()
        for name, (files, _, _) in CASES.items():
            self.make(name, files)
        self.make("good", table())

    def make(self, name, files):
        os.makedirs(self.path("data/" + name))
        for file, content in files.items():
            path = self.path(f"data/{name}/{file}")
            if isinstance(content, str):
                with open(path, "w", encoding="utf-8", newline="") as text:
                    text.write(content)
            else:
                numpy.save(path, content, allow_pickle=True)

    def refused(self, code, expected, *arguments):
        """The program ends with `code` after one line on stderr that holds `expected`."""
        done = run(*arguments, check=False)
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        said = [line for line in done.stderr.splitlines()
                if " I " not in line and not line.startswith("identity ")]
        self.assertEqual(len(said), 1, done.stderr)
        self.assertIn(expected, said[0])

    def spec(self, name, architecture="mlp:3-2", alpha=0):
        return self.write(f"{name}.yaml", (
            f"name: {name}\ndataset: {{name: {name}, shard_size: 4}}\n"
            f"student: {{architecture: \"{architecture}\"}}\nloss: {{alpha: {alpha}}}\n"
            "training: {rounds: 1, replicas: 1, local_epochs: 1, batch_size: 4}\n"))

    def test_every_command_says_the_same(self):
        data = ("--data-dir", self.path("data"))
        for name in EVERYWHERE:
            _, code, expected = CASES[name]
            with self.subTest(name):
                expected = f"{name}: {expected}"
                self.refused(code, expected, "distillery", "dataset", "inspect", name, *data)
                self.refused(code, expected, "distillery", "run", self.spec(name), *data, "--output",
                             self.path("out"))
                self.refused(code, expected, "distillery", "submit", self.spec(name), *data,
                             "--coordinator", "127.0.0.1:1")
        self.refused(2, "train.csv:3: column height", "distillery", "train-teacher", "--dataset", "cell",
                     "--architecture", "mlp:2-2", *data, "--output", self.path("model.pt"))
        self.assertFalse(os.path.exists(self.path("model.pt")))

    def test_a_mask_of_another_length_than_its_tokens_is_refused(self):
        self.make("masked", arrays(TOKENS, name="tokens", mask=numpy.ones((ROWS, 5), numpy.uint8)))
        for architecture in ("transformer:1-2-8", "gru:8"):
            self.refused(2, f"student.architecture: {architecture} needs a mask [6], as long as what it "
                         "masks, the data has [5]", "distillery", "run",
                         self.spec("masked", architecture), "--data-dir", self.path("data"),
                         "--output", self.path("out"))

    def test_a_teacher_tells_its_callers_what_is_wrong_with_its_data_and_serves_the_rest(self):
        add_stubs(self.folder, "tensor", "teacher_service")
        from distillery.v1 import teacher_service_pb2, teacher_service_pb2_grpc, tensor_pb2
        model = self.path("model.pt")
        run("distillery", "train-teacher", "--dataset", "good", "--architecture", "mlp:2-2",
            "--data-dir", self.path("data"), "--epochs", 1, "--output", model)
        teacher = self.teacher(model, "--data-dir", self.path("data"))
        with grpc.insecure_channel(teacher.address) as channel:
            stub = teacher_service_pb2_grpc.TeacherServiceStub(channel)

            def describe(name):
                selector = tensor_pb2.DatasetSelector(name=name, split="train", shard_size=4)
                return stub.DescribeDataset(
                    teacher_service_pb2.DescribeDatasetRequest(dataset=selector), timeout=60)
            for name, (_, code, expected) in CASES.items():
                with self.subTest(name):
                    with self.assertRaises(grpc.RpcError) as caught:
                        describe(name)
                    said = caught.exception.details()
                    self.assertEqual(caught.exception.code().name, STATUSES[code], said)
                    self.assertIn(expected, said)
                    self.assertNotIn(self.folder, said)
                    self.assertEqual(len(said.splitlines()), 1)
                    self.assertEqual(describe("good").sample_count, 2)
        self.refused(2, CASES["cell"][2], "distillery", "query", "--dataset", "cell", "--index", 0,
                     "--data-dir", self.path("data"), "--teacher", teacher.address)
        # Who submits without the data hears it from the teacher.
        self.refused(2, CASES["cell"][2], "distillery", "submit", self.spec("cell", alpha=0.5),
                     "--teacher", teacher.address, "--coordinator", "127.0.0.1:1")


if __name__ == "__main__":
    unittest.main()
