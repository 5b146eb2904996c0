# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin_util is private to the collection: it may change at any time, use it only from shakenfist.rolling.

# What the watcher of the service has seen, judged and put into words. It is asked with the module C(probe).

import hashlib
import time

from ansible_collections.shakenfist.rolling.plugins.module_utils._probe import ROLL, START

MARK_LENGTH = 200


def watcher(url):
    """The id of the watcher of a service: there is one for each."""
    return f"rolling-{hashlib.sha1(url.encode()).hexdigest()[:12]}"


def mark(watch, batch):
    """How the watcher is to mark this look at it. The first one begins what counts against the budget."""
    return ", ".join(batch)[:MARK_LENGTH] if watch.get("begun") else ROLL


def excused(numbers):
    """How many requests count neither way, with their reason; nothing where there is none."""
    count = numbers.get("excused") or 0
    return f", {count} excused because the watcher itself was held up for {numbers['late']:g} s" if count else ""


def over(probe, url, budget):
    """What is said where more requests have failed than may; nothing where that is not so."""
    since = probe.get("since") or {}
    if int(since.get("failed") or 0) <= budget:
        return ""
    first: dict = next((each for each in probe.get("failures") or ()
                        if each["mark"] != START and not each["excused"]), {})
    kinds = ", ".join(f"{count} times {kind}" for kind, count in since["kinds"].items())
    clock = time.strftime("%H:%M:%S", time.localtime(float(first.get("time") or 0)))
    step = str(first.get("mark") or "").replace(ROLL, "the roll began")
    return (f"{since['failed']} of {since['requests']} requests to {url} have failed since the roll began, {budget} "
            f"may (roll_error_budget): {kinds}; the first one at {clock}, when {step} was the last step: "
            f"{first.get('words') or ''}. See what the balancer and sf-api have written at that time.")


def problem(result, url, budget):
    """Why the roll must not go on, from a look at the watcher; an empty string if it may."""
    probe = result.get("probe") or {}
    blind = "" if probe.get("running") else (
        f"{url} is no longer watched, so nothing would prove that no request fails: {result.get('msg') or ''}")
    return over(probe, url, budget) or blind


def summary(result, url):
    """What was seen in all."""
    probe = result.get("probe") or {}
    if not probe:
        return f"What {url} did is not known: {result.get('msg') or 'its watcher did not run any more'}"
    since, before = probe.get("since"), probe.get("before")
    if not since:
        return f"{url}: {probe['requests']} requests, {probe['failed']} failed{excused(probe)}; the roll had not begun."
    earlier = f" (before it: p50 {before['p50']} ms, p99 {before['p99']} ms)" if before else ""
    return (f"{url} during the roll: {since['requests']} requests, {since['failed']} failed{excused(since)}, "
            f"longest gap {since['longest_gap']} s, p50 {since['p50']} ms, p99 {since['p99']} ms{earlier}")
