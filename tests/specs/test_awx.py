# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The job templates for AWX: as awx import takes them, for playbooks that there are, with questions about variables that
# there are; and the environment that they run in: as ansible-builder takes it.

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from role_docs import OF_PLAYBOOKS, ROLES, ROOT, defaults, load, options

DEFINITION = ROOT / "examples" / "awx" / "execution-environment.yml"
ANSIBLE_BUILDER = pathlib.Path(sys.executable).with_name("ansible-builder")
EXPORT = load(ROOT / "examples" / "awx" / "rolling.yml")
TEMPLATES = {template["name"]: template for template in EXPORT["job_templates"]}
QUESTIONS = [(name, question) for name, template in TEMPLATES.items()
             for question in template["related"].get("survey_spec", {}).get("spec", [])]
DOCUMENTED = {**OF_PLAYBOOKS, **{name: option for role in ROLES for name, option in options(role).items()}}
DEFAULTS = {name: value for role in ROLES for name, value in defaults(role).items()}
# By type of the variable, the types of question that may ask for it; what AWX wants a default to be.
ASKED_AS = {"str": {"text", "multiplechoice"}, "path": {"text"}, "raw": {"text"}, "int": {"integer"},
            "float": {"integer", "float"}, "bool": {"multiplechoice"}}
ANSWER = {"text": str, "multiplechoice": str, "integer": int, "float": float}


@pytest.mark.parametrize("question", [question for dummy, question in QUESTIONS], ids=lambda value: value["variable"])
def test_a_question(question):
    option = DOCUMENTED[question["variable"]]
    kind, default = question["type"], question["default"]
    assert kind in ASKED_AS[option["type"]]
    assert isinstance(default, ANSWER[kind]) and isinstance(question["required"], bool)
    assert all(question[limit] is None or isinstance(question[limit], int) for limit in ("min", "max"))
    assert question["question_name"] and question["question_description"]
    if kind == "multiplechoice":
        assert question["choices"] == (["false", "true"] if option["type"] == "bool" else option["choices"])
        assert default in question["choices"]
    if question["variable"] in DEFAULTS:
        role = DEFAULTS[question["variable"]]
        assert default == (str(role).lower() if option["type"] == "bool" else role), "the role has another default"


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template(name):
    template = TEMPLATES[name]
    assert (ROOT / template["playbook"]).is_file()
    assert template["natural_key"]["name"] == name
    assert template["project"] == EXPORT["projects"][0]["natural_key"]
    assert template["execution_environment"] == EXPORT["execution_environments"][0]["natural_key"]
    asked = [question["variable"] for of, question in QUESTIONS if of == name]
    assert len(asked) == len(set(asked)) and template["survey_enabled"] == bool(asked)


def test_ansible_builder_takes_the_environment(tmp_path):
    """Beside ansible-core the collection asks for ssh only; what is built has the collection and its callback."""
    place = tmp_path / "collections" / "ansible_collections" / "shakenfist"
    place.mkdir(parents=True)
    (place / "rolling").symlink_to(ROOT)
    for arguments in (["introspect", tmp_path / "collections", "--write-pip", tmp_path / "pip", "--write-bindep",
                       tmp_path / "bindep"], ["create", "--file", DEFINITION, "--context", tmp_path / "context"]):
        run = subprocess.run([ANSIBLE_BUILDER, *arguments], capture_output=True, text=True, check=False)
        assert run.returncode == 0 and "WARNING" not in run.stderr, run.stdout + run.stderr
    assert not (tmp_path / "pip").exists()
    packages = [line.split()[:2] for line in (tmp_path / "bindep").read_text(encoding="utf-8").splitlines() if line]
    assert packages == [["openssh-client", "[platform:dpkg]"], ["openssh-clients", "[platform:rpm]"]]
    steps = (tmp_path / "context" / "Containerfile").read_text(encoding="utf-8")
    assert "ENV ANSIBLE_CALLBACKS_ENABLED=shakenfist.rolling.rollout" in steps
    installed = load(tmp_path / "context" / "_build" / "requirements.yml")["collections"]
    assert [f"{source['name']}" for source in installed] == [f"{load(ROOT / 'galaxy.yml')['repository']}.git"]


def test_the_environment_has_a_supported_ansible_core():
    core = load(DEFINITION)["dependencies"]["ansible_core"]["package_pip"]
    assert core == "ansible-core" + load(ROOT / "meta" / "runtime.yml")["requires_ansible"].replace(".0", "")
