#!/usr/bin/env python3
"""Turns Debian's package index into records for `kvctl load`.

    apt-cache dumpavail | python3 examples/debian-packages.py > packages.ndjson

Each package becomes one line {"key": NAME, "value": {...}}. Relations such as Depends become
lists of alternatives, each a map with the package's name and, where there is one, its version
constraint. Sizes are numbers. A package that comes twice is kept once.

--limit N stops after N packages.
"""

import argparse
import json
import re
import sys

RELATIONS = {
    "Depends", "Pre-Depends", "Recommends", "Suggests", "Enhances",
    "Breaks", "Conflicts", "Replaces", "Provides",
}
NUMBERS = {"Size", "Installed-Size"}
RELATION = re.compile(r"^(?P<name>[^\s(:\[]+)(?::(?P<arch>\w+))?(?:\s*\((?P<op>[<>=]+)\s*(?P<version>[^)]+)\))?")


def stanzas(lines):
    """Yields each stanza as a dict of field to text; continuation lines are joined."""
    fields, last = {}, None
    for line in lines:
        line = line.rstrip("\n")
        if not line:
            if fields:
                yield fields
            fields, last = {}, None
        elif line[0] in " \t" and last:
            fields[last] += "\n" + line.strip()
        elif ":" in line:
            last, _, text = line.partition(":")
            fields[last] = text.strip()
    if fields:
        yield fields


def alternative(text):
    """One package of a relation, such as `libc6 (>= 2.36)`."""
    match = RELATION.match(text.strip())
    if not match:
        return {"name": text.strip()}
    parts = {"name": match["name"]}
    if match["arch"]:
        parts["architecture"] = match["arch"]
    if match["op"]:
        parts["relation"], parts["version"] = match["op"], match["version"].strip()
    return parts


def value(fields):
    """A stanza as a nested document."""
    document = {}
    for name, text in fields.items():
        if name in RELATIONS:
            document[name] = [
                [alternative(one) for one in group.split("|")]
                for group in text.split(",") if group.strip()
            ]
        elif name in NUMBERS and text.isdigit():
            document[name] = int(text)
        elif name == "Tag":
            document[name] = [tag.strip() for tag in text.split(",") if tag.strip()]
        elif name != "Package":
            document[name] = text
    return document


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=None, metavar="N", help="stop after N packages")
    limit = parser.parse_args().limit
    seen = set()
    text = open(sys.stdin.fileno(), encoding="utf-8", errors="replace", newline="\n")
    for fields in stanzas(text):
        name = fields.get("Package")
        if not name or name in seen:
            continue
        if limit is not None and len(seen) >= limit:
            break
        seen.add(name)
        print(json.dumps({"key": name, "value": value(fields)}, ensure_ascii=False))


if __name__ == "__main__":
    main()
