# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What a page in Markdown points to, and whether it is there: in a checkout, or in what was built from it.

from __future__ import annotations

import re

from role_docs import ROOT, load

# Pages of the collection point so to what stays in the repository.
REPOSITORY = f"{load(ROOT / 'galaxy.yml')['repository']}/blob/main/"


def prose(page):
    """A page without its code, where brackets are no links and # is no heading."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page):
    """The anchors that code forges make of the headings of a page."""
    headings = re.findall(r"^#+ +(.+?) *$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page):
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    found = re.findall(r"\]\(([^)\s]+)\)|\b(?:src|srcset)=\"([^\"]+)\"|^\[[^\]]+\]: (\S+)$", text, flags=re.MULTILINE)
    return ["".join(groups) for groups in found]


def dead_links(page, root):
    """The links of a page that lead nowhere, or out of `root`; those to other sites are not looked at."""
    return [link for link in links(page) if not leads(page, link, root)]


def leads(page, link, root):
    if link.startswith(REPOSITORY):
        page, link, root = ROOT / "README.md", link[len(REPOSITORY):], ROOT
    if re.match(r"[a-z]+:", link):
        return True
    path, dummy, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and target.is_relative_to(root.resolve()) and (not anchor or anchor in anchors(target))


def undefined(page):
    """The names in links such as [text][name] that the page does not define."""
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    return set(re.findall(r"\]\[([^\]]+)\]", text)) - set(re.findall(r"^\[([^\]]+)\]: ", text, flags=re.MULTILINE))
