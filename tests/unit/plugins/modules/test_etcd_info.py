# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import json

import pytest
from ansible_collections.shakenfist.rolling.plugins.modules import etcd_info

URL = "http://192.0.2.1:2379"
STATUS = dict(version="3.4.23", dbSize="200704", dbSizeInUse="131072")
METRICS = "# HELP x\netcd_server_quota_backend_bytes 2.147483648e+09\n"


@pytest.fixture
def answers(monkeypatch):
    """By path what etcd answers; an error is raised."""
    given, asked = {"/v3/maintenance/status": STATUS, "/v3/maintenance/alarm": {}, "/metrics": METRICS}, []

    def open_url(url, **options):
        asked.append((url, options))
        answer = given[url[len(URL):]]
        if isinstance(answer, Exception):
            raise answer
        return io.BytesIO((answer if isinstance(answer, str) else json.dumps(answer)).encode())
    monkeypatch.setattr(etcd_info, "open_url", open_url)
    given["asked"] = asked
    return given


def member(run_module, **arguments):
    return run_module(etcd_info, endpoints=[f"{URL}/"], **arguments)["members"][0]


def test_a_member_that_is_well(run_module, answers):
    assert member(run_module) == dict(endpoint=URL, version="3.4.23", alarms=[], in_use=131072, quota=2147483648,
                                      problem="")
    assert json.loads(answers["asked"][1][1]["data"]) == dict(action="GET")


def test_alarms(run_module, answers):
    answers["/v3/maintenance/alarm"] = dict(alarms=[dict(memberID="1", alarm="NOSPACE"), dict(memberID="2")])
    assert member(run_module)["alarms"] == ["NOSPACE"]


@pytest.mark.parametrize("metrics", [OSError("refused"), "nothing of it"])
def test_a_quota_that_is_not_told(run_module, answers, metrics):
    answers["/metrics"] = metrics
    assert member(run_module)["quota"] == 0


def test_an_older_member_says_less(run_module, answers):
    answers["/v3/maintenance/status"] = dict(version="3.3.0", dbSize="5")
    assert member(run_module)["in_use"] == 5


@pytest.mark.parametrize("answer, problem", [(OSError("refused"), "refused"), ("no JSON", "Expecting value")])
def test_a_member_that_does_not_answer(run_module, answers, answer, problem):
    answers["/v3/maintenance/status"] = answer
    assert problem in member(run_module)["problem"]


def test_certificates(run_module, answers):
    member(run_module, ca_file="/ca", cert_file="/cert", key_file="/key")
    options = answers["asked"][0][1]
    assert (options["ca_path"], options["client_cert"], options["client_key"]) == ("/ca", "/cert", "/key")
