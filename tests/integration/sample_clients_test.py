#!/usr/bin/env python3
"""Two clients in Python, ours and one that knows the Open Inference Protocol alone, ask for soft targets
of texts, tables and tokens; both get what PyTorch makes of the same model file."""

import json
import os
import sys
import threading
import unittest

from services import SOURCE, ServiceTestCase, add_stubs, run, wait_for

sys.path.insert(0, os.path.join(SOURCE, "tests", "clients"))
sys.path.insert(0, os.path.join(SOURCE, "deploy", "examples", "python"))
try:
    import grpc
    import numpy
    import torch
    from open_inference_client import OpenInferenceClient, Tensor, make_stubs
except ImportError as error:
    print(f"skipped: {error}; install python3-grpcio, python3-numpy and python3-torch")
    sys.exit(77)

LENGTH = 16
WORDS = {"sea": ["ship", "wave", "salt", "gull"], "land": ["hill", "oak", "stone", "barn"],
         "sky": ["star", "cloud", "wind", "moon"]}
MODELS = {"talk": "transformer:1-2-8", "people": "mlp:4-6-3", "book": "gru:6"}
VOCABULARY = 257  # of bytes, and 0 where there is none


def texts(count, seed):
    """(text, label) of two or three words of one kind."""
    generator = numpy.random.default_rng(seed)
    for i in range(count):
        label = sorted(WORDS)[i % len(WORDS)]
        yield " ".join(generator.choice(WORDS[label], 2 + i % 2)), label


def tokens_of(lines):
    """Tokens int64 [n, LENGTH] and mask uint8, as docs/data.md says."""
    tokens = numpy.zeros((len(lines), LENGTH), numpy.int64)
    for row, line in zip(tokens, lines):
        data = line.encode()[:LENGTH]
        row[:len(data)] = numpy.frombuffer(data, numpy.uint8).astype(numpy.int64) + 1
    return tokens, (tokens > 0).astype(numpy.uint8)


def make_data(folder):
    """talk: texts of three kinds; people: a table; book: plain text."""
    for name in MODELS:
        os.makedirs(os.path.join(folder, name))

    def write(name, text):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    write("talk/dataset.json", json.dumps({"length": LENGTH}))
    write("book/dataset.json", json.dumps({"length": LENGTH}))
    for split, count, seed in (("train", 48, 1), ("test", 12, 2)):
        write(f"talk/{split}.jsonl", "".join(
            json.dumps({"text": text, "label": label}) + "\n" for text, label in texts(count, seed)))
        write(f"book/{split}.txt", "\n".join(text for text, _ in texts(count, seed)))
        numbers = numpy.random.default_rng(seed).normal(3, 2, (count, 3)).round(2)
        write(f"people/{split}.csv", "age,height,weight,size,label\n" + "".join(
            f"{a},{b},{c},{7 if a > b else 9},{'abc'[i % 3]}\n"
            for i, (a, b, c) in enumerate(numbers)))


class SampleClientsTest(ServiceTestCase):
    @classmethod
    def setUpClass(cls):
        cls.owner = ServiceTestCase()
        cls.owner.setUp()
        cls.addClassCleanup(cls.end)
        folder = cls.owner.folder
        make_data(cls.owner.path("data"))
        flags = []
        for name, architecture in MODELS.items():
            cls.model_file(name)
            run("distillery", "train-teacher", "--dataset", name, "--data-dir",
                cls.owner.path("data"), "--architecture", architecture, "--epochs", 2, "--output",
                cls.model_file(name))
            flags += ["--model", f"{name}={cls.model_file(name)}"]
        process = cls.owner.listen("teacher", "teacher_service", *flags, "--data-dir",
                                   cls.owner.path("data"))
        wait_for("the teacher to be warm", lambda: "listens on" in process.log())
        cls.address = process.address
        cls.messages, cls.services = make_stubs(os.path.join(SOURCE, "proto"), folder)
        add_stubs(folder, "tensor", "teacher_service")
        import distillery_client
        cls.library = distillery_client
        cls.stock = OpenInferenceClient(cls.address, cls.messages, cls.services)
        cls.addClassCleanup(cls.stock.close)

    @classmethod
    def end(cls):
        import shutil
        for process in cls.owner.processes:
            process.kill()
        shutil.rmtree(cls.owner.folder, ignore_errors=True)

    @classmethod
    def model_file(cls, name):
        return cls.owner.path(name + ".pt")

    def ours(self, name):
        teacher = self.library.Teacher(self.address, model=name)
        self.addCleanup(teacher.close)
        return teacher

    def stock_answer(self, name, tensors, **options):
        found = self.stock.infer(name, tensors, **options)["soft_targets"]
        return numpy.array(found.values, numpy.float32).reshape(found.shape)

    def pytorch(self, name, *inputs):
        """Logits of the file itself, whose card says how its numbers are normalised."""
        extra = {"distillery.json": ""}
        module = torch.jit.load(self.model_file(name), _extra_files=extra)
        card = json.loads(extra["distillery.json"])
        inputs = [torch.from_numpy(numpy.ascontiguousarray(array)) for array in inputs]
        if card["mean"]:
            inputs = [(inputs[0] - torch.tensor(card["mean"])) / torch.tensor(card["deviation"])]
        with torch.no_grad():
            return module(*inputs).numpy()

    def alike(self, one, other, tolerance=1e-5):
        self.assertEqual(one.shape, other.shape)
        self.assertLess(numpy.abs(one - other).max(), tolerance)

    def refused(self, pattern, call, code=grpc.StatusCode.INVALID_ARGUMENT):
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        self.assertIn(pattern, caught.exception.details())
        self.assertEqual(len(caught.exception.details().splitlines()), 1)

    def test_metadata_lists_every_input_and_the_positions_of_the_answer(self):
        expected = {"talk": ([("tokens", "INT64", [-1, LENGTH]), ("mask", "UINT8", [-1, LENGTH])],
                             [-1, 3]),
                    "people": ([("features", "FP32", [-1, 4])], [-1, 3]),
                    "book": ([("tokens", "INT64", [-1, LENGTH])], [-1, LENGTH, VOCABULARY])}
        for name, (inputs, output) in expected.items():
            found = self.stock.model_metadata(name)
            self.assertEqual([(one.name, one.datatype, list(one.shape)) for one in found.inputs],
                             inputs)
            self.assertEqual([(one.name, one.datatype, list(one.shape)) for one in found.outputs],
                             [("soft_targets", "FP32", output)])
            config = self.stock.model_config(name)
            self.assertEqual([(one.name, list(one.dims)) for one in config.input],
                             [(name, shape[1:]) for name, _, shape in inputs])
            self.assertEqual([list(one.dims) for one in config.output], [output[1:]])
            about = self.ours(name).about()
            self.assertEqual([one.name for one in about.inputs], [one[0] for one in inputs])
            self.assertEqual(list(about.answer.positions), output[1:-1])
            self.assertEqual(about.teacher_digest, found.properties["teacher_digest"])

    def test_both_clients_get_what_pytorch_makes_of_two_inputs(self):
        tokens, mask = tokens_of([text for text, _ in texts(9, seed=3)])
        logits = self.pytorch("talk", tokens, mask)
        talk = self.ours("talk")
        for temperature in (1, 4):
            softened = torch.from_numpy(logits / temperature)
            for form, expected in (("logits", softened), ("probabilities", softened.softmax(1))):
                number = (self.library.LOGITS if form == "logits" else self.library.PROBABILITIES)
                mine = talk.compute({"mask": mask, "tokens": tokens}, temperature, number)
                self.alike(mine, expected.numpy())
                for raw in (True, False):
                    theirs = self.stock_answer(
                        "talk", [Tensor("mask", "UINT8", mask.shape, mask.ravel().tolist()),
                                 Tensor("tokens", "INT64", tokens.shape, tokens.ravel().tolist())],
                        raw=raw, parameters={"temperature": temperature, "representation": form})
                    self.alike(theirs, expected.numpy())
        # What is masked does not count, whatever it is.
        other = numpy.where(mask == 1, tokens, 77)
        self.alike(talk.compute({"tokens": other, "mask": mask}, 1, self.library.LOGITS), logits)
        nothing = talk.compute({"tokens": tokens, "mask": 0 * mask}, 1)
        self.alike(nothing.sum(1), numpy.ones(len(tokens), numpy.float32))

    def test_an_answer_at_each_token(self):
        tokens, _ = tokens_of([text for text, _ in texts(5, seed=4)])
        logits = self.pytorch("book", tokens)
        self.assertEqual(logits.shape, (5, LENGTH, VOCABULARY))
        book = self.ours("book")
        self.alike(book.compute(tokens, 1, self.library.LOGITS), logits)
        self.alike(book.compute({"tokens": tokens}, 1, self.library.LOGITS), logits)
        top = self.stock.infer("book", [Tensor("tokens", "INT64", tokens.shape,
                                               tokens.ravel().tolist())],
                               parameters={"top_k": 2, "temperature": 2})
        soft = torch.from_numpy(logits / 2).softmax(2)
        best, classes = soft.topk(2)
        self.assertEqual(top["classes"].shape, [5, LENGTH, 2])
        self.assertEqual(top["tail_mass"].shape, [5, LENGTH])
        self.assertEqual(top["classes"].values, classes.ravel().tolist())
        self.alike(numpy.array(top["probabilities"].values, numpy.float32), best.ravel().numpy())
        self.alike(numpy.array(top["tail_mass"].values, numpy.float32),
                   1 - best.sum(2).ravel().numpy())

    def test_types_that_lose_nothing_are_the_same_numbers(self):
        tokens, mask = tokens_of([text for text, _ in texts(4, seed=5)])
        logits = self.pytorch("talk", tokens, mask)
        talk = self.ours("talk")
        for kind in (numpy.int64, numpy.int32, numpy.int16):  # int16 does not travel as itself
            self.alike(talk.compute({"tokens": tokens.astype(kind), "mask": mask == 1}, 1,
                                    self.library.LOGITS), logits)
        for datatype in ("INT64", "INT32", "UINT8"):
            for raw in (True, False):
                got = self.stock_answer(
                    "talk", [Tensor("tokens", datatype, tokens.shape, tokens.ravel().tolist()),
                             Tensor("mask", "UINT8", mask.shape, mask.ravel().tolist())], raw=raw)
                self.alike(got, logits)
        # Halves and quarters are exact in all of them.
        rows = numpy.random.default_rng(6).integers(0, 32, (7, 4)).astype(numpy.float32) / 4
        logits = self.pytorch("people", rows)
        people = self.ours("people")
        for kind in (numpy.float32, numpy.float64, numpy.float16):
            self.alike(people.compute(rows.astype(kind), 1, self.library.LOGITS), logits)
        for datatype in ("FP32", "FP64", "FP16", "BF16"):
            got = self.stock_answer("people", [Tensor("features", datatype, rows.shape,
                                                      rows.ravel().tolist())])
            self.alike(got, logits)

    def test_a_stream_of_a_shard_has_the_rows_that_a_query_gets(self):
        with open(self.owner.path("data/talk/test.jsonl"), encoding="utf-8") as file:
            lines = [json.loads(line)["text"] for line in file]
        tokens, mask = tokens_of(lines)
        talk = self.ours("talk")
        asked = talk.compute({"tokens": tokens, "mask": mask}, 3, self.library.LOGITS)
        streamed = talk.shard("talk", "test", 0, 128, 3)
        self.alike(streamed[numpy.lexsort(streamed.round(4).T)],
                   asked[numpy.lexsort(asked.round(4).T)])
        pages = self.ours("book").shard("book", "test", 0, 128, 1)
        self.assertEqual(pages.shape[1:], (LENGTH, VOCABULARY))

    def bad_requests(self):
        """(what the answer names, what is sent) of texts: arrays by name."""
        tokens, mask = tokens_of(["salt wave", "oak"])
        spoiled = tokens.copy()
        spoiled[1, 7] = 300
        below = tokens.copy()
        below[0, 0] = numpy.iinfo(numpy.int64).min
        good = {"tokens": tokens, "mask": mask}
        return [
            ("tokens: the number at row 1, [7] is 300: tokens are 0 to 256",
             dict(good, tokens=spoiled)),
            ("tokens: the number at row 0, [0] is -9223372036854775808", dict(good, tokens=below)),
            ('the input "mask" is missing', {"tokens": tokens}),
            ('unknown input "masks"; did you mean "mask"?', {"tokens": tokens, "masks": mask}),
            ("shape must be [rows, 16], got [2, 15]", dict(good, mask=mask[:, 1:])),
            ("has 1 rows", dict(good, mask=mask[1:])),
            ("has the size 0", {"tokens": tokens[:0], "mask": mask[:0]}),
        ]

    def test_a_bad_caller_is_told_what_is_wrong_and_a_good_one_beside_it_is_answered(self):
        tokens, mask = tokens_of([text for text, _ in texts(3, seed=7)])
        expected = self.pytorch("talk", tokens, mask)
        stop, wrong, answered = threading.Event(), [], []

        def good():
            talk = self.library.Teacher(self.address, model="talk")
            while not stop.is_set():
                try:
                    got = talk.compute({"tokens": tokens, "mask": mask}, 1, self.library.LOGITS)
                    if numpy.abs(got - expected).max() > 1e-5:
                        wrong.append(got)
                    answered.append(1)
                except grpc.RpcError as error:
                    wrong.append(error.details())
            talk.close()
        neighbour = threading.Thread(target=good)
        neighbour.start()
        try:
            self.bad_callers()
            before = len(answered)
            wait_for("the good caller to go on", lambda: len(answered) > before)
        finally:
            stop.set()
            neighbour.join()
        self.assertEqual(wrong, [])

    def bad_callers(self):
        talk, people = self.ours("talk"), self.ours("people")
        datatypes = {"int64": "INT64", "uint8": "UINT8", "float32": "FP32"}

        def stock(model, arrays):
            return self.stock.infer(model, [
                Tensor(name, datatypes[str(array.dtype)], array.shape, array.ravel().tolist())
                for name, array in arrays.items()])
        for expected, arrays in self.bad_requests():
            with self.subTest(expected):
                self.refused(expected, lambda: talk.compute(arrays, 1))
                self.refused(expected, lambda: stock("talk", arrays))
        tokens, mask = tokens_of(["salt wave", "oak"])
        floats = {"tokens": tokens.astype(numpy.float32), "mask": mask}
        self.refused("tokens.data_type must be DATA_TYPE_INT64, DATA_TYPE_INT32 or DATA_TYPE_UINT8, "
                     "got DATA_TYPE_FLOAT32", lambda: talk.compute(floats, 1))
        self.refused('inputs[0].datatype: unknown datatype "FP32"; known: INT64, INT32, UINT8',
                     lambda: stock("talk", floats))
        self.refused("inputs: the model takes 2, tokens, mask: send them as named_inputs",
                     lambda: talk.compute(tokens, 1))
        rows = numpy.ones((2, 4), numpy.float32)
        for number, shown in ((numpy.nan, "nan"), (-numpy.inf, "-inf")):
            rows[1, 2] = number
            expected = f"features: the number at row 1, [2] is {shown}: it must be finite as float32"
            self.refused(expected, lambda: people.compute({"features": rows}, 1))
            self.refused(expected, lambda: stock("people", {"features": rows}))
        # As FP16 too, where NaN has another form.
        spoiled = Tensor("features", "FP16", [1, 4], [1.0, float("nan"), 1.0, 1.0])
        self.refused("features: the number at row 0, [1] is nan",
                     lambda: self.stock.infer("people", [spoiled]))
        beyond = Tensor("features", "FP64", [1, 4], [1.0, 1e300, 1.0, 1.0])
        self.refused("features: the number at row 0, [1] is inf: it must be finite as float32",
                     lambda: self.stock.infer("people", [beyond]))
        self.refused("pixel_max is for pictures, the model is for features float32 [4] -> classes",
                     lambda: people.compute(numpy.ones((1, 4), numpy.float32), 1, pixel_max=255))
        cut = self.stock.request("people", [Tensor("features", "FP32", [2, 4], [1.0] * 8)])
        cut.raw_input_contents[0] = cut.raw_input_contents[0][:-1]
        self.refused("raw_input_contents[0] has 31 bytes, inputs[0].shape and its datatype need 32",
                     lambda: self.stock.stub.ModelInfer(cut, timeout=30))
        huge = self.stock.request("people", [Tensor("features", "FP32", [1, 4], [1.0] * 4)])
        huge.inputs[0].shape[:] = [2 ** 62, 4]
        self.refused("has more than 4194304 elements",
                     lambda: self.stock.stub.ModelInfer(huge, timeout=30))


if __name__ == "__main__":
    unittest.main()
