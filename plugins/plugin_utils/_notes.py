# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# What the notes of releases ask of an operator. notes.yml beside this file has them, and says what each part means.

import functools
import os
from fnmatch import fnmatchcase

import yaml
from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.module_utils._version import parse

PATH = os.path.join(os.path.dirname(__file__), "notes.yml")
NOTHING = {"rebuilt": {"before": "", "releases": [], "why": "", "shapes": []}, "releases": {}, "tables": {}}
KINDS = ("settings", "groups", "directories")


def series(version):
    """The minor release that a version belongs to, with its pre-releases; None for what is no version."""
    parts = parse(str(version))
    return tuple([*parts.numbers, 0][:2]) if parts else None


def _texts(value):
    return isinstance(value, list) and all(isinstance(item, str) and item for item in value)


def _has(entry, **kinds):
    """Whether a mapping has exactly these keys, each of its type."""
    return (isinstance(entry, dict) and set(entry) == set(kinds)
            and all(isinstance(entry[key], kind) and entry[key] for key, kind in kinds.items()))


def _wrong_rebuilt(rebuilt):
    if not _has(rebuilt, before=str, releases=list, why=str, shapes=list) or not series(rebuilt["before"]):
        yield "rebuilt: expected before (a release), releases, why and shapes"
        return
    if not _texts(rebuilt["releases"]):
        yield "rebuilt: expected a list of patterns as releases"
    if not all(_has(shape, **{"with": str, "without": str, "why": str}) for shape in rebuilt["shapes"]):
        yield "rebuilt: expected with, without and why of each of shapes"


def _wrong_release(release, entry):
    if not isinstance(release, str) or not series(release):
        yield f"releases: {release!r} is no release in quotes"
    if not isinstance(entry, dict) or set(entry) - set(KINDS) or not all(map(_texts, entry.values())):
        yield f"releases: {release}: expected lists of texts, any of {', '.join(KINDS)}"


def _wrong_table(table, entries):
    if not isinstance(entries, list) or not entries or not all(
            _has(entry, **{"from": int, "to": int, "words": str}) and entry["from"] < entry["to"] for entry in entries):
        yield f"tables: {table}: expected a list with from, to (a later version) and words each"


def wrong(notes):
    """What does not have the shape of notes, one sentence each."""
    if not isinstance(notes, dict) or not notes:
        return ["expected products"]
    found = []
    for product, parts in notes.items():
        if not isinstance(parts, dict) or set(parts) - set(NOTHING) or not all(
                isinstance(part, dict) and part for part in parts.values()):
            found.append(f"{product}: expected mappings, any of {', '.join(NOTHING)}")
            continue
        problems = list(_wrong_rebuilt(parts["rebuilt"])) if "rebuilt" in parts else []
        for release, entry in parts.get("releases", {}).items():
            problems += _wrong_release(release, entry)
        for table, entries in parts.get("tables", {}).items():
            problems += _wrong_table(table, entries)
        found += [f"{product}: {words}" for words in problems]
    return found


@functools.lru_cache(maxsize=None)
def load(path=PATH):
    """The notes of all products."""
    try:
        with open(path, encoding="utf-8") as handle:
            notes = yaml.safe_load(handle)
    except (OSError, yaml.YAMLError) as exc:
        raise AnsibleError(f"cannot read the notes of releases in {path}: {exc}") from exc
    problems = wrong(notes)
    if problems:
        raise AnsibleError(f"{path} has not the shape of notes: {'; '.join(problems)}")
    return notes


def notes_of(product):
    """The notes of one product, with every part; there are none of a product that nobody has written any of."""
    return {**NOTHING, **load().get(product or "", {})}


def keys(product):
    """The settings and the directories of which a node is asked whether it has them."""
    notes = notes_of(product)
    settings = [shape[key] for shape in notes["rebuilt"]["shapes"] for key in ("with", "without")]
    directories = []
    for entry in notes["releases"].values():
        settings += entry.get("settings", [])
        directories += entry.get("directories", [])
    return dict(settings=list(dict.fromkeys(settings)), directories=list(dict.fromkeys(directories)))


def rebuilt_release(product, version):
    """Why a cluster of this release is rebuilt, not rolled; empty if it is not."""
    rebuilt = notes_of(product)["rebuilt"]
    own = series(version) if version and rebuilt["before"] else None
    if not own:
        return ""
    old = own < series(rebuilt["before"]) or any(fnmatchcase(version, like) for like in rebuilt["releases"])
    return rebuilt["why"] if old else ""


def rebuilt_shape(product, present):
    """The shape of configuration with which a cluster is rebuilt, not rolled; None if it has another one.

    :arg present: whether each setting is set to something.
    """
    return next((shape for shape in notes_of(product)["rebuilt"]["shapes"]
                 if present.get(shape["with"]) and not present.get(shape["without"])), None)


def since(product, version):
    """What the releases up to this one no longer need, each C((release, entry))."""
    own = series(version) if version else None
    return [(release, entry) for release, entry in notes_of(product)["releases"].items()
            if own and series(release) <= own]


def migrations(product, steps):
    """What to expect of migrations, one sentence for each note that one of them passes.

    :arg steps: the migrations, each with C(table), C(before) (None for a new one) and C(after).
    """
    tables = notes_of(product)["tables"]
    return [f"{step['table']} version {note['from']} to {note['to']}: {note['words']}"
            for step in steps for note in tables.get(step["table"], ())
            if step["before"] is not None and step["before"] <= note["from"] and note["to"] <= step["after"]]


def possible(product, tables):
    """What to expect if the release migrates these tables, of which only the present version is known."""
    return [f"if it migrates {table} to version {note['to']}: {note['words']}"
            for table, notes in notes_of(product)["tables"].items() for note in notes
            if tables.get(table) is not None and tables[table] <= note["from"]]
