# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Whatever is written on a node has a mode that somebody has thought of: 0600 where there may be a secret in it, else
# that of what it replaces, or one that everybody may read. The umask of root's is no thought. On the controller it is:
# that of the operator, whose files these are.

from __future__ import annotations

import ast
import pathlib

ROOT = pathlib.Path(__file__).parents[2]
SET = "chmod", "copystat", "atomic_move"
# In the directory of the module on the node, which only its user may enter, and which is removed with it.
OF_THE_MODULE = "tmpdir"
# Those that are told the mode by who calls them, or whose caller sets it.
TOLD = {"make_directory", "write_tar"}


def name_of(call):
    return ast.unparse(call.func)


def writes(call):
    """Whether a call makes a file or a directory, and does not say with which mode."""
    name, given = name_of(call), [ast.unparse(one) for one in call.args]
    if name in ("os.mkdir", "os.makedirs"):
        return len(given) < 2 and not any(one.arg == "mode" for one in call.keywords)
    if name == "os.open":
        return "O_CREAT" in given[1] and len(given) < 3
    if name in ("open", "tarfile.open") and len(given) > 1 and given[1].strip("'")[:1] in ("w", "a", "x"):
        # A handle is of a file that is there already, and so is what the kernel has.
        return not (isinstance(call.args[0], ast.Call) or given[0] in ("handle", "part") or given[0][1:7] == "/proc/")
    return name in ("shutil.copyfile", "shutil.copyfileobj")


def careless(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name not in TOLD]
    for function in functions:
        text = ast.unparse(function)
        calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and writes(node)]
        if calls and not any(word in text for word in (*SET, OF_THE_MODULE)):
            yield f"{path.relative_to(ROOT)}: {function.name}: {', '.join(map(ast.unparse, calls))}"


def test_every_file_on_a_node_has_a_mode():
    paths = [path for folder in ("modules", "module_utils") for path in (ROOT / "plugins" / folder).rglob("*.py")]
    assert len(paths) > 60 and [words for path in sorted(paths) for words in careless(path)] == []


def test_what_is_written_there_from_here_has_one():
    """Actions do it by C(written) or by C(write) of their steps, which want one; no role writes anything itself."""
    text = "".join(path.read_text(encoding="utf-8") for path in [*ROOT.glob("roles/*/tasks/*.yml"),
                                                                 *ROOT.glob("playbooks/**/*.yml")])
    assert not [name for name in ("copy", "template", "lineinfile", "blockinfile", "get_url")
                if f"ansible.builtin.{name}:" in text]
