# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.shakenfist.rolling.plugins.module_utils._version import brief, is_older, parse, version_key
from ansible_collections.shakenfist.rolling.tests.unit.strategies import PROPERTY, edited
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import InvalidVersion, Version

NUMBER = st.sampled_from(["0", "1", "2", "10", "007"])
BETWEEN = st.sampled_from(["", "", ".", "-", "_"])
KIND = st.sampled_from(["a", "b", "c", "rc", "alpha", "beta", "pre", "preview", "RC"])


def joined(*parts):
    return st.tuples(*parts).map("".join)


def maybe(*parts):
    return st.one_of(st.just(""), joined(*parts))


# Versions in all the ways in which PEP 440 lets them be written; few numbers, so that two of them are often alike.
WRITTEN = joined(
    st.sampled_from(["", "", "v", " "]), maybe(NUMBER, st.just("!")), NUMBER,
    st.lists(NUMBER.map(".{}".format), max_size=3).map("".join),
    maybe(BETWEEN, KIND, BETWEEN, st.one_of(st.just(""), NUMBER)),
    st.one_of(maybe(st.just("-"), NUMBER), maybe(BETWEEN, st.sampled_from(["post", "rev", "r"]), BETWEEN, NUMBER)),
    maybe(BETWEEN, st.sampled_from(["dev", "DEV"]), BETWEEN, st.one_of(st.just(""), NUMBER)),
    maybe(st.just("+"), st.sampled_from(["gabc", "1", "a.1", "A-1", "1_b", "01"])), st.sampled_from(["", "", "\n"]))


def sign(one, other):
    return (one > other) - (one < other)


@PROPERTY
@given(WRITTEN, WRITTEN)
def test_versions_are_ordered_as_packaging_orders_them(one, other):
    assert sign(version_key(one), version_key(other)) == sign(Version(one), Version(other))
    if not (Version(one).local and Version(other).local):
        assert is_older(one, other) == (Version(one) < Version(other))


@PROPERTY
@given(edited(["1.0", "0.8.1rc2.post3.dev4+a.5", "2!1.0-1"],
              [*".-_+!~v1a0\u0661\u0130\u017f\n", "post", "rc", "dev"]))
def test_what_is_no_version_is_none_here_either(text):
    try:
        known = Version(text)
    except InvalidVersion:
        assert parse(text) is None
        assert version_key(text) < version_key("0.dev0")
    else:
        assert parse(text) is not None
        assert brief(text) == ".".join(map(str, (*known.release, 0, 0)[:3]))
