# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the property tests draw their examples, the same ones on every day and every machine, and what several draw."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers

# It would also draw from the constants of whatever modules are loaded: a test alone would see other examples.
providers._get_local_constants = providers.Constants

PROPERTY = settings(derandomize=True, database=None, deadline=None, max_examples=100,
                    suppress_health_check=[HealthCheck.too_slow])

# The name of a machine.
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)


def examples_of(strategy):
    """The examples that a property test of this strategy sees."""
    found = []

    @PROPERTY
    @given(strategy)
    def draw(example):
        found.append(example)

    draw()
    return found


def edited(texts, inserts):
    """One of these texts, with some places changed: at each some signs are lost, and one of C(inserts) comes."""
    @st.composite
    def draw(draw_one):
        text = draw_one(st.sampled_from(texts))
        for dummy in range(draw_one(st.integers(1, 3))):
            place = draw_one(st.integers(0, len(text)))
            text = text[:place] + draw_one(st.sampled_from(["", *inserts])) + text[place + draw_one(st.integers(0, 8)):]
        return text
    return draw()


# ---- EnvironmentFiles: what is written, and what it means by the rules of systemd.exec(5)

BLANKS = st.text(" \t", max_size=2)
SIGNS = "ab=#;$`,\u00fc"


def _joined(pieces):
    return "".join(written for written, dummy in pieces), "".join(meant for dummy, meant in pieces)


def _alike(text):
    return text, text


PLAIN = st.text(SIGNS, min_size=1, max_size=3).map(_alike)
CONTINUED = st.just(("\\\n", ""))
SINGLE = st.text(SIGNS + "\"\\ \n\r", max_size=4).map(lambda text: (f"'{text}'", text))
DOUBLE = st.lists(st.one_of(
    st.text(SIGNS + "' \n\r", max_size=3).map(_alike), CONTINUED,
    st.sampled_from('"\\`$').map(lambda sign: ("\\" + sign, sign)),
    st.sampled_from("an' ").map(lambda sign: _alike("\\" + sign)),
), max_size=3).map(_joined).map(lambda pair: (f'"{pair[0]}"', pair[1]))
ESCAPED = st.sampled_from(SIGNS + "\"'\\ \t").map(lambda sign: ("\\" + sign, sign))
# Once it has begun, blanks and quotes in it are signs like others; blanks count that something comes after.
BARE = st.tuples(
    st.one_of(PLAIN, ESCAPED, CONTINUED),
    st.lists(st.one_of(PLAIN, ESCAPED, CONTINUED, st.sampled_from("'\" \t").map(_alike)), max_size=3).map(_joined),
    st.one_of(PLAIN, ESCAPED, CONTINUED)).map(_joined)


@st.composite
def _assignment(draw):
    blank = st.tuples(BLANKS, st.just(""))
    quoted = draw(st.lists(st.tuples(blank, st.one_of(SINGLE, DOUBLE)).map(_joined), max_size=2).map(_joined))
    written, meant = _joined([quoted, draw(blank), draw(st.one_of(BARE, st.just(("", "")))), draw(blank)])
    name = draw(st.sampled_from("ABC"))
    return f"{draw(BLANKS)}{name}{draw(BLANKS)}={written}", {name: meant}


# A text, and the variables A, B and C that it sets. The last line may lack its end.
ENVIRONMENT_FILES = st.tuples(st.lists(st.tuples(st.one_of(
    _assignment(), st.sampled_from(["", " \t", "# A=b", "  ; A='", "#\u00fc\""]).map(lambda line: (line, {}))),
    st.sampled_from(["\n", "\r\n", "\r"])), max_size=4), st.booleans()).map(lambda given_lines: (
        "".join(line + ("" if number == len(given_lines[0]) and given_lines[1] else end)
                for number, ((line, dummy), end) in enumerate(given_lines[0], start=1)),
        {name: value for (dummy, meant), dummy in given_lines[0] for name, value in meant.items()}))
