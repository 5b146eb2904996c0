# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.shakenfist.rolling.plugins.module_utils._systemd import (
    PROPERTIES,
    STOPPED,
    STOPPING,
    Systemd,
    command_arguments,
    seconds,
    stops,
)
from ansible_collections.shakenfist.rolling.tests.unit.strategies import NAMES, PROPERTY, edited
from hypothesis import given
from hypothesis import strategies as st

# In the order and with the names of systemd's format_timespan.
UNITS = [("y", 31557600 * 10 ** 6), ("month", 2629800 * 10 ** 6), ("w", 604800 * 10 ** 6), ("d", 86400 * 10 ** 6),
         ("h", 3600 * 10 ** 6), ("min", 60 * 10 ** 6), ("s", 10 ** 6), ("ms", 1000), ("us", 1)]
VALUES = st.text("ab=;{} \"'\\\u00fc[]", max_size=8)
WORDS = st.text("ab=./-\u00fc$", min_size=1, max_size=5)


def shown(span):
    """A time span in microseconds as systemctl show prints it."""
    words = []
    for name, size in UNITS:
        whole, rest = divmod(span, size)
        if not whole:
            continue
        if span < UNITS[5][1] and rest:
            words.append(f"{whole}.{rest:0{len(str(size)) - 1}}{name}")
            break
        words.append(f"{whole}{name}")
        span = rest
    return " ".join(words) or "0"


@PROPERTY
@given(st.one_of(st.integers(0, 10 ** 8), st.integers(0, 10 ** 15),
                 st.lists(st.sampled_from(UNITS), max_size=3).map(lambda units: sum(size for dummy, size in units))))
def test_a_time_span_is_read_as_systemd_prints_it(span):
    assert seconds(shown(span)) == pytest.approx(span / 1e6, rel=1e-12, abs=1e-9)


@PROPERTY
@given(edited(["1y 2month 3w", "1min 30.500s", "infinity", "0"], [*"0129. smhd\u00b2\u0661\n", "inf", "nan", "-"]))
def test_what_is_no_time_span_has_no_length(text):
    found = seconds(text)
    assert found is None or 0 <= found < float("inf")


def command_line(words, end):
    return (f"{{ path={words[0]} ; argv[]={' '.join(words)} ; {end} ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; "
            "code=(null) ; status=0/0 }")


@PROPERTY
@given(st.dictionaries(NAMES, st.fixed_dictionaries(dict.fromkeys(PROPERTIES[:3], VALUES)), min_size=1, max_size=3),
       st.lists(st.one_of(WORDS, st.sampled_from(["a\nb", "\n\nWantedBy=x", "a\n\nb=c"])), min_size=1, max_size=3),
       st.data())
def test_each_unit_has_its_own_properties(units, words, data):
    """The words of a command may hold ends of lines, and whole empty lines."""
    name = data.draw(st.sampled_from(list(units)))
    units[name]["ExecStart"] = command_line(words, "ignore_errors=no")
    blocks = ["\n".join(f"{key}={value}" for key, value in unit.items()) for unit in units.values()]
    assert Systemd(lambda dummy: (0, "\n\n".join(blocks) + "\n", "")).show(list(units), ["ExecStart"]) == units


@PROPERTY
@given(st.lists(st.one_of(st.sampled_from(["--workers", "--timeout=3", "-w", "--", ";"]), WORDS), max_size=5),
       st.sampled_from(["ignore_errors=no", "flags="]))
def test_the_last_value_of_an_option_counts(words, end):
    found = command_arguments(command_line(["/bin/gunicorn", *words, "--workers", "5", "--timeout=7"], end),
                              ["--workers", "--timeout"])
    assert found == {"--workers": "5", "--timeout": "7"}
    assert command_arguments(command_line(["/bin/gunicorn", *words], end), ["--bind"]) == {}


@PROPERTY
@given(edited(["".join(f'{{"MESSAGE_ID": "{mark}", "_BOOT_ID": "b", "__MONOTONIC_TIMESTAMP": "{moment}"}}\n'
                       for mark, moment in ((STOPPING, 1), (STOPPED, 2000001)))],
              ["[", "{", "null", "\n", '"', "1e9", "Infinity", "9" * 30]))
def test_entries_of_the_journal_are_read_or_passed_over(journal):
    assert all(isinstance(stop["seconds"], float) for stop in stops(journal))
