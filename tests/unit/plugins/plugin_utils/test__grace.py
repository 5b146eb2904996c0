# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._grace import drain_grace, number, shown


def stop(seconds, itself=True):
    return dict(seconds=seconds, itself=itself)


def unit(*stops, graceful="55"):
    return dict(arguments={"--graceful-timeout": graceful} if graceful else {}, stops=list(stops))


@pytest.mark.parametrize("text, seconds", [
    ("25", 25), (8, 8), ("0", 0), ("2.5", 2.5), ("", None), (None, None), ("soon", None), ("-1", None), ("inf", None),
    ("nan", None)])
def test_number(text, seconds):
    assert number(text) == seconds


@pytest.mark.parametrize("configured, stated, given, seconds, source", [
    ("30", 20, unit(stop(26.3)), 30, "config"),
    ("0", None, None, 0, "config"),
    ("", 20, unit(stop(26.3)), 20, "variable"),
    # An older ansible-core makes text of a number.
    ("", "20.5", None, 20.5, "variable"),
    ("soon", None, unit(), 25, "assumed"),
    ("", "0", unit(stop(9.2)), 9, "journal"),
    (None, None, unit(stop(26.3), stop(47.2), stop(25.4)), 25, "journal"),
    # The fourth one is from before the grace was raised.
    (None, None, unit(stop(26.3), stop(47.2), stop(25.4), stop(9.2)), 25, "journal"),
    # These say nothing: cut, as long as the graceful timeout, without a drain.
    (None, None, unit(stop(26.3, itself=False), stop(9.2)), 9, "journal"),
    (None, None, unit(stop(55.1), stop(54.0), stop(9.2)), 9, "journal"),
    (None, None, unit(stop(0.3), stop(9.2)), 9, "journal"),
    (None, None, unit(stop(55.1), stop(0.3), stop(12.0, itself=False)), 25, "assumed"),
    # gunicorn's own graceful timeout is 30 s.
    (None, None, unit(stop(29.5), stop(28.9), graceful=None), 28, "journal"),
    (None, None, {}, 25, "assumed"),
    (None, None, None, 25, "assumed"),
])
def test_drain_grace(configured, stated, given, seconds, source):
    assert drain_grace(configured, stated, given) == dict(seconds=seconds, source=source)


@pytest.mark.parametrize("node, words", [
    (dict(drain_grace="25.0", drain_grace_source="config", config="/etc/sf/config"), "25 s, from /etc/sf/config"),
    (dict(drain_grace=8.0, drain_grace_source="variable", config="/c"), "8 s, from cluster_drain_grace"),
    (dict(drain_grace=26.0, drain_grace_source="journal", config="/c"), "26 s, from its stops in the journal"),
    (dict(drain_grace=25.0, drain_grace_source="assumed", config="/c"), "25 s, assumed"),
    (dict(drain_grace=2.5), "2.5 s, from its configuration"),
])
def test_shown(node, words):
    assert shown(node) == words
