# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._common import RollingError
from ansible_collections.shakenfist.rolling.plugins.modules.nginx_server import MARK, Configuration
from ansible_collections.shakenfist.rolling.tests.unit.strategies import PROPERTY, edited
from hypothesis import given
from hypothesis import strategies as st

ADDRESSES = ["10.0.0.1:13000", "10.0.0.2:13000", "unix:/run/a.sock"]
OWN = ADDRESSES[0]
OPTIONS = st.lists(st.sampled_from([
    " weight=2", "\tmax_fails=0", " backup", " down", "  down", " downtime"]), max_size=2)
# What may be in a comment: anything but the end of a line, also what ends one elsewhere.
COMMENTS = st.one_of(st.just(""), st.text("a;{}# \t\u2028\x0c\x85\udcfc", max_size=4).map(" #{}".format))
LINES = st.one_of(
    st.builds("{}server {}{}{};{}".format, st.sampled_from(["", "  ", "\t"]),
              st.one_of(st.sampled_from(ADDRESSES), st.just(f'"{OWN}"')), OPTIONS.map("".join),
              st.sampled_from(["", " "]), COMMENTS),
    COMMENTS, st.sampled_from(["upstream a {", "upstream b{", "}", "server {", f"# server {OWN};", "keepalive 8;",
                               f"server_name {OWN};"]))
FILES = st.lists(st.tuples(LINES, st.sampled_from(["\n", "\n", "\r\n"])), max_size=6).map(
    lambda lines: "".join(line + end for line, end in lines))


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    path = tmp_path_factory.mktemp("nginx") / "sf-api.conf"

    def read_text(text):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        return Configuration(str(path), OWN)

    return read_text


def others(configuration):
    return [(line.number, line.address, line.upstream, line.state) for line in configuration.servers
            if line.address != OWN]


@PROPERTY
@given(text=st.tuples(FILES, FILES).map(f"server {OWN};\n".join))
def test_a_server_is_taken_out_and_comes_back(read, text):
    before = read(text)
    assert "".join(before.lines) == text and before.state == "ready"
    out = read("".join(before.edited("drain")))
    # Nothing but the lines of the server has changed, and it gets no request from any of them.
    lines, changed = text.split("\n"), "".join(out.lines).split("\n")
    assert [number for number, (one, other) in enumerate(zip(lines, changed)) if one != other] == [
        line.number for line in before.own if line.state == "ready"]
    assert len(lines) == len(changed) and others(out) == others(before)
    assert all(line.down for line in out.own) and out.state == "drain"
    assert out.edited("drain") == out.lines
    # What an operator has set down stays so; everything else comes back, to the byte.
    assert "".join(out.edited("ready")) == text
    assert before.edited("ready") == before.lines


@PROPERTY
@given(text=edited([f"upstream a {{\n  server {OWN};\n  server {OWN} down;{MARK}\n  server 10.0.0.2:13000;\n}}\n"],
                   [";", "{", "#", '"', "\n", "\r", " down", MARK, "server ", OWN, "\udcff"]))
def test_any_other_file_is_edited_in_its_own_lines_only(read, text):
    try:
        before = read(text)
    except RollingError as exc:
        assert "has no line `server" in exc.message
        return
    out = read("".join(before.edited("drain")))
    assert all(line.down for line in out.own) and others(out) == others(before)
    assert all(line.state != "drain" for line in read("".join(out.edited("ready"))).own)
