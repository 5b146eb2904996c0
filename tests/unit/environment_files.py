# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Texts of EnvironmentFiles, for the unit tests of who reads them, and for the lab's systemd to say what they mean.

from __future__ import annotations

# To each the variables A, B and C that it sets; None is what is refused here.
LINES = [
    ('A="b"', {"A": "b"}),
    ("A='b'", {"A": "b"}),
    ("A=b", {"A": "b"}),
    ("A=", {"A": ""}),
    ('A=""', {"A": ""}),
    ('  A = "b"', {"A": "b"}),
    ("A=  b  ", {"A": "b"}),
    ('A="b=c=="', {"A": "b=c=="}),
    ('A="two words"', {"A": "two words"}),
    ("# A=b", {}),
    ("; A=b", {}),
    ("", {}),
    (r'A="a \"b\" \\ \$c"', {"A": r'a "b" \ $c'}),
    (r'A="a\nb"', {"A": r"a\nb"}),
    (r"A='a \b'", {"A": r"a \b"}),
    (r"A=a\ b", {"A": "a b"}),
    ("A=b \\ \n", {"A": "b  "}),
    ("A=1\nA=2", {"A": "2"}),
    ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
    ("A='a'\"b\"c", {"A": "abc"}),
    ("A='a' 'b'", {"A": "ab"}),
    ("A=it's", {"A": "it's"}),
    ('A="25" # seconds', {"A": "25# seconds"}),
    ("A=1,\\\n2", {"A": "1,2"}),
    ('A="1,\\\n2"', {"A": "1,2"}),
    ('A="1\n2"\nB=3', {"A": "1\n2", "B": "3"}),
    ("# A \\\nno assignment\nC=2", {"C": "2"}),
    ("# A \\\r\nB=1\r\nC=2", {"B": "1", "C": "2"}),
    ("A=b\\\r\nC=d\r\n", {"A": "b", "C": "d"}),
    ('A="b\r\n"', {"A": "b\r\n"}),
    ("A=b\\", {"A": "b"}),
    ("export A=b", None),
    ("no assignment", None),
    ("no assignment\nA=b", None),
    ("1A=b", None),
    ("=b", None),
    ('A="b', None),
    ("A='b\"", None),
    ('A="', None),
    ('A="b\\', None),
]
