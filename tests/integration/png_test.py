#!/usr/bin/env python3
"""Every kind of PNG file becomes the pixels that docs/data.md promises, and that Pillow reads."""

import io
import os
import sys
import unittest

from services import ServiceTestCase, run

try:
    import numpy
    from PIL import Image
    import png_files
    from png_files import GREY, GREY_ALPHA, PALETTE, RGB, RGBA
except ImportError as error:
    print(f"skipped: {error}; install python3-numpy and python3-pil")
    sys.exit(77)

HEIGHT, WIDTH = 33, 37  # no multiples of Adam7's eight


class Kind:
    """One kind of file: its bytes, and what its pixels mean by the specification."""

    def __init__(self, depth, colour, interlaced, transparency, gamma, seed):
        self.name = (f"c{colour}-{depth:02}-{'adam7' if interlaced else 'plain'}-"
                     f"{'trns' if transparency else 'none'}-g{gamma or 0}")
        self.depth = depth
        self.colour = colour
        # One grey is transparent.
        self.keyed = colour == GREY and transparency
        random = numpy.random.default_rng(seed)
        values = random.integers(0, 1 << depth,
                                 (HEIGHT, WIDTH, png_files.CHANNELS[colour]))
        palette = transparent = None
        if colour == PALETTE:
            palette = random.integers(0, 256, (1 << depth, 3))
            if transparency:
                transparent = [int(alpha) for alpha in random.integers(0, 256, (1 << depth) // 2)]
            alphas = numpy.full(1 << depth, 255)
            alphas[:len(transparent or [])] = transparent or []
            self.pixels = palette[values[..., 0]]
            self.alpha = alphas[values[..., 0]]
        else:
            has_alpha = colour in (GREY_ALPHA, RGBA)
            if transparency:
                # A colour that is there, and one whose 16 bits differ from it in the low byte.
                transparent = [int(value) for value in values[3, 5]]
                values[4, 6] = values[3, 5] ^ 1
            eight = self.eight_bits(values)
            self.pixels = eight[..., :-1] if has_alpha else eight
            self.alpha = eight[..., -1] if has_alpha else numpy.full((HEIGHT, WIDTH), 255)
            if transparency:
                self.alpha = numpy.where((values == transparent).all(axis=2), 0, 255)
        self.values = values
        self.bytes = png_files.png(values, depth, colour, interlaced, palette, transparent, gamma)

    def eight_bits(self, values):
        """Spread over 0 to 255 for fewer bits, rounded for more."""
        largest = (1 << self.depth) - 1
        return (values.astype(numpy.int64) * 510 + largest) // (2 * largest)

    def expected(self, rule):
        alpha = self.alpha[..., None]
        return blend(self.pixels, alpha, rule)


def blend(pixels, alpha, rule):
    if rule == "drop":
        return pixels
    behind = 255 * (255 - alpha) if rule == "white" else 0
    return (pixels * alpha + behind + 127) // 255


def all_kinds(colours):
    kinds = []
    for colour in colours:
        for depth in png_files.DEPTHS[colour]:
            for interlaced in (False, True):
                for transparency in (False, True) if colour in (GREY, RGB, PALETTE) else (False,):
                    # 1 / 2.2, sRGB's, and linear light.
                    for gamma in (None, 45455, 100000):
                        kinds.append(Kind(depth, colour, interlaced, transparency, gamma,
                                          len(kinds)))
    return kinds


class PngTest(ServiceTestCase):
    def seen(self, kinds, rule):
        """The pixels that a data set of these files has: a class for each, drawn on a sheet."""
        folder = self.path(f"data/kinds-{rule}")
        for kind in kinds:
            for split in ("train", "test"):
                os.makedirs(os.path.join(folder, split, kind.name))
                with open(os.path.join(folder, split, kind.name, "1.png"), "wb") as file:
                    file.write(kind.bytes)
        if rule != "default":
            with open(os.path.join(folder, "dataset.json"), "w") as file:
                file.write('{"alpha": "%s"}' % rule)
        sheet = self.path("sheet.png")
        run("distillery", "dataset", "inspect", f"kinds-{rule}", "--data-dir", self.path("data"),
            "--split", "test", "--per-class", 1, "--sheet", sheet)
        drawn = numpy.array(Image.open(sheet)).astype(numpy.int64)
        drawn = drawn.reshape(drawn.shape[0], WIDTH, -1)
        names = sorted(kind.name for kind in kinds)
        return {name: drawn[i * (HEIGHT + 1):i * (HEIGHT + 1) + HEIGHT]
                for i, name in enumerate(names)}

    def check(self, colours):
        kinds = all_kinds(colours)
        self.assertGreater(len(kinds), 30)
        for rule in ("default", "black", "white", "drop"):
            seen = self.seen(kinds, rule)
            for kind in kinds:
                expected = kind.expected("black" if rule == "default" else rule)
                self.assertTrue(numpy.array_equal(seen[kind.name], expected), (kind.name, rule))
                self.compare_with_pillow(kind, seen[kind.name], rule)

    def compare_with_pillow(self, kind, seen, rule):
        image = Image.open(io.BytesIO(kind.bytes))
        if kind.keyed and kind.depth < 8:
            # It compares the transparent grey with values that are spread already (9.4), and so
            # finds another: the specification's is in `expected`.
            grey = numpy.array(image.convert("L"))
            self.assertTrue(numpy.array_equal(grey, kind.pixels[..., 0]), kind.name)
        elif kind.depth < 16:
            pillow = numpy.array(image.convert("RGBA")).astype(numpy.int64)
            colour = pillow[..., :3] if seen.shape[2] == 3 else pillow[..., :1]
            expected = blend(colour, pillow[..., 3:], "black" if rule == "default" else rule)
            self.assertTrue(numpy.array_equal(seen, expected), (kind.name, rule))
        elif kind.colour == GREY:
            self.assertTrue(numpy.array_equal(numpy.array(image), kind.values[..., 0]), kind.name)
        else:
            # It takes the high byte, we round; grey with alpha it makes colour.
            high = numpy.array(image).astype(numpy.int64)
            if kind.colour == GREY_ALPHA and high.shape[2] == 4:
                high = high[..., [0, 3]]
            self.assertTrue(numpy.array_equal(high, kind.values >> 8), kind.name)
            if rule == "drop":
                difference = numpy.abs(seen - high[..., :seen.shape[2]])
                self.assertLessEqual(difference.max(), 1, kind.name)

    def test_grey_files_of_every_kind(self):
        self.check((GREY, GREY_ALPHA))

    def test_colour_files_of_every_kind(self):
        self.check((RGB, PALETTE, RGBA))


if __name__ == "__main__":
    unittest.main()
