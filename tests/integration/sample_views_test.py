#!/usr/bin/env python3
"""query, predict, dataset inspect, evaluate and report on samples that are no pictures by class."""

import json
import os
import sys
import unittest
import wave

from services import ServiceTestCase, run

try:
    import numpy
    import event_reader
    from pictures import write_png
    from report_pages import ReportPages
except ImportError as error:
    print(f"skipped: {error}; install python3-numpy and python3-jsonschema")
    sys.exit(77)

SPEC = """\
name: {name}
dataset: {{name: {name}, shard_size: 32}}
student: {{architecture: "{architecture}"}}
{teacher}loss: {{name: {loss}, alpha: {alpha}, temperature: 2}}
training: {{rounds: 2, replicas: {replicas}, local_epochs: {epochs}, batch_size: 32, learning_rate: 0.05}}
"""
SPEECH = ("To be, or not to be, that is the question", "the king is dead, long live the king")


def columns(text):
    return [line.split() for line in text.splitlines()]


class SampleViewsTest(ReportPages, ServiceTestCase):
    @property
    def data(self):
        return self.path("data")

    def make(self, name, **files):
        os.makedirs(self.path(f"data/{name}"))
        for file, content in files.items():
            path = f"data/{name}/{file.replace('__', '.')}"
            if isinstance(content, str):
                self.write(path, content)
            else:
                numpy.save(self.path(path), content)

    def train(self, name, architecture, loss="kd", epochs=3):
        """Trains a teacher and a student; returns the student's folder and the teacher's file."""
        teacher = self.path(f"{name}-teacher/student.pt")
        for folder, alpha, model in ((f"{name}-teacher", 0, ""),
                                     (name, 0.5, f"teacher: {{model: {teacher}}}\n")):
            spec = self.write(f"{folder}.yaml", SPEC.format(
                name=name, architecture=architecture, loss=loss, alpha=alpha, teacher=model,
                replicas=2 if alpha else 1, epochs=epochs))
            run("distillery", "run", spec, "--data-dir", self.data, "--output", self.path(folder))
        return self.path(name), teacher

    def inspect(self, name, *arguments, check=True):
        return run("distillery", "dataset", "inspect", name, "--data-dir", self.data, *arguments,
                   check=check)

    def predict(self, folder, *arguments, check=True):
        return run("distillery", "predict", "--model", folder + "/student.pt", *arguments,
                   check=check)

    def ask(self, teacher, *arguments, check=True):
        return run("distillery", "query", "--teacher", teacher.address, *arguments, check=check)

    def refused(self, done, text):
        """One clear line."""
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn(text, done.stderr)

    def look(self, name, folder, least_charts):
        """The report of a run, at each width and in each theme; its page is returned open."""
        path, results = self.report(folder, "--data-dir", self.data)
        panels = results["runs"][0]["panels"]
        self.assertEqual([one for one in panels["absent"] if one["panel"] != "confusion"], [])
        self.assertEqual([one["role"] for one in panels["models"]], ["teacher", "student"])
        self.assertTrue(panels["samples"])
        page = self.check_page(path, least_charts, name)
        text = page.evaluate("document.body.innerText")
        for broken in ("NaN", "undefined", "[object"):
            self.assertNotIn(broken, text)
        return page, panels, text

    def scalars(self, folder):
        """Tags of the run's TensorBoard file."""
        (file,) = [name for name in os.listdir(folder + "/tensorboard") if name.startswith("events")]
        return set(event_reader.read(f"{folder}/tensorboard/{file}")[0])

    def write_tone(self, path, pitch, rate=8000, seconds=0.1):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        times = numpy.arange(int(rate * seconds)) / rate
        noise = numpy.random.default_rng(len(path)).normal(0, 0.05, len(times))
        sound = numpy.sin(2 * numpy.pi * pitch * times) * 0.5 + noise
        with wave.open(path, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes((sound * 32767).clip(-32768, 32767).astype("<i2").tobytes())
        return path

    def test_recordings(self):
        generator = numpy.random.default_rng(5)
        for split, count in (("train", 60), ("test", 20)):
            for i in range(count):
                name, pitch = (("low", 300), ("high", 1500))[i % 2]
                self.write_tone(self.path(f"data/tones/{split}/{name}/{i:03}.wav"),
                                pitch + 50 * generator.normal())
        self.write("data/tones/dataset.json", '{"length": 800, "features": "log_mel", '
                   '"mel_bands": 16, "window": 128, "hop": 64}')
        folder, file = self.train("tones", "mlp:176-8-2")
        data = ("--dataset", "tones", "--data-dir", self.data)
        # Of another rate, in another place.
        low = self.write_tone(self.path("new/low.wav"), 310, rate=16000)
        high = self.write_tone(self.path("new/high.wav"), 1480)
        done = self.predict(folder, low, high, *data)
        self.assertRegex(done.stdout, r"low\.wav: low \d+\.\d\d %, high .*\n.*high\.wav: high ")
        self.refused(self.predict(folder, low, check=False), "name the data set of recordings")
        self.refused(self.predict(folder, self.write("new/no.wav", "no"), *data, check=False),
                     "no.wav")
        teacher = self.teacher(file)
        view = json.loads(self.ask(teacher, high, *data, "--json", "--png",
                                   self.path("high.png")).stdout)
        names = [one["name"] for one in view["inputs"]]
        self.assertEqual(names, ["log_mel"])
        with open(self.path("high.png"), "rb") as picture:
            self.assertEqual(picture.read(4), b"\x89PNG")
        _, panels, _ = self.look("tones", folder, 5)
        self.assertEqual(panels["samples"][0]["shape"], [1, 16, 11])

    def test_a_table(self):
        generator = numpy.random.default_rng(1)

        def rows(count):
            lines = ["age,colour,species"]
            for kind in generator.integers(2, size=count):
                colour = ("red", "blue", "grey")[generator.integers(3)]
                lines.append(f"{4 + 6 * kind + generator.normal():.2f},{colour},{('cat', 'dog')[kind]}")
            return "\n".join(lines) + "\n"

        self.make("pets", train__csv=rows(120), test__csv=rows(40))
        folder, file = self.train("pets", "mlp:4-8-2")
        about = self.inspect("pets").stdout
        self.assertIn("120 samples of features float32 [4] -> classes", about)
        self.assertRegex(about, r"colour=red +0 +0\.\d+ +0\.\d+ +1\n")
        self.assertRegex(about, r"pets/train 0\nfeatures: age = .*, colour=red = [01]\nlabel: (cat|dog)\n")
        about = json.loads(self.inspect("pets", "--json").stdout)
        self.assertEqual([one["name"] for one in about["features"]],
                         ["age", "colour=blue", "colour=grey", "colour=red"])
        self.refused(self.inspect("pets", "--sheet", self.path("sheet.png"), check=False),
                     "a contact sheet shows pictures, and sound by class; data set pets is features float32 [4]")

        # A file's columns are known by their names, in any order.
        new = self.write("new.csv", "colour,age\nred,4\nblue,10.5\n")
        data = ("--dataset", "pets", "--data-dir", self.data)
        done = self.predict(folder, new, *data)
        self.assertRegex(done.stdout, r"new\.csv row 0: cat \d+\.\d\d %, dog .*\nnew\.csv row 1: dog ")
        typed = self.predict(folder, "--row", "4,0,0,1").stdout
        self.assertEqual(typed.split(": ")[1], done.stdout.splitlines()[0].split(": ")[1] + "\n")
        sample = json.loads(self.predict(folder, *data, "--index", 3, "--json").stdout)[0]
        self.assertEqual(sample["sample"], "pets/test 3")
        for arguments, text in (
                ((new,), "new.csv:1: 2 columns, the model takes features float32 [4]"),
                (("--row", "1,2"), "--row: features has 2 numbers"),
                (("--text", "meow"), "--text: the model takes no text"),
                ((self.write("x.png", ""),), "the model takes no picture"),
                ((*data, "--index", 40), "has no sample 40; indexes are 0 to 39"),
                (("--index", 4), "--index needs --dataset"),
                (("--mask-dir", self.path("m"), "--row", "1,2,3,4"), "only a class for each pixel")):
            self.refused(self.predict(folder, *arguments, check=False), text)

        teacher = self.teacher(file)
        text = self.ask(teacher, *data, "--index", 3).stdout
        self.assertRegex(text, r"^pets/test 3\nfeatures:\n  age = [\d.]+\n  colour=blue = [01]\n")
        self.assertIn("hard label\n  cat", text)
        self.assertIn("T = 100\n", text)
        view = json.loads(self.ask(teacher, "--row", "4,0,0,1", "--json").stdout)
        self.assertEqual(view["inputs"][0]["values"], [4, 0, 0, 1])
        self.assertAlmostEqual(sum(view["soft_targets"][0]["probabilities"]), 1, places=5)
        self.ask(teacher, "--row", "4,0,0,1", "--svg", self.path("pets.svg"))
        self.refused(self.ask(teacher, "--row", "4,0,1", check=False), "features has 3 numbers")
        self.refused(self.ask(teacher, "--index", 3, check=False), "digits/test 3 is image uint8")
        self.refused(self.ask(teacher, "--row", "4,0,0,1", "--png", self.path("m.png"), check=False),
                     "only a class for each pixel")

        page, panels, text = self.look("table", folder, 15)
        names = [one["name"] for one in panels["samples"][0]["inputs"][0]["features"]]
        self.assertEqual(names, ["age", "colour=blue", "colour=grey", "colour=red"])
        self.assertNotIn("answer", panels)
        self.assertIn("colour=grey", text)
        self.assertEqual(page.evaluate(
            "[...document.querySelectorAll('.thumbs button')].length"), len(panels["samples"]))
        page.evaluate("document.querySelectorAll('.thumbs button')[1].click()")
        self.assertEqual(page.errors(), [])

    def test_values(self):
        generator = numpy.random.default_rng(2)
        rows = generator.normal(size=(160, 3)).astype(numpy.float32)
        labels = numpy.stack([rows.sum(1), rows[:, 0]], 1)
        self.make("heights", train_inputs__npy=rows[:120], train_labels__npy=labels[:120],
                  test_inputs__npy=rows[120:], test_labels__npy=labels[120:],
                  values__txt="total\nfirst\n")
        folder, file = self.train("heights", "mlp:3-8-2", "mse")
        about = self.inspect("heights").stdout
        self.assertRegex(about, r"total \(value\) +-\d")
        self.assertNotIn("class ", about)
        self.assertIn("mean squared error", run(
            "distillery", "evaluate", folder + "/student.pt", "--dataset", "heights", "--data-dir",
            self.data, "--teacher", file).stdout)
        self.assertRegex(self.predict(folder, "--row", "1,2,3").stdout,
                         r"^row: total = [\d.]+, first = [-\d.]+\n$")
        teacher = self.teacher(file)
        shown = self.ask(teacher, "--dataset", "heights", "--data-dir", self.data, "--index", 0).stdout
        self.assertEqual([row[0] for row in columns(shown)[-2:]], ["total", "first"])
        self.assertNotIn("%", shown)
        self.refused(self.ask(teacher, "--row", "1,2,3", "--svg", self.path("x.svg"), check=False),
                     "--svg draws one answer of classes or labels; the teacher's answer is values")
        _, panels, text = self.look("values", folder, 6)
        self.assertIn("mean squared error of the student", text)
        self.assertNotIn("accuracy", text.lower())
        self.assertNotIn("nats", text)
        self.assertEqual(panels["answer"], {"kind": "values", "positions": []})
        self.assertNotIn("entropy", panels["samples"][0])
        tags = self.scalars(folder)
        self.assertIn("evaluation/mean_squared_error", tags)
        self.assertNotIn("evaluation/accuracy", tags)

    def test_several_labels(self):
        generator = numpy.random.default_rng(3)
        rows = generator.normal(size=(160, 4)).astype(numpy.float32)
        labels = rows[:, :3] > 0.2
        self.make("weather", train_inputs__npy=rows[:120], train_labels__npy=labels[:120],
                  test_inputs__npy=rows[120:], test_labels__npy=labels[120:],
                  labels__txt="wet\ncold\nlate\n")
        folder, file = self.train("weather", "mlp:4-8-3")
        self.assertIn(["label", "samples"], columns(self.inspect("weather").stdout))
        shown = self.predict(folder, "--row", "2,-2,2,0").stdout
        self.assertEqual(set(shown.replace(",", "").split()) & {"wet", "cold", "late"},
                         {"wet", "cold", "late"})
        teacher = self.teacher(file)
        view = json.loads(self.ask(teacher, "--row", "3,-3,3,0", "--json").stdout)
        wet, cold, late = view["soft_targets"][0]["probabilities"]
        self.assertGreater(min(wet, late), cold, "each by itself: they need not sum to 1")
        self.assertIn("hard label\n", self.ask(teacher, "--dataset", "weather", "--data-dir", self.data,
                                              "--index", 1).stdout)
        _, panels, text = self.look("labels", folder, 12)
        self.assertIn("Label by label", text)
        self.assertEqual(len(panels["samples"][0]["label_numbers"]), 3)

    def test_texts_with_a_label(self):
        lines = [json.dumps({"text": SPEECH[i % 2][i % 7:], "label": ("Hamlet", "herald")[i % 2]})
                 for i in range(80)]
        self.make("lines", train__jsonl="\n".join(lines[:60]), test__jsonl="\n".join(lines[60:]),
                  dataset__json='{"length": 24}')
        folder, file = self.train("lines", "gru:12-1", epochs=2)
        self.assertRegex(self.inspect("lines").stdout,
                         r'tokens: ".*"\nmask: 24 of 24 are 1\nlabel: (Hamlet|herald)\n')
        done = self.predict(folder, "--text", "To be, or not", "--json")
        self.assertEqual(len(json.loads(done.stdout)[0]["classes"]), 2)
        many = self.write("many.txt", "To be\n\nthe king is dead, long live the king\n")
        self.assertRegex(self.predict(folder, many).stdout,
                         r"many\.txt:1: .*\nmany\.txt:3 \(the first 24 of 36 bytes\): ")
        self.refused(self.predict(folder, "--row", "1,2", check=False), "the model takes 2 inputs")
        teacher = self.teacher(file)
        text = self.ask(teacher, "--text", "To \x1b[2J").stdout
        self.assertIn('tokens: "To \\x1b[2J"\nmask: 7 of 24 are 1\n', text)
        self.assertIn("T = 10\n  Hamlet", text)
        _, panels, text = self.look("text", folder, 12)
        self.assertIn(panels["samples"][0]["inputs"][0]["text"], text)

    def test_a_language_model(self):
        text = " ".join(SPEECH) + ".\n"
        self.make("plays", train__txt=text * 30, test__txt=text * 4, dataset__json='{"length": 16}')
        folder, file = self.train("plays", "transformer:1-2-16,causal", epochs=2)
        about = self.inspect("plays").stdout
        self.assertIn("of 257 occur nowhere in this split\n", about)
        self.assertRegex(about, r'classes without training samples: <pad>, .* and \d+ more\n')
        self.assertRegex(about, r'tokens: ".{16,}"\nlabel: ".{16,}"\n')
        shown = self.predict(folder, "--text", "To be, or not to be, that")
        self.assertIn("text (the first 16 of 25 bytes)\n", shown.stdout)
        self.assertEqual(columns(shown.stdout)[2][:2], ["at", "token"])
        teacher = self.teacher(file)
        shown = self.ask(teacher, "--text", "To be").stdout
        self.assertIn("11 positions hold nothing\n", shown)
        self.assertEqual([row[:2] for row in columns(shown)[4:9]],
                         [["0", "T"], ["1", "o"], ["2", "<0x20>"], ["3", "b"], ["4", "e"]])
        view = json.loads(self.ask(teacher, "--dataset", "plays", "--data-dir", self.data, "--index", 2,
                                   "-T", 1, "--json").stdout)
        self.assertEqual(numpy.shape(view["soft_targets"][0]["probabilities"]), (16, 257))
        self.assertEqual(len(view["labels"]), 16)
        self.refused(self.ask(teacher, "--text", "To be", "--svg", self.path("x.svg"), check=False),
                     "at each of its positions")

        page, panels, text = self.look("language", folder, 12)
        self.assertIn("perplexity", text)
        sample = panels["samples"][0]
        self.assertEqual(sample["positions"], [16])
        self.assertEqual(len(sample["teacher_logits"]), sample["shown_position_count"] * 257)
        # Each token has its own soft targets.
        def bars():
            return page.evaluate("[...document.querySelectorAll('.soft-targets rect')].map("
                                 "r => r.dataset.class + r.dataset.series + r.dataset.p).join()")
        before = bars()
        page.evaluate("document.querySelector('.tokens button[data-position=\"3\"]').click()")
        page.settle()
        self.assertNotEqual(bars(), before)
        self.assertEqual(page.evaluate("document.querySelector('.tokens [aria-pressed=true]')"
                                       ".dataset.position"), "3")
        self.assertEqual(page.errors(), [])
        self.assertIn("evaluation/perplexity", self.scalars(folder))

    def test_a_segmentation(self):
        generator = numpy.random.default_rng(4)
        pictures = numpy.zeros((100, 8, 8), numpy.uint8)
        labels = numpy.zeros((100, 8, 8), numpy.int64)
        for picture, label, kind in zip(pictures, labels, generator.integers(2, size=100)):
            y, x = generator.integers(5, size=2)
            picture[y:y + 3, x:x + 3] = (120, 250)[kind]
            label[y:y + 3, x:x + 3] = kind + 1
        self.make("spots", train_images__npy=pictures[:80], train_labels__npy=labels[:80],
                  test_images__npy=pictures[80:], test_labels__npy=labels[80:],
                  classes__txt="none\ndark\nbright\n")
        folder, file = self.train("spots", "unet:4-2", epochs=6)
        sheet = self.path("sheet.png")
        about = self.inspect("spots", "--sheet", sheet).stdout
        self.assertRegex(about, r"label: 55 x none, 9 x (dark|bright)\n")
        # 80 pictures in rows of 12, each 4 times as large, with lines between.
        with open(sheet, "rb") as png:
            header = png.read(24)
        self.assertEqual(header[16:24], (12 * 33 - 1).to_bytes(4, "big") +
                         (7 * 33 - 1).to_bytes(4, "big"))
        write_png(self.path("spot.png"), pictures[90])
        done = self.predict(folder, self.path("spot.png"), "--mask-dir", self.path("masks"))
        self.assertIn("likeliest classes\n", done.stdout)
        self.assertTrue(os.path.getsize(self.path("masks/spot.png")) > 100)
        teacher = self.teacher(file)
        data = ("--dataset", "spots", "--data-dir", self.data, "--index", 1)
        shown = self.ask(teacher, *data, "--png", self.path("mask.png")).stdout
        lines = shown.splitlines()
        self.assertEqual(lines.index("likeliest classes") - lines.index("hard label"), 10,
                         "eight rows, and an empty line")
        self.assertIn("T = 100: mean probability of the likeliest class", shown)
        view = json.loads(self.ask(teacher, *data, "--json").stdout)
        self.assertEqual(numpy.shape(view["soft_targets"][1]["probabilities"]), (8, 8, 3))
        with open(self.path("mask.png"), "rb") as png:
            self.assertEqual(png.read(24)[16:20], (3 * 257 - 1).to_bytes(4, "big"))

        page, panels, text = self.look("mask", folder, 15)
        self.assertIn("mean IoU", text)
        self.assertEqual(len(panels["samples"][0]["student_choices"]), 64)
        masks = page.evaluate("document.querySelectorAll('canvas.mask').length")
        self.assertEqual(masks, 3, "the label's, the teacher's and the student's")
        page.evaluate("(() => { const c = document.querySelector('canvas.mask'), b = "
                      "c.getBoundingClientRect(); c.dispatchEvent(new MouseEvent('click', {clientX: "
                      "b.left + 0.9 * b.width, clientY: b.top + 0.4 * b.height})); })()")
        page.settle()
        self.assertIn("pixel 3, 7", page.evaluate("document.querySelector('.picture').innerText"))
        self.assertEqual(page.errors(), [])


if __name__ == "__main__":
    unittest.main()
