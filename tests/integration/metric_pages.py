"""The tables of metrics in docs/metrics.md and docs/metrics/."""

import glob
import os
import re

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def listed_metrics(prefix=""):
    """{metric: (type, labels, meaning)} of all pages, of the metrics whose names begin with `prefix`."""
    docs = os.path.join(SOURCE, "docs")
    found = {}
    for path in [os.path.join(docs, "metrics.md"), *glob.glob(os.path.join(docs, "metrics", "*.md"))]:
        with open(path) as file:
            for line in file:
                if re.match(r"\| `(distillery|process)_\w+` \|", line):
                    name, kind, labels, meaning = [cell.strip() for cell in
                                                   line.strip().strip("|").split("|")]
                    name = name.strip("`")
                    assert name not in found, f"{path} lists {name} again"
                    found[name] = (kind, {label for label in labels.split(", ") if label}, meaning)
    return {name: row for name, row in found.items() if name.startswith(prefix)}
