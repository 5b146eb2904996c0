# Copyright (c) 2026, the shakenfist.rolling authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from ansible.errors import AnsibleError
from ansible_collections.shakenfist.rolling.plugins.plugin_utils import _page as module
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._page import Axis, html_of, picture
from ansible_collections.shakenfist.rolling.plugins.plugin_utils._report import Gatherer
from ansible_collections.shakenfist.rolling.tests.unit.report_facts import COMMAND, NIGHT, WHO, Facts

SVG = "{http://www.w3.org/2000/svg}"


def data_of(facts):
    return Gatherer(facts.hosts, facts.now).report(WHO)


def page_of(facts):
    """The page, as XML: what is not well-formed fails here."""
    return ET.fromstring(html_of(data_of(facts)))


def text_of(element):
    return " ".join(" ".join(element.itertext()).split())


def attribute(element, name):
    return float(element.get(name).rstrip("%"))


ROLLS = {"one": lambda: Facts(1).rolled(), "three": lambda: Facts(3).rolled().probed(),
         "thirty": lambda: Facts(30).rolled().probed([90, 90, 91]), "broken": lambda: Facts().broken().probed([47]),
         "stopped": lambda: Facts().stopped(), "tier": lambda: Facts().as_a_whole(),
         "back": lambda: Facts().as_a_whole(back=True), "hosts": lambda: Facts().host_by_host()}


@pytest.fixture(params=ROLLS)
def roll(request):
    return ROLLS[request.param]()


def test_nothing_comes_from_elsewhere(roll):
    text = html_of(data_of(roll))
    assert "<script" not in text and not re.findall(r"(?:src|href)=|@import|url\(", text)
    assert set(re.findall(r"https?://[^\s<\"]+", text)) <= {"http://www.w3.org/2000/svg", "http://api.example.org/api/"}


def test_the_page_says_what_was_done():
    words = text_of(page_of(ROLLS["three"]()))
    for part in ("3 nodes upgraded from 0.8.0 to 0.8.1 in", "alice@admin, 21 November 2026, 03:53:02 to", "3 of 3",
                 "2 of 3", "14.3 s", "no node leaves unless 2 others are ready", "notes: version 1 → 2",
                 "audit: new → 1", "objects.state: widened", "before-0.8.1.sql on sf-1: complete, and restored",
                 "mariadb --host", "Warnings None.", "p99 3.8 ms 42.3 ms", "run 1a2b3c4d"):
        assert part in words, part
    assert "still out" not in words and COMMAND not in words


def test_a_failure_comes_first():
    page = page_of(ROLLS["broken"]())
    sections = list(page.iter("section"))
    assert sections[0].get("class") == "cause" and page.find("body").get("class") == "failed"
    assert sections[0].find("h2").text == "sf-2: Restart the daemons that others order after, then the others"
    cause, command = sections[0].findall("pre")
    assert cause.text.startswith("expected sf-net to start") and "".join(command.itertext()) == COMMAND
    assert "HTTP 503 after 0.01 s" in text_of(page) and "failed, 16.6 s" in text_of(page)


def test_a_stop_is_no_failure():
    page = page_of(ROLLS["stopped"]())
    section = next(page.iter("section"))
    assert page.find("body").get("class") == "stopped" and section.find("h2").text == "Stopped before sf-3"
    assert text_of(section.find("p")) == "bob@desk asked for it at 2026-11-21 03:53:50 UTC: we go on tomorrow"
    assert text_of(section.find("pre")) == COMMAND and "failed" not in text_of(page.find("body"))
    assert next(page.iter("strong")).get("class") == "hint"


def test_a_stop_without_a_reason():
    assert "UTC, without a reason." in text_of(next(page_of(Facts().stopped(reason="")).iter("section")))


@pytest.mark.parametrize("asked", [None, dict(want="pause", user="bob", host="desk", since=NIGHT, reason="")])
def test_a_stop_that_has_words_of_its_own(asked):
    """Too many requests have failed, or a pause was too long."""
    facts = Facts().stopped("pause")
    facts.nodes["sf-3"]["cause"]["request"] = asked or {}
    section = next(page_of(facts).iter("section"))
    assert section.find("h2").text == "Stopped before sf-3"
    assert section.find("pre").text.startswith("the roll was asked to pause")


def test_a_stop_before_the_schema():
    facts = Facts()
    for name in facts.tier:
        facts.fail(name, "", "asked", "asked", stopped=True)
    assert next(page_of(facts).iter("section")).find("h2").text == "Stopped before the migration of the schema"


def test_a_stop_before_a_reboot():
    facts = Facts().only_reboots("sf-2", "sf-3")
    facts.fail("sf-2", "", "asked", "asked", stopped=True)
    assert next(page_of(facts).iter("section")).find("h2").text == "Stopped before the reboot of sf-2"


def test_a_run_that_only_reboots():
    facts = Facts().only_reboots("sf-1")
    facts.reboot("sf-1")
    words = text_of(page_of(facts).find("body"))
    for part in ("ok Dragonflow, node by node", "1 node rebooted in 8 s",
                 "nodes done 1 of 1 2 passed over", "sf-1 0.8.1 rebooted 4.0 s 1.0 s"):
        assert part in words, part


def test_a_failure_of_all_nodes_has_their_names():
    facts = Facts()
    for name in ("sf-1", "sf-2"):
        facts.fail(name, "", "no space", "no space")
    assert next(page_of(facts).iter("section")).find("h2").text == "sf-1, sf-2"


@pytest.mark.parametrize("facts, watched, words", [
    (Facts().rolled(), False, "requests not watched watch_url makes the roll count them"),
    (Facts().rolled(), True, "requests not known the watcher was gone"),
    (Facts().rolled().probed([30]), True, "failed requests 1 of ")])
def test_requests(facts, watched, words):
    data = dict(data_of(facts), watched=watched)
    assert words in text_of(ET.fromstring(html_of(data)))


def test_requests_that_are_excused_are_shown():
    facts = Facts().rolled().probed()
    facts.run["watch"]["seen"]["since"].update(excused=3, late=30.5)
    words = text_of(page_of(facts))
    assert ", 3 excused" in words and "excused 0 3 longest gap" in words


@pytest.mark.parametrize("product, title", [("", "Shaken Fist"), ("Cinder", "Cinder")])
def test_the_product_is_named(product, title):
    data = dict(data_of(ROLLS["three"]()), product=product)
    assert f"ok {title}, rolling upgrade" in text_of(ET.fromstring(html_of(data)))


def test_an_older_report():
    """It does not tell whether the service was watched, who has asked for a stop, or when all was down."""
    data = data_of(ROLLS["stopped"]())
    del data["watched"], data["failures"][0]["request"]
    assert "the roll was asked to stop" in html_of(data)
    data = data_of(ROLLS["tier"]())
    del data["down"], data["schema"]["migrations"], data["schema"]["undone"], data["schema"]["beyond"]
    assert "The schema was migrated." in html_of(data)


@pytest.mark.parametrize("kind, result, words", [
    ("upgrade", "rolled", "0.8.0 → 0.8.1"), ("upgrade", "failed", "from 0.8.0"), ("upgrade", "not touched", "0.8.0"),
    ("restart", "rolled", "0.8.0"), ("reconfigure", "failed", "0.8.0")])
def test_the_release_of_a_node(kind, result, words):
    data = dict(kind=kind, releases={"from": ["0.8.0"], "to": "0.8.1"})
    assert module.release_of({"from": "0.8.0", "result": result}, data) == words


@pytest.mark.parametrize("before, result, words", [
    ("0.8.1", "rolled", "0.8.1"), ("", "rolled", "0.8.1"), ("", "failed", ""), ("0.8.1", "passed over", "0.8.1"),
    ("0.8.1", "down", "0.8.1")])
def test_the_release_of_a_node_that_had_it_or_that_nobody_knows(before, result, words):
    data = dict(kind="upgrade", releases={"from": [], "to": "0.8.1"})
    assert module.release_of({"from": before, "result": result}, data) == words


@pytest.mark.parametrize("result, on, words", [
    ("rolled", "0.8.1", "0.8.0 → 0.8.1"), ("down", "0.8.1", "0.8.0 → 0.8.1"), ("failed", "0.8.1", "0.8.0 → 0.8.1"),
    ("down", "", "from 0.8.0"), ("in part", "", "from 0.8.0"), ("went back", "", "0.8.0"),
    ("not touched", "", "0.8.0")])
def test_the_release_that_a_node_was_left_on(result, on, words):
    data = dict(kind="tier", releases={"from": ["0.8.0"], "to": "0.8.1"})
    assert module.release_of({"from": "0.8.0", "to": on, "result": result}, data) == words


def test_lines_break_between_words_only():
    text = " sf-ctl --all  'a & <b>'\n\tnext"
    page = ET.fromstring(f"<p>{module.whole(text)}</p>")
    assert "".join(page.itertext()) == text
    assert [word.text for word in page] == ["sf-ctl", "--all", "'a", "&", "<b>'", "next"]
    assert module.whole("") == ""


def test_what_all_nodes_do_is_in_the_legend():
    page = page_of(ROLLS["three"]())
    of_each, of_all = (text_of(row) for row in page.iter("p") if row.get("class") == "legend")
    assert of_each == "each node: wait for the others drain activate restart gate settle"
    assert of_all == "all nodes: preflight staging schema verify no node leaves unless 2 others are ready"
    facts = Facts(1)
    facts.note("sf-1", "prune", facts.now, 1.0)
    drawn = picture(data_of(facts))
    assert drawn["phases"] == [] and drawn["lanes"][0]["bars"][0]["kind"] == "all"
    assert [text_of(row) for row in page_of(facts).iter("p") if row.get("class") == "legend"] == ["", ""]


def test_gate_and_settle_are_explained():
    assert "passes the gate once it is ready" in text_of(page_of(ROLLS["three"]()))
    assert "passes the gate" not in text_of(page_of(Facts(1)))


def test_a_node_that_is_still_out():
    facts = ROLLS["broken"]()
    facts.nodes["sf-2"]["failure"]["serves"] = False
    assert "failed, still out" in text_of(page_of(facts))


def test_a_failure_without_its_words_in_the_message():
    facts = ROLLS["broken"]()
    facts.nodes["sf-2"]["failure"]["text"] = "something else"
    section = next(page_of(facts).iter("section"))
    assert text_of(section).endswith("the others something else")
    facts.nodes["sf-2"]["cause"]["words"] = ""
    assert "something else" in text_of(next(page_of(facts).iter("section")))


def test_a_run_that_did_not_come_to_its_end_names_the_command():
    facts = Facts()
    facts.take("sf-1")
    words = text_of(page_of(facts))
    assert f"For what is left: {COMMAND}" in words and "It was not touched in this run." in words


def test_everything_is_escaped():
    evil = "<script>alert('1')</script> & \x1b[31m\x00"
    facts = Facts(2).broken()
    facts.names.append(evil)
    facts.add(evil, evil)
    facts.plan.update(order=facts.names, report=[f"warn  {evil}"])
    facts.nodes["sf-1"]["schema"]["backup"] = dict(path=evil, restore=evil)
    facts.nodes["sf-2"].update(restored=evil)
    facts.nodes["sf-2"]["failure"]["text"] = evil
    facts.nodes["sf-2"]["cause"].update(words=evil, step=evil)
    facts.probed([30])
    seen = facts.run["watch"]["seen"]
    seen["urls"], seen["failures"][0]["words"] = [evil], evil
    data = Gatherer(facts.hosts, facts.now).report(dict(user=evil, host=evil, run=evil))
    text = html_of(dict(data, file=evil))
    assert "<script" not in text and "\x1b" not in text and "\x00" not in text
    assert "<script>alert('1')</script> & ?[31m?" in text_of(ET.fromstring(text))


# ---- geometry

def lanes_of(page):
    """The bars of the picture by their height on the page, the inner ones left out."""
    svg = next(page.iter(f"{SVG}svg"))
    lanes = {}
    for rect in svg.iter(f"{SVG}rect"):
        if rect.get("class") not in ("level", "lost", "paused") and not rect.get("class").startswith("part "):
            lanes.setdefault(attribute(rect, "y"), []).append(rect)
    return lanes


def test_bars_do_not_overlap(roll):
    lanes = lanes_of(page_of(roll))
    places = sorted(lanes)
    assert all(below - above >= module.LANE for above, below in zip(places, places[1:])) and len(places) >= 2
    for rects in lanes.values():
        rects = sorted(rects, key=lambda rect: attribute(rect, "x"))
        assert all(attribute(rect, "x") + attribute(rect, "width") <= attribute(following, "x") + 0.002
                   for rect, following in zip(rects, rects[1:]))
        assert all(0 <= attribute(rect, "x") and attribute(rect, "x") + attribute(rect, "width") <= 100.001
                   for rect in rects)


def test_widths_are_times(roll):
    data = data_of(roll)
    drawn = picture(data)
    for node, lane in zip(data["nodes"], drawn["lanes"][1:]):
        assert lane["name"] == node["name"]
        widths = sum(item["width"] for item in lane["bars"] if not item["kind"].startswith("part"))
        seconds = sum(step["seconds"] for step in node["steps"])
        assert widths == pytest.approx(100 * seconds / data["seconds"], abs=0.01)


def test_parts_lie_within_their_step(roll):
    for lane in picture(data_of(roll))["lanes"]:
        outer = None
        for item in lane["bars"]:
            if item["kind"].startswith("part"):
                assert outer["x"] <= item["x"] and item["x"] + item["width"] <= outer["x"] + outer["width"] + 0.002
            else:
                outer = item


def test_the_curve_covers_the_whole_run(roll):
    data = data_of(roll)
    levels = picture(data)["curve"]["levels"]
    assert levels[0]["x"] == 0 and sum(level["width"] for level in levels) == pytest.approx(100, abs=0.05)
    total = data["availability"]["nodes"]
    for level in levels:
        assert level["height"] == pytest.approx(module.CURVE * level["count"] / total, abs=0.01)
        assert level["y"] + level["height"] == pytest.approx(module.GAP + module.CURVE, abs=0.01)


def test_everything_is_inside_the_picture(roll):
    svg = next(page_of(roll).iter(f"{SVG}svg"))
    height = attribute(svg, "height")
    for element in svg.iter():
        for name in ("y", "y1", "y2"):
            assert element.get(name) is None or 0 <= attribute(element, name) <= height
        assert element.get("height") is None or attribute(element, "height") >= 0


def test_notes_are_on_the_side_that_has_room():
    lanes = picture(data_of(ROLLS["thirty"]()))["lanes"]
    assert lanes[1]["note"]["right"] and not lanes[30]["note"]["right"]
    assert lanes[1]["note"]["words"] == "14.3 s"


def test_marks_are_round_and_apart():
    marks = Axis(NIGHT, NIGHT + 92).marks()
    assert [mark["words"] for mark in marks][:3] == ["03:53:15", "03:53:30", "03:53:45"] and len(marks) <= module.MARKS
    assert [mark["words"] for mark in Axis(NIGHT, NIGHT + 1000).marks()][:2] == ["03:55", "04:00"]
    assert len(Axis(NIGHT, NIGHT + 10 * 86400).marks()) <= 10


def test_a_run_that_took_no_time():
    assert Axis(NIGHT, NIGHT).at(NIGHT) == 0 and Axis(NIGHT, NIGHT).marks() in ([], [dict(x=0, words="03:53:03")])


def test_moments_outside_are_at_the_edge():
    axis = Axis(NIGHT, NIGHT + 10)
    assert (axis.at(NIGHT - 5), axis.at(NIGHT + 5), axis.at(NIGHT + 50)) == (0, 50, 100)


def test_a_long_pause_is_shortened():
    axis = Axis(NIGHT, NIGHT + 7300, [[NIGHT + 50, NIGHT + 7250]])
    pause = axis.span(NIGHT + 50, NIGHT + 7250)
    assert pause["width"] == pytest.approx(100 * 5 / 105, abs=0.01)
    assert axis.at(NIGHT + 50) == pytest.approx(100 * 50 / 105, abs=0.01)
    assert axis.at(NIGHT + 7300) == 100 and all(not 48 < mark["x"] < 52 for mark in axis.marks())


def test_a_short_pause_is_as_long_as_it_was():
    axis = Axis(NIGHT, NIGHT + 100, [[NIGHT + 50, NIGHT + 52], [NIGHT - 9, NIGHT - 5], [NIGHT + 5, NIGHT + 5]])
    assert axis.span(NIGHT + 50, NIGHT + 52) == dict(x=50, width=2)


def test_a_pause_is_shown():
    facts = Facts().rolled()
    facts.nodes["sf-2"]["pauses"] = [[NIGHT + 40, NIGHT + 50]]
    page = page_of(facts)
    assert "paused for 10.0 s" in text_of(page)
    assert any(rect.get("class") == "paused" for rect in page.iter(f"{SVG}rect"))


def test_failed_requests_are_scaled_to_the_worst_second():
    drawn = picture(data_of(ROLLS["thirty"]()))
    assert (drawn["worst"], drawn["step"]) == (2, "1 s")
    assert [drawing["height"] for drawing in drawn["failed"]] == [module.STRIP - 22, (module.STRIP - 22) / 2]
    assert picture(data_of(ROLLS["three"]()))["failed"] == []


def test_failed_requests_before_the_run_are_not_in_the_picture():
    assert picture(data_of(Facts().rolled().probed([-10])))["failed"] == []


def test_a_probe_that_still_runs_has_no_curve():
    facts = Facts().rolled().probed()
    seen = facts.run["watch"]["seen"]
    seen.update(before=None, since=None, p50=None, series=None, failures=[])
    assert picture(data_of(facts))["strip"] is None
    assert "in all requests" in text_of(page_of(facts)) and "p50 - " in text_of(page_of(facts))


def test_passed_over_and_schema_as_it_is():
    facts = Facts()
    facts.plan.update(order=["sf-3"], done=["sf-1", "sf-2"])
    facts.note("sf-1", "schema", facts.now, 1.0, module="schema", tables=[], widened=[])
    facts.take("sf-3")
    words = text_of(page_of(facts.finish()))
    assert "2 passed over" in words and "It was as the release wants it." in words


def test_the_notes_on_a_migration():
    facts = Facts()
    facts.nodes["sf-1"]["seen"]["node"]["distribution"] = "shakenfist"
    tables = [dict(table="cluster_operation_targets", before=1, after=2)]
    facts.note("sf-1", "schema", facts.now, 1.0, module="schema", tables=tables, widened=[])
    words = text_of(page_of(facts.finish()))
    assert "cluster_operation_targets version 1 to 2: operations that are in flight keep only their first" in words


def test_services_are_counted_where_they_are_rolled():
    words = text_of(page_of(Facts().services()))
    for part in ("services done 2 of 4 1 node passed over",
                 "longest out of service 52.0 s volume on sf-1, and before this run",
                 "fewest in service 2 of 5", "services in service", "in part", "2 of 5 in service from",
                 "scheduler out for 6.0 s, volume failed, out for 52.0 s, and before this run",
                 "scheduler out for 6.0 s, volume not touched"):
        assert part in words, part


def test_a_product_that_is_stopped_as_a_whole():
    words = text_of(page_of(ROLLS["tier"]()).find("body"))
    for part in ("ok Dragonflow, stopped as a whole", "everything down 17.8 s from 03:53:09 to 03:53:27 UTC",
                 "longest down 27.0 s server on sf-1", "services in service", "reconfigure", "1.8 s",
                 "Everything was down from 03:53:09 to 03:53:27 UTC, for 17.8 s. The first service was stopped at "
                 "03:53:05 UTC. All of them served again at 03:53:32 UTC, 27.0 s later.",
                 "A service counts as down from the start of its stop", "agent down for 18.0 s, server down for 27.0 s",
                 "Migrate Neutron's database, on sf-1: done",
                 "Migrate the north-bound database, on sf-1: mtu, qos; lport 328 updated",
                 "It has the database alone, not what was changed in etcd: Migrate the north-bound database."):
        assert part in words, part
    for part in ("rotation", "balancer", "drain", "not touched", "Schema", "not watched", "tier, rolling"):
        assert part not in words, part


def test_a_product_that_went_back_as_a_whole():
    words = text_of(page_of(ROLLS["back"]()))
    for part in ("went back", "agent went back, down for 18.0 s", "The database was restored from /srv/x.sql.",
                 "return to service"):
        assert part in words, part
    assert "not touched" not in words


DOWN = {"from": NIGHT + 5, "to": None, "seconds": None, "began": NIGHT + 2, "ended": None}


@pytest.mark.parametrize("down, words", [
    (None, ""),
    (DOWN, "Everything was down from 03:53:07 UTC on, and still was when the run ended. The first service was stopped "
           "at 03:53:04 UTC."),
    ({**DOWN, "to": NIGHT + 9, "seconds": 4, "began": NIGHT},
     "Everything was down from 03:53:07 to 03:53:11 UTC, for 4.0 s. Some of it was down already when this run began. "
     "Not all of them serve again."),
    ({**DOWN, "from": NIGHT, "began": NIGHT},
     "Everything was down already when this run began, and still was when it ended."),
    ({**DOWN, "from": NIGHT, "began": NIGHT, "to": NIGHT + 9, "seconds": 9, "ended": NIGHT + 12},
     "Everything was down already when this run began, and until 03:53:11 UTC, 9.0 s later. All of them served again "
     "at 03:53:14 UTC, 12.0 s after its start.")])
def test_how_long_everything_was_down(down, words):
    data = dict(data_of(ROLLS["tier"]()), down=down)
    assert " ".join(module.down_words(data)) == words
    page = text_of(ET.fromstring(html_of(data)))
    assert words in page and ("everything down" in page) is bool(down)


@pytest.mark.parametrize("kind, looked, moved, words", [
    ("services", False, False, "Migrations None was completed in this run. Backup"),
    ("services", False, True, "Migrations The schema was migrated. Backup"),
    ("tier", False, False, "Migrations No migration was run. Backup"),
    ("tier", False, True, "Migrations None was completed in this run. Backup"),
    ("tier", True, False, "Migrations None was completed in this run. Backup"),
    ("tier", True, True, "Migrations A migration was begun, and none was completed. Backup")])
def test_migrations_of_a_product(kind, looked, moved, words):
    data = dict(data_of(ROLLS["tier"]()), kind=kind)
    data["schema"].update(migrations=[], looked=looked, moved=moved)
    assert words in text_of(ET.fromstring(html_of(data)))


def test_new_packages_are_no_migration():
    facts = ROLLS["tier"]()
    facts.nodes["sf-1"]["schema"] = {}
    facts.nodes["sf-1"]["tier"].update(wrote=False, beyond="packages of sf-1 are those of 0.19")
    words = text_of(page_of(facts))
    assert "No migration was run. There is no way back: packages of sf-1 are those of 0.19." in words


def test_what_a_killed_run_has_left_down():
    """No service is down for less long than everything is."""
    words = text_of(page_of(Facts().as_a_whole(held=True)).find("body"))
    for part in ("longest down 30.2 s server on sf-1, and before this run",
                 "everything down 25.2 s of this run, and before it",
                 "agent down for 25.2 s, and before this run, server down for 30.2 s, and before this run"):
        assert part in words, part
    facts = Facts().as_a_whole(held=True)
    for record in facts.nodes.values():
        record.update(services={}, rolled=False)
    words = text_of(page_of(facts))
    assert "agent down, and before this run" in words and "everything down still since before this run" in words


def test_a_reboot_is_down_time_too():
    facts = Facts().as_a_whole()
    facts.plan["tier"] = dict(reboots=["sf-2"])
    facts.note("sf-2", "restart", facts.now, 40.0, module="boot_info")
    facts.note("sf-2", "gate", facts.now + 40, 2.0, module="standstill")
    facts.now += 42
    words = text_of(page_of(facts))
    assert "longest down 42.0 s all of sf-2, in its reboot" in words and "since its reboot" not in words
    assert "A reboot takes down all services of its node." in words


def test_a_node_that_is_not_whole_again_after_its_reboot():
    facts = Facts().as_a_whole()
    facts.plan["tier"] = dict(reboots=["sf-2"])
    facts.fail("sf-2", "", "gone", "gone", timing=dict(step="restart", began=facts.now, ended=facts.now + 40))
    facts.now += 41
    words = text_of(page_of(facts))
    assert "27.0 s later. Those of sf-2 were not seen to serve since its reboot." in words
    assert "longest down 27.0 s server on sf-1" in words and "3 of 5 in service from 03:53:44 to 03:54:25 UTC" in words


def test_hosts_have_nothing_of_other_products():
    words = text_of(page_of(ROLLS["hosts"]()).find("body"))
    for part in ("ok Ganeti, host by host", "3 nodes rebooted", "nodes in service", "out of service 13.0 s",
                 "from the start of the drain, which empties the host"):
        assert part in words, part
    for part in ("Schema", "Migrations", "rotation", "balancer", "release -"):
        assert part not in words, part


def test_a_host_that_a_killed_run_has_left_out():
    data = data_of(ROLLS["hosts"]())
    data["nodes"][0]["out"].update(began=NIGHT, seconds=17.5, before=True)
    words = text_of(ET.fromstring(html_of(data)))
    assert "longest out of service 17.5 s sf-1, and before this run" in words
    assert "sf-1 rolled 17.5 s, and before this run" in words


def test_guests_that_moved_are_no_warning():
    facts = ROLLS["hosts"]()
    assert "What was done" not in text_of(page_of(facts))
    facts.nodes["sf-1"]["done"] = ["Moved away from h1: web to h2"]
    data = data_of(facts)
    words = "What was done Moved away from h1: web to h2 Warnings None."
    assert words in text_of(ET.fromstring(html_of(data)))
    del data["done"]
    assert "Warnings None." in text_of(ET.fromstring(html_of(data)))


def test_no_node_serves():
    facts = Facts(1)
    facts.plan["serving"] = []
    assert "0 of 1" in text_of(page_of(facts.rolled()))


@pytest.mark.parametrize("data", [{}, {"failures": None}, None, "text"])
def test_what_is_no_report(data):
    with pytest.raises(AnsibleError, match="this is not the data of a report"):
        html_of(data)
