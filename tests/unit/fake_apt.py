# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import re

POLICY = "usr/sbin/policy-rc.d"


class FakeApt:
    """A node with apt, dpkg and systemd, as far as the modules ask and see them: its files are real ones, under a root.

    :ivar index: by suite, the versions of packages.
    :ivar broken: packages that dpkg has to complete.
    :ivar calls: what was run, and whether a policy of ours was there.
    :ivar fails: what a program says that fails, by a word of its command.
    :ivar prints: what it has printed before.
    :ivar active: the units that run; each has a state as systemctl shows it.
    :ivar meanwhile: by a word of a command, what happens while it runs.
    """

    def __init__(self, root):
        self.root = root
        for folder in ("etc/apt/sources.list.d", "etc/apt/preferences.d", "var/lib/dpkg/updates", "var/lib/dpkg/info",
                       "var/lib/apt/lists", "var/cache/apt/archives", "usr/sbin", "usr/bin", "run"):
            (root / folder).mkdir(parents=True)
        self.sources = root / "etc/apt/sources.list.d/synnefo.list"
        self.sources.write_text("# ours\ndeb [trusted=yes] http://db:8080 wheezy main\n")
        self.packages = {"snf-common": "0.18.1-1", "gunicorn": "0.14.5-3"}
        self.index = {"wheezy": dict(self.packages), "jessie": {"snf-common": "0.19-1", "gunicorn": "19.0-1"}}
        self.broken, self.held, self.removes, self.calls, self.fails, self.meanwhile = {}, [], [], [], {}, {}
        self.units, self.warns, self.prints, self.stops = {}, "", "", True

    def __call__(self, command, **options):
        words = [word for word in command if word != "-o"]
        line = " ".join(words)
        ours = (self.root / POLICY).exists() and "shakenfist" in (self.root / POLICY).read_text()
        self.calls.append((line, ours))
        for word, call in self.meanwhile.items():
            if word in line:
                call()
        for word, said in self.fails.items():
            if word in line:
                return 100, self.prints, said
        if command[0] == "systemctl":
            return self.systemctl(words)
        assert options["environ_update"]["DEBIAN_FRONTEND"] == "noninteractive"
        return getattr(self, command[0].replace("-", "_"))(words, line)

    def ran(self, word):
        """The calls with a word, as what was run."""
        return [line for line, dummy in self.calls if word in line]

    def dpkg_query(self, *_):
        return 0, "".join(
            f"{name}\t{version}\t{'hold' if name in self.held else 'install'} ok {self.broken.get(name, 'installed')}\n"
            for name, version in self.packages.items()) + "old\t1\tdeinstall ok config-files\n", ""

    def dpkg(self, *_):
        self.broken = {}
        return 0, "", ""

    def apt_cache(self, words, _line):
        return 0, "".join(f"{name}:\n  Installed: x\n  Candidate: {self.index['jessie'].get(name, '(none)')}\n"
                          for name in words[2:]), ""

    def apt_get(self, words, line):
        options = dict(word.split("=", 1) for word in words if word.startswith("D") and "=" in word)
        if "update" in words:
            pathlib.Path(options["Dir::State::lists"], "db_jessie_Packages").write_text("x")
            return 0, "", self.warns
        text = "".join(path.read_text() for path in sorted(pathlib.Path(options["Dir::Etc::sourceparts"]).iterdir()))
        suite = re.search(r"db:8080 (\S+) main", text).group(1)
        names = words[words.index("install") + 1:] if "install" in words else list(self.packages)
        new = {name: self.index[suite][name] for name in names or self.packages
               if name not in self.held and self.index[suite].get(name, self.packages[name]) != self.packages[name]}
        if "--simulate" in words:
            return 0, "".join(f"Inst {name} [{self.packages[name]}] ({version} Lab:x [all])\nConf {name} ({version})\n"
                              for name, version in new.items()) + "".join(
                                  f"Remv {name} [1]\n" for name in self.removes), ""
        archives = pathlib.Path(options["Dir::Cache"], "archives")
        for name, version in new.items():
            (archives / f"{name}_{version}_all.deb").write_text("deb")
        if "--download-only" not in words:
            assert "Dpkg::Options::=--force-confold" in words
            self.packages.update(new)
            self.broken = {}
        return 0, "", ""

    def systemctl(self, words):
        if "stop" in words:
            if self.stops:
                for word in words[3:]:
                    self.units[word[:-8]] = dict(self.units[word[:-8]], ActiveState="inactive")
            return 0, "", ""
        names = [word[:-8] for word in words if word.endswith(".service")]
        return 0, "\n\n".join("\n".join(f"{name}={value}" for name, value in self.units[one].items())
                              for one in names), ""
