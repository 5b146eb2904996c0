#!/usr/bin/python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: settings_files
short_description: Check what a new release wants to be other in files of settings
version_added: 0.2.0
description:
  - Many upgrades come with a list of settings to look at. Here that list is data. Each check finds the value that there
    is, with its file and line, and the value that is wanted. Nothing is changed unless O(apply) says so, and then every
    file that is changed is copied to O(backup) first.
  - Files in Python's syntax are parsed, never run. What is changed in them is the one value; comments and layout stay.
options:
  checks:
    description: What to look at.
    type: list
    elements: dict
    required: true
    suboptions:
      title: {type: str, required: true, description: "What it is about, in words."}
      kind:
        description:
          - V(key) is about a key of a dictionary that is assigned to O(checks[].name), such as C(CONFIG) of gunicorn.
            One that is not there is right.
          - V(setting) is about what is assigned to O(checks[].name); the last file, and in it the last assignment,
            counts.
          - V(text) is about any text that matches O(checks[].pattern).
          - V(suffix) is about the names of files, and of links, that do not end with O(checks[].value).
        type: str
        choices: [key, setting, text, suffix]
        required: true
      files:
        description: Files, as shell patterns.
        type: list
        elements: str
        required: true
      name: {type: str, default: "", description: The variable.}
      key: {type: str, default: "", description: The key.}
      value: {type: raw, description: The value that is wanted. With V(text) it replaces what has matched.}
      last: {type: str, default: "", description: "What the last element of a list or tuple has to be, for V(key)."}
      pattern: {type: str, default: "", description: A regular expression of Python.}
      instead_of:
        description: Settings that O(checks[].name) takes the place of. Where one of these is set, and it is not, it is
          to be, with O(checks[].value); of a URI of Django's old kind, C(memcached://HOST:PORT/), its backend and
          location are kept.
        type: list
        elements: str
        default: []
      add_to:
        description: A file to set O(checks[].name) in if it is not set at all. Without it that is right.
        type: str
        default: ""
      needed:
        description: Whether the new release does not work without it.
        type: bool
        default: false
  apply: {type: bool, default: false, description: Whether to change what is not as wanted.}
  backup:
    description: The directory that gets a copy of each file before it is changed, in a directory with the time as its
      name. A copy beside the file would be read as another file of settings.
    type: path
    default: /var/lib/shakenfist-rolling/settings
extends_documentation_fragment: shakenfist.rolling.attributes
"""

EXAMPLES = r"""
- name: See what the new gunicorn does not understand
  shakenfist.rolling.settings_files:
    checks:
      - title: gunicorn has no mode for Django any more
        kind: key
        files: [/etc/gunicorn.d/synnefo]
        name: CONFIG
        key: mode
        value: wsgi
        needed: true
"""

RETURN = r"""
found:
  description: What is not as wanted, or was not. C(title), C(file), C(line), C(found), C(wanted), C(needed), and
    C(applied), whether it was changed. One that cannot be changed here has a C(problem), in words.
  returned: success
  type: list
  sample: [{title: gunicorn has no mode for Django any more, file: /etc/gunicorn.d/synnefo, line: 2, found: "'django'",
    wanted: "'wsgi'", needed: true, applied: false, problem: ""}]
backups: {returned: success, type: list, description: The copies that were made.}
"""

import ast
import difflib
import glob
import os
import re
import shutil
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import (
    conclude,
    make_directory,
    replace_file,
    sync_directories,
)

MEMCACHED = "django.core.cache.backends.memcached.MemcachedCache"
UNSET = "not set"


class Text:
    """A file, as bytes, because that is what the places in a syntax tree count.

    :ivar problem: why it cannot be understood.
    """

    def __init__(self, path):
        self.path, self.problem, self.tree = path, "", None
        with open(path, "rb") as stream:
            self.before = self.content = stream.read()

    def parse(self):
        """The assignments of the file, in their order: its name and the value."""
        try:
            body = ast.parse(self.content).body
        except (SyntaxError, ValueError) as exc:
            self.problem = f"it is no Python that is understood here (line {getattr(exc, 'lineno', None) or 1})"
            return
        for statement in body:
            if isinstance(statement, ast.Assign):
                for target in statement.targets:
                    if isinstance(target, ast.Name):
                        yield target.id, statement.value

    def offset(self, line, column):
        return sum(map(len, self.content.splitlines(keepends=True)[:line - 1])) + column

    def span(self, node):
        return self.offset(node.lineno, node.col_offset), self.offset(node.end_lineno, node.end_col_offset)

    def source(self, node):
        begin, end = self.span(node)
        return self.content[begin:end].decode(errors="replace")

    def replace(self, begin, end, text):
        self.content = self.content[:begin] + text.encode() + self.content[end:]

    def line_of(self, offset):
        return self.content.count(b"\n", 0, offset) + 1


def literal(node):
    """The value of a node; None where that takes more than to read it."""
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def written(value):
    """A value in Python's syntax; a dictionary with a line for each key."""
    if isinstance(value, dict):
        return "{\n" + "".join(f"    {key!r}: {one!r},\n" for key, one in value.items()) + "}"
    return repr(value)


class Settings:
    """The checks of a node.

    :arg apply: whether files are to be changed.
    """

    def __init__(self, params):
        self.params, self.texts, self.found, self.renames = params, {}, [], []

    def text(self, path):
        # What another check has changed counts.
        path = os.path.realpath(path)
        if path not in self.texts:
            self.texts[path] = Text(path)
        return self.texts[path]

    def run(self):
        for check in self.params["checks"]:
            paths = sorted({path for pattern in check["files"] for path in glob.glob(pattern) if os.path.isfile(path)})
            kinds = dict(key=self.key, setting=self.setting, text=self.texts_in, suffix=self.suffix)
            kinds[check["kind"]](check, paths)
        return self.found

    def record(self, check, path, line, found, wanted, problem=""):
        self.found.append(dict(title=check["title"], file=path, line=line, found=found, wanted=wanted, problem=problem,
                               needed=check["needed"], applied=False))

    # ---- the kinds

    def key(self, check, paths):
        for path in paths:
            text = self.text(path)
            values = [value for name, value in text.parse() if name == check["name"]]
            if text.problem:
                self.record(check, path, 1, text.problem, self.wanted(check), "change it yourself")
            elif values and isinstance(values[-1], ast.Dict):
                for key, value in zip(values[-1].keys, values[-1].values):
                    if key is not None and literal(key) == check["key"]:
                        self.judge(check, path, text, value)

    @staticmethod
    def wanted(check):
        return f"{check['last']!r} as its last element" if check["last"] else written(check["value"])

    def judge(self, check, path, text, node):
        """A value of a dictionary."""
        value, source = literal(node), text.source(node)
        if not check["last"]:
            if value != check["value"]:
                self.record(check, path, node.lineno, source, written(check["value"]))
                text.replace(*text.span(node), written(check["value"]))
        elif not isinstance(value, (list, tuple)):
            self.record(check, path, node.lineno, source, self.wanted(check), "change it yourself")
        elif not value or value[-1] != check["last"]:
            last = node.elts[-1] if value else None
            self.record(check, path, (last or node).lineno, text.source(last) if last else source, self.wanted(check))
            self.append(check, text, node, value)

    @staticmethod
    def append(check, text, node, value):
        """Put an element behind the last one, in its manner."""
        if not value or check["last"] in value:
            left = [one for one in value if one != check["last"]]
            text.replace(*text.span(node), written(type(value)([*left, check["last"]])))
            return
        last = node.elts[-1]
        begin, end = text.span(last)
        line = text.content[text.offset(last.lineno, 0):begin].decode(errors="replace")
        text.replace(end, end, f",\n{line}{check['last']!r}" if not line.strip() else f", {check['last']!r}")

    def setting(self, check, paths):
        value, known = check["value"], {}
        for path in paths:
            text = self.text(path)
            for name, node in text.parse():
                known[name] = (path, text, node)
            if text.problem:
                self.record(check, path, 1, text.problem, f"{check['name']} = {written(value)}", "look at it yourself")
        name = check["name"]
        olds = [known[old] for old in check["instead_of"] if old in known]
        if name in known:
            path, text, node = known[name]
            # With what others it takes the place of, any value is a decision of the operator's.
            if not check["instead_of"] and value is not None and literal(node) != value:
                self.record(check, path, node.lineno, f"{name} = {text.source(node)}", f"{name} = {written(value)}")
                text.replace(*text.span(node), written(value))
        elif olds:
            path, text, node = olds[0]
            old = literal(node)
            value = cache_of(value, old) if isinstance(old, str) else value
            self.record(check, path, node.lineno, text.content.splitlines()[node.lineno - 1].decode(errors="replace"),
                        f"{name} = {written(value)}")
            self.attach(text, f"{name} = {written(value)}\n")
        elif check["add_to"]:
            path = check["add_to"]
            self.record(check, path, 0, f"{name} is {UNSET}",
                        f"{name} = {written(value)}" if value is not None else f"{name} = a value of your own",
                        "" if value is not None else "give it a value, or leave its default")
            if value is not None:
                if not os.path.exists(path):
                    self.texts[os.path.realpath(path)] = new = Text(os.devnull)
                    new.path = path
                self.attach(self.text(path), f"{name} = {written(value)}\n")

    @staticmethod
    def attach(text, line):
        lacks = text.content and not text.content.endswith(b"\n")
        text.replace(len(text.content), len(text.content), ("\n" if lacks else "") + line)

    def texts_in(self, check, paths):
        pattern = re.compile(check["pattern"].encode())
        for path in paths:
            text = self.text(path)
            for match in pattern.finditer(text.content):
                self.record(check, path, text.line_of(match.start()), match.group().decode(errors="replace"),
                            match.expand(check["value"].encode()).decode(errors="replace"))
            text.content = pattern.sub(check["value"].encode(), text.content)

    def suffix(self, check, _paths):
        for path in sorted({path for pattern in check["files"] for path in glob.glob(pattern)}):
            if path.endswith(check["value"]) or os.path.isdir(path):
                continue
            new = f"{path}{check['value']}"
            taken = os.path.lexists(new)
            self.record(check, path, 0, os.path.basename(path), os.path.basename(new),
                        f"{new} is there already: remove one of them" if taken else "")
            if not taken:
                self.renames.append((path, new, check["value"]))

    # ---- applying

    def apply(self):
        """Change the files; each is copied before, and replaced in one step."""
        place, backups = os.path.join(self.params["backup"], time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())), []

        def keep(path):
            copy = f"{place}{path}"
            # Of all of it, whatever is below.
            make_directory(place, 0o700)
            make_directory(os.path.dirname(copy), 0o700)
            shutil.copy2(path, copy, follow_symlinks=False)
            backups.append(copy)

        for text in self.texts.values():
            if text.content != text.before:
                if os.path.exists(text.path):
                    keep(text.path)
                replace_file(text.path, text.content)
        for path, new, suffix in self.renames:
            keep(path)
            rename(path, new, suffix)
        for one in self.found:
            one["applied"] = not one["problem"]
        return backups

    def diff(self):
        """Only the lines that change: those around them may be passwords."""
        found = []
        for text in self.texts.values():
            old, new = (one.decode(errors="replace").splitlines(keepends=True) for one in (text.before, text.content))
            parts = [part for part in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
                     if part[0] != "equal"]
            if parts:
                found.append(dict(before_header=text.path, after_header=text.path,
                                  before="".join("".join(old[begin:end]) for dummy, begin, end, dummy, dummy in parts),
                                  after="".join("".join(new[begin:end]) for dummy, dummy, dummy, begin, end in parts)))
        return found + [
            dict(before_header=path, after_header=new, before=f"{path}\n", after=f"{new}\n")
            for path, new, dummy in self.renames]


def cache_of(value, uri):
    """What the setting of a cache is to be, where it was a URI before."""
    scheme, dummy, rest = uri.partition("://")
    if scheme != "memcached" or not isinstance(value, dict):
        return value
    return dict(value, BACKEND=MEMCACHED, LOCATION=rest.partition("?")[0].strip("/"))


def rename(path, new, suffix):
    """Give a file its name; a link to one that got it, too, leads to the new one."""
    if os.path.islink(path) and not os.path.exists(path) and not os.readlink(path).endswith(suffix):
        target = os.readlink(path) + suffix
        os.symlink(target, new)
        os.unlink(path)
    else:
        os.rename(path, new)
    sync_directories(os.path.dirname(path))


def check_files(params, check_mode, diff_mode):
    settings = Settings(params)
    found = settings.run()
    diff = dict(diff=settings.diff()) if diff_mode else {}
    doable = any(not one["problem"] for one in found)
    backups = settings.apply() if params["apply"] and doable and not check_mode else []
    return dict(changed=bool(params["apply"] and doable), found=found, backups=backups, **diff)


def main():
    words = dict(type="str", default="")
    module = AnsibleModule(
        argument_spec=dict(
            checks=dict(type="list", elements="dict", required=True, options=dict(
                title=dict(type="str", required=True),
                kind=dict(type="str", choices=["key", "setting", "text", "suffix"], required=True),
                files=dict(type="list", elements="str", required=True), name=words,
                # No secret, though it is called so.
                key=dict(type="str", default="", no_log=False), value=dict(type="raw"), last=words, pattern=words,
                instead_of=dict(type="list", elements="str", default=[]), add_to=words,
                needed=dict(type="bool", default=False))),
            apply=dict(type="bool", default=False),
            backup=dict(type="path", default="/var/lib/shakenfist-rolling/settings"),
        ),
        supports_check_mode=True,
    )
    conclude(module, lambda: check_files(module.params, module.check_mode, module._diff), "cannot check the settings",
             "/etc")


if __name__ == "__main__":
    main()
