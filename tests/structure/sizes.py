"""How long files and functions are and how many methods classes have, read from formatted C++.

The tree is formatted (tests/run checks it), so lines and their indentation say enough: a function's
body ends with the first brace that stands below its first line."""

import re

NO_FUNCTION = re.compile(r"(namespace|class|struct|enum|union|if|for|while|switch|else|do|extern|return|"
                         r"static const|const auto|auto|TEST_GROUP)\b|[}{#]")
NO_METHOD = re.compile(r"(//|using|friend|template|public|protected|private|struct|class|enum|static_assert"
                       r"|explicit \w+\(.*= delete)|.*= delete;")

GUARD = re.compile(r" ABSL_(PT_)?GUARDED_BY\(.*")  # of a field


def indentation(line):
    return len(line) - len(line.lstrip())


def functions(text):
    """(first line's number, the line, count of lines between the braces) of each function."""
    lines = text.split("\n")
    for i, line in enumerate(lines):
        if not line.endswith("{") or line.endswith("= {"):
            continue
        first = i
        while first > 0 and indentation(lines[first]) > 2 and lines[first].strip():
            first -= 1
        start = lines[first]
        if (not start.strip() or indentation(start) not in (0, 2) or NO_FUNCTION.match(start.strip()) or
                "(" not in "".join(lines[first:i + 1])):
            continue
        end = next((k for k in range(i + 1, len(lines))
                    if lines[k].startswith(" " * indentation(start) + "}")), len(lines))
        yield first + 1, start.strip(), end - i - 1


def classes(text):
    """(line's number, name, count of public methods) of each class and struct."""
    lines = text.split("\n")
    for i, line in enumerate(lines):
        found = re.match(r"( *)(class|struct) (?:ABSL_\w+(?:\(.*?\))? )?(\w+)[^;(]*\{$", line)
        if not found:
            continue
        indent = len(found[1])
        public = found[2] == "struct"
        count = 0
        for inner in lines[i + 1:]:
            if inner.startswith(" " * indent + "}"):
                break
            access = re.match(r" *(public|protected|private):$", inner)
            if access and indentation(inner) == indent + 1:
                public = access[1] == "public"
            elif (public and indentation(inner) == indent + 2 and not NO_METHOD.match(inner.strip())
                  and re.match(r"[^=]*\(", GUARD.sub("", inner))):
                count += 1
        yield i + 1, found[3], count
