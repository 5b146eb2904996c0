# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Which messages can end a task: read from the source, for what is never raised in a test must be explained, too.

from __future__ import annotations

import ast
import glob
import itertools
import os
import re

import yaml

ROOT = os.path.normpath(os.path.join(os.path.dirname(__file__), "..", ".."))
FOLDERS = ("modules", "module_utils", "action", "plugin_utils")
# What stands for that which varies; no message has it.
VARIES = "\N{HORIZONTAL ELLIPSIS}"
ERRORS = ("RollingError", "AnsibleError", "AnsibleActionFail")
HARMLESS = ("warn", "pass", "WARN", "PASS")
DEPTH = 20


class Source:
    """A file with Python code, and what its names stand for."""

    def __init__(self, path):
        self.path = path
        with open(path, encoding="utf-8") as handle:
            self.tree = ast.parse(handle.read())
        self.functions, self.attributes, self.constants, self.imports, self.classes = {}, {}, {}, {}, {}
        self.owner = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef):
                self.functions.setdefault(node.name, []).append(node)
                self.owner.update((inner, node) for inner in ast.walk(node) if inner is not node)
            elif isinstance(node, ast.ClassDef):
                self.classes[node.name] = [getattr(base, "id", "") for base in node.bases]
            elif isinstance(node, ast.ImportFrom) and node.module:
                self.imports.update((one.asname or one.name, (node.module.rpartition(".")[2], one.name))
                                    for one in node.names)
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Attribute):
                        self.attributes.setdefault(target.attr, []).append(node.value)
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self.constants[node.targets[0].id] = node.value

    def assigned(self, name, at):
        """What is assigned to a name in the function around a node."""
        around = self.owner.get(at)
        found = []
        for node in ast.walk(around) if around else ():
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(getattr(target, "id", "") == name for target in targets):
                # What a comprehension or a loop goes through is what its name stands for.
                found.append(node.value if isinstance(node, (ast.Assign, ast.AugAssign)) else node.iter)
        return [value for value in found if value is not None]


class Messages:
    """All messages of the plugins."""

    def __init__(self):
        paths = [path for folder in FOLDERS
                 for path in sorted(glob.glob(os.path.join(ROOT, "plugins", folder, "**", "*.py"), recursive=True))]
        self.sources = [Source(path) for path in paths]
        self.by_name = {}
        for source in self.sources:
            self.by_name.setdefault(os.path.basename(source.path)[:-3], source)
        self.errors = {*ERRORS, *(name for source in self.sources for name, bases in source.classes.items()
                                  if set(bases) & set(ERRORS))}

    def found(self):
        """By message, where it is from; what varies in it is one sign."""
        messages = {}
        for source in self.sources:
            for node in ast.walk(source.tree):
                for expression in self.ends(node, source):
                    where = f"{os.path.relpath(source.path, ROOT)}:{node.lineno}"
                    for text in self.texts(expression, source):
                        messages.setdefault(text, where)
        return messages

    def ends(self, node, source):
        """The expressions of a message that ends a task here, or refuses a roll."""
        if not isinstance(node, ast.Call):
            return []
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        action = f"{os.sep}action{os.sep}" in source.path
        if name in self.errors or (name == "check" and action):
            return node.args[:1]
        if name in ("fail_json", "Failed") or (name == "dict" and "failed" in given):
            return [given["msg"]] if "msg" in given else []
        if name == "dict" and "msg" in given and isinstance(source.owner.get(node), ast.FunctionDef):
            return [given["msg"]] if self.is_raised(node, source) else []
        if isinstance(node.func, ast.Attribute) and name in ("judge", "add") and len(node.args) > 1:
            words, level = (node.args[1], node.args[2:]) if name == "judge" else (node.args[2:], node.args[1:2])
            harmless = any(getattr(one, "value", getattr(one, "id", "")) in HARMLESS for one in level)
            return [] if harmless else words if isinstance(words, list) else [words]
        return []

    @staticmethod
    def is_raised(node, source):
        return any(isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Failed" and node in call.args
                   for call in ast.walk(source.owner[node]))

    def texts(self, node, source, depth=DEPTH):
        """The texts that an expression can be."""
        if depth < 0:
            return [VARIES]
        again = self.more(source, depth)
        if isinstance(node, ast.Constant):
            return [node.value] if isinstance(node.value, str) else []
        if isinstance(node, ast.JoinedStr):
            parts = [self.part(one, source) for one in node.values]
            if parts.count(VARIES) != 1:
                return ["".join(parts)]
            # A frame around one other message.
            at = parts.index(VARIES)
            inner = again(node.values[at].value) or [VARIES]
            return ["".join([*parts[:at], text, *parts[at + 1:]]) for text in inner]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            sides = [again(side) for side in (node.left, node.right)]
            if not any(isinstance(side, (ast.Constant, ast.JoinedStr)) for side in (node.left, node.right)):
                return sides[0] + sides[1]  # of lists
            return ["".join(both) for both in itertools.product(*sides)]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
            return [re.sub("%[sd]", VARIES, text) for text in again(node.left)]
        if isinstance(node, ast.IfExp):
            return again(node.body) + again(node.orelse)
        if isinstance(node, ast.BoolOp):
            return [text for value in node.values for text in again(value)]
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            return [text for one in node.elts for text in again(one)]
        if isinstance(node, (ast.ListComp, ast.GeneratorExp)):
            return again(node.elt)
        if isinstance(node, ast.Starred):
            return again(node.value)
        if isinstance(node, ast.Name):
            return self.named(node, source, depth)
        if isinstance(node, ast.Attribute):
            return [text for value in source.attributes.get(node.attr, []) for text in again(value)] or [VARIES]
        if isinstance(node, ast.Call):
            return self.called(node, source, depth)
        return [VARIES]

    def more(self, source, depth):
        return lambda node: self.texts(node, source, depth - 1)

    def part(self, node, source):
        """A part of an f-string: its text, that of a constant, or what varies."""
        if isinstance(node, ast.Constant):
            return node.value
        value = getattr(node, "value", None)
        if isinstance(value, ast.Name):
            home, name = self.home(value.id, source)
            constant = home.constants.get(name) if home and not source.assigned(value.id, value) else None
            if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                return constant.value
        return VARIES

    def home(self, name, source):
        """Where a name is from, and what it is called there."""
        if name not in source.imports:
            return source, name
        module, there = source.imports[name]
        return self.by_name.get(module), there

    def named(self, node, source, depth):
        values = source.assigned(node.id, node)
        home, name = self.home(node.id, source)
        if not values and home and name in home.constants:
            return self.texts(home.constants[name], home, depth - 1)
        return [text for value in values for text in self.texts(value, source, depth - 1)] or [VARIES]

    def called(self, node, source, depth):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name == "join" and not isinstance(node.func.value, ast.Constant):
            return [VARIES]  # a path
        if name in ("join", "list", "filter", "sorted", "fromkeys"):
            return [text for one in node.args for text in self.texts(one, source, depth - 1)] or [VARIES]
        if name == "format":
            return [re.sub(r"\{[^}]*\}", VARIES, text) for text in self.texts(node.func.value, source, depth - 1)]
        home, name = self.home(name, source) if isinstance(node.func, ast.Name) else (source, name)
        functions = home.functions.get(name, []) if home else []
        texts = []
        for function in functions:
            for inner in ast.walk(function):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    texts += self.texts(inner.value, home, depth - 1)
                elif isinstance(inner, ast.Call) and getattr(inner.func, "attr", "") == "append" and inner.args:
                    texts += self.texts(inner.args[0], home, depth - 1)
        return texts or [VARIES]


def of_tasks():
    """By message, where it is from: those of the roles and playbooks."""
    messages = {}
    paths = [path for folder in ("roles", "playbooks")
             for path in sorted(glob.glob(os.path.join(ROOT, folder, "**", "*.yml"), recursive=True))]
    for path in paths:
        with open(path, encoding="utf-8") as handle:
            content = yaml.safe_load(handle)
        for task in walk(content):
            fail = task.get("ansible.builtin.fail")
            text = (fail or task.get("ansible.builtin.assert") or {}).get("msg" if fail else "fail_msg", "")
            messages[re.sub(r"\{\{.*?\}\}", VARIES, text, flags=re.DOTALL)] = os.path.relpath(path, ROOT)
    return messages


def walk(content):
    if isinstance(content, dict):
        yield content
    for one in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from walk(one)
