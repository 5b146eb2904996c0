#!/usr/bin/env python
# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The packages of Synnefo in the lab, and the repository that offers them: small, but real ones, built by dpkg-deb.

Their maintainer scripts start services as those of Debian do, through invoke-rc.d, so that a policy is really tried.
What they hold are stand-ins that do what the upgrade pages say: 0.18.1 for Debian wheezy, 0.19 for jessie, so the
suites of the repository are called that. What is named python-gevent, gunicorn and so on is none of today's Debian: the
machines of the lab have no other source of packages. As of Debian's backports, apt takes nothing from theirs by itself.

    build.py DESTINATION [--suite jessie] [--trait NAME:PACKAGE ...]

A trait is a way in which a package of jessie is broken:
    starts-anyway     its script starts the service by systemctl, without asking the policy
    daemon-itself     its script starts the program itself
    script-fails      its script fails as long as there is /lab/script-fails
    script-slow       its script takes a few seconds
    migration-fails   its migration fails as long as there is /lab/migration-fails
"""

from __future__ import annotations

import argparse
import email.utils
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
FILES = HERE / "files"
SUITES = {"wheezy": "0.18.1", "wheezy-backports": "0.18.1", "jessie": "0.19", "jessie-backports": "0.19"}
BACKPORTS = "-backports"
EPOCH = "1420070400"
# Of each package: what it needs, what it brings (path: file here), and its services, as SysV scripts.
COMMON = ["snf-common", "python-astakosclient", "snf-django-lib", "snf-webproject", "snf-branding"]
PACKAGES = {
    "snf-common": dict(needs=["python3"], brings={"usr/lib/synnefo/lab_synnefo.py": "lab_synnefo.py"}),
    "python-astakosclient": dict(needs=["snf-common"]),
    "snf-django-lib": dict(needs=["snf-common"]),
    "snf-webproject": dict(
        needs=["snf-django-lib", "gunicorn", "python-gevent"],
        brings={"usr/bin/snf-manage": "snf-manage",
                "etc/synnefo/10-snf-webproject-logging.conf": "logging.{version}.conf"}),
    "snf-branding": dict(needs=["snf-webproject"]),
    "snf-astakos-app": dict(
        needs=COMMON, application="astakos", brings={"usr/bin/snf-component-register": "snf-component-register"}),
    "snf-pithos-backend": dict(needs=["snf-common"]),
    "snf-cyclades-app": dict(
        needs=[*COMMON, "snf-pithos-backend"], application="cyclades", services=["snf-dispatcher"],
        brings={"usr/bin/snf-dispatcher": "daemon", "usr/lib/synnefo/tools/fix_ip_history": "fix_ip_history",
                "etc/synnefo/20-snf-cyclades-app-api.conf": "cyclades-api.{version}.conf"}),
    "snf-pithos-app": dict(needs=[*COMMON, "snf-pithos-backend"], application="pithos"),
    "snf-ui-app": dict(needs=COMMON),
    "snf-cyclades-gtools": dict(needs=["snf-common"], services=["snf-ganeti-eventd"],
                                brings={"usr/bin/snf-ganeti-eventd": "daemon"}),
    "archipelago": dict(needs=["python3"], services=["archipelago"], brings={"usr/bin/archipelago": "daemon"}),
    "gunicorn": dict(needs=["python3"], services=["gunicorn"], brings={"usr/sbin/gunicorn-debian": "gunicorn"}),
    "python-gevent": dict(needs=["python-greenlet"]),
    "python-greenlet": dict(needs=[]),
}
# What has versions of its own. jessie's own gevent has two bugs with SSL; Synnefo's repository has a later one, and so
# have the backports, which Synnefo's guide names in its later revision.
VERSIONS = {
    "archipelago": {"wheezy": ["0.4.4-1"], "jessie": ["0.5.0-1"]},
    "gunicorn": {"wheezy": ["0.14.5-3"], "jessie": ["19.0-1"]},
    "python-gevent": {"wheezy": ["0.13.6-1"], "jessie": ["1.0.1-2", "1.1.1-2"],
                      "jessie-backports": ["1.1.1-2~bpo8+1"]},
    "python-greenlet": {"wheezy": ["0.3.1-2"], "jessie": ["0.4.2-2", "0.4.9-2"],
                        "jessie-backports": ["0.4.10-1~bpo8+1"]},
}


def versions(package, suite):
    return VERSIONS.get(package, {}).get(suite, [] if suite.endswith(BACKPORTS) else [f"{SUITES[suite]}-1"])


def script(path, text, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    # Debian's machines have no program of the name python, and ansible-test knows no other way to write it.
    path.write_text(text.replace("#!/usr/bin/env python\n", "#!/usr/bin/python3\n", 1))
    path.chmod(0o755)


def build(package, suite, version, folder, traits=()):
    """One package, as dpkg-deb builds it."""
    facts = PACKAGES[package]
    release, services = SUITES[suite], facts.get("services", [])
    values = dict(release=release, package=package, version=version, service=(services or [""])[0],
                  application=facts.get("application", ""))
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        root.chmod(0o755)
        control = root / "DEBIAN"
        control.mkdir()
        relations = f"Depends: {', '.join(facts['needs'])}\n" if facts["needs"] else ""
        (control / "control").write_text(
            f"Package: {package}\nVersion: {version}\nArchitecture: all\nMaintainer: The lab <lab@localhost>\n"
            f"Section: python\nPriority: optional\n{relations}Description: {package} of the lab\n"
            " A stand-in that is installed on machines of the lab only.\n")
        (root / "usr/share/doc" / package).mkdir(parents=True)
        (root / "usr/share/doc" / package / "copyright").write_text("GPL-3.0-or-later\n")
        conffiles = []
        for path, name in facts.get("brings", {}).items():
            source = FILES / name.format(version=release)
            script(root / path, source.read_text(), values)
            if path.startswith("etc/"):
                (root / path).chmod(0o644)
                conffiles.append(f"/{path}")
        if facts.get("application"):
            (root / "usr/share/synnefo/applications").mkdir(parents=True)
            (root / "usr/share/synnefo/applications" / facts["application"]).write_text(
                f"{release}{' fails' if 'migration-fails' in traits else ''}\n")
        for service in services:
            script(root / "etc/init.d" / service, (FILES / "init").read_text(), dict(values, service=service))
            conffiles.append(f"/etc/init.d/{service}")
        if conffiles:
            (control / "conffiles").write_text("".join(f"{name}\n" for name in conffiles))
        for name in ("preinst", "postinst", "prerm", "postrm"):
            text = (FILES / name).read_text()
            for trait in ("starts-anyway", "daemon-itself", "script-fails", "script-slow"):
                text = text.replace(f"#{trait} ", "" if trait in traits else "#")
            script(control / name, text, dict(values, services=" ".join(services)))
        made = folder / f"{package}_{version}_all.deb"
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", "-Zgzip", str(root), str(made)], check=True,
                       capture_output=True, text=True, env=dict(os.environ, SOURCE_DATE_EPOCH=EPOCH))
    return made


def publish(destination, suite, traits):
    """A suite of the repository, in one rename, so that no apt sees half of one.

    :arg traits: by package.
    """
    pool = destination / "pool" / suite
    part = pool.with_name(f"{suite}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for package in PACKAGES:
        for version in versions(package, suite):
            build(package, suite, version, part, traits.get(package, ()))
    shutil.rmtree(pool, ignore_errors=True)
    part.rename(pool)
    packages = subprocess.run(["dpkg-scanpackages", "--multiversion", f"pool/{suite}"], cwd=destination, check=True,
                              capture_output=True, text=True).stdout
    index = destination / "dists" / suite / "main" / "binary-amd64"
    index.mkdir(parents=True, exist_ok=True)
    (index / "Packages").write_text(packages)
    release = destination / "dists" / suite / "Release"
    release.unlink(missing_ok=True)
    content = packages.encode()
    behind = "NotAutomatic: yes\nButAutomaticUpgrades: yes\n" if suite.endswith(BACKPORTS) else ""
    release.write_text(
        f"Origin: Lab\nLabel: Lab\nSuite: {suite}\nCodename: {suite}\nArchitectures: amd64\nComponents: main\n"
        f"{behind}Date: {email.utils.formatdate(usegmt=True)}\n"
        f"SHA256:\n {hashlib.sha256(content).hexdigest()} {len(content)} main/binary-amd64/Packages\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("destination", type=pathlib.Path)
    parser.add_argument("--suite", action="append", choices=sorted(SUITES))
    parser.add_argument("--trait", action="append", default=[], metavar="NAME:PACKAGE")
    options = parser.parse_args()
    traits = {}
    for given in options.trait:
        name, package = given.split(":")
        traits.setdefault(package, []).append(name)
    for suite in options.suite or SUITES:
        publish(options.destination, suite, traits if suite == "jessie" else {})


if __name__ == "__main__":
    main()
