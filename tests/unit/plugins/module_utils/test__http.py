# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from urllib.error import HTTPError

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils import _http
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
