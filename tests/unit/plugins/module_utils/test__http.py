# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace
from urllib.error import HTTPError

import pytest
from ansible.module_utils import basic
from ansible_collections.shakenfist.rolling.plugins.module_utils import _http
from ansible_collections.shakenfist.rolling.plugins.modules import (
    apache_member,
    cinder_service,
    drain,
    etcd_info,
    haproxy_info,
    haproxy_server,
    nodes_info,
    probe,
    release,
    several,
    store_migrations,
)
from ansible_collections.shakenfist.rolling.tests.unit.fakes import Quiet, Server


@pytest.fixture
def server():
    """One that redirects from /old to itself, and keeps what it was asked."""
    asked = []

    class Handler(Quiet):
        def do_GET(self):
            asked.append((self.path, self.headers["Authorization"], self.headers["User-Agent"]))
            self.send_response(302 if self.path == "/old" else 200)
            self.send_header("Location", "/new")
            self.send_header("Content-Length", "0")
            self.end_headers()

    with Server(Handler) as server:
        server.asked = asked
        yield server


def test_a_redirect_is_not_followed(server):
    with pytest.raises(HTTPError, match="302"):
        _http.open_url(f"{server.url}/old", url_username="joe", url_password="s3cret", force_basic_auth=True)
    assert [path for path, dummy, dummy in server.asked] == ["/old"]


def test_a_netrc_is_not_read(server, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login joe password s3cret\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    _http.open_url(f"{server.url}/new").close()
    assert server.asked == [("/new", None, "shakenfist.rolling")]


@pytest.mark.parametrize("address, hidden", [
    ("http://joe:s3cret@lb:8404/stats", {"joe:s3cret"}),
    ("joe:s3cret@lb:1", {"joe:s3cret"}),
    ("http://joe:s3/cret@lb/", {"joe:s3/cret"}),
    ("http://lb/stats", set()),
    ("/run/a@b.sock", set()),
    ("", set()),
    (None, set()),
])
def test_credentials_are_hidden(address, hidden):
    # Of an option with no_log, AnsibleModule hides the whole value.
    module = SimpleNamespace(no_log_values={address} - {None, ""})
    _http.hide_credentials(module, address, "http://other/")
    assert module.no_log_values == hidden


@pytest.mark.parametrize("module, arguments", [
    (apache_member, dict(url="htp://joe:s3cret@lb/", balancer="b", member="m", state="ready")),
    (cinder_service, dict(url="htp://joe:s3cret@lb/v3", binary="b", host="h", state="seen", timeout=0)),
    (drain, dict(unit="sf-api", url="http://127.0.0.1:1/",
                 haproxy=dict(address="joe:s3cret@lb:1", backend="b", server="s"))),
    (etcd_info, dict(endpoints=["http://joe:s3cret@127.0.0.1:1"])),
    (haproxy_info, dict(address="joe:s3cret@lb:1", backend="b")),
    (haproxy_server, dict(address="joe:s3cret@lb:1", backend="b", server="s", state="ready")),
    (nodes_info, dict(credentials="/nowhere", url="http://joe:s3cret@lb/", timeout=0)),
    (probe, dict(id="x", url="http://joe:s3cret@lb/")),
    (probe, dict(id="x", urls=["htp://joe:s3cret@lb/"])),
    (probe, dict(id="x", urls=["http://joe:s3cret@[lb/"])),
    (several, dict(calls=[dict(module="haproxy_info", arguments=dict(address="joe:s3cret@lb:1", backend="b"))])),
    (store_migrations, dict(directory="/nowhere", store="etcd", endpoints=["http://joe:s3cret@lb:1"])),
    (release, dict(state="staged", path="/nowhere", releases="/nowhere", distribution="d", version="1", name="1-a",
                   lock=[], index_url="https://joe:s3cret@l\u2100b/")),
])
def test_no_module_repeats_the_credentials_of_an_address(run_module, monkeypatch, tmp_path, module, arguments):
    """Whatever it is called with: neither in what it returns, of which -vvv shows all, nor in the journal."""
    said = []
    monkeypatch.setattr(basic.AnsibleModule, "log",
                        lambda dummy, message, log_args=None: said.append((message, log_args)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    result = run_module(module, **arguments)
    assert said and "s3cret" not in f"{result} {said}"
