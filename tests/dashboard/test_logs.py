"""The log page in a real browser, over the product's own log store."""

import csv
import io
import json
import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Download, Page, Route, expect

from nexus_tray.model import Level, LogQuery
from nexus_tray.paths import Paths
from nexus_tray.store.files import ensure_private_dir
from nexus_tray.store.log_file import LogFile
from tests.api.doubles import until
from tests.dashboard.conftest import Desk

MANY = 1_000_000
AT = 1_790_000_000


def fill(desk: Desk, count: int) -> None:
    """Lines of four sources and all levels, stored when this returns."""
    logs = desk.house.logs
    levels = list(Level)
    for number in range(count):
        source = ("opencode", "gateway", "quick", "nexus-tray")[number % 4]
        logs._store.append(source, levels[number % 4], f"line {number} of many")
    until(lambda: logs.query(LogQuery(limit=1)).last_id >= count)


def rows(page: Page) -> list[str]:
    return page.locator(".line .text").all_inner_texts()


def test_it_shows_the_newest_lines_and_follows(desk: Desk) -> None:
    fill(desk, 300)
    page = desk.open("/logs")
    expect(page.get_by_text("300 lines")).to_be_visible()
    expect(page.get_by_text("line 299 of many")).to_be_in_viewport()
    desk.house.logs.add("the newest of all")
    expect(page.get_by_text("the newest of all")).to_be_in_viewport()
    expect(page.get_by_text("301 lines")).to_be_visible()


def test_scrolling_up_stops_following_and_says_what_is_new(desk: Desk) -> None:
    fill(desk, 300)
    page = desk.open("/logs")
    expect(page.get_by_text("line 299 of many")).to_be_in_viewport()
    page.locator(".log").hover()
    page.mouse.wheel(0, -1500)
    follow = page.get_by_role("button", name="Follow")
    expect(follow).to_have_attribute("aria-pressed", "false")
    before = rows(page)
    desk.house.logs.add("one more")
    desk.house.logs.add("two more")
    expect(page.get_by_text("2 new lines")).to_be_visible()
    assert rows(page) == before
    page.get_by_text("2 new lines").click()
    expect(page.get_by_text("two more")).to_be_in_viewport()
    expect(follow).to_have_attribute("aria-pressed", "true")


def test_filters_are_the_apis_and_stand_in_the_address(desk: Desk) -> None:
    fill(desk, 200)
    desk.house.logs.add("Permission denied for 10.0.0.7", "quick", Level.ERROR)
    page = desk.open("/logs?source=quick")
    expect(page.get_by_text("51 lines match")).to_be_visible()
    page.get_by_label("Level").select_option("error")
    expect(page.get_by_text("1 line matches")).to_be_visible()
    assert "level=error" in page.url
    assert "source=quick" in page.url
    page.get_by_label("Level").select_option("debug")
    page.get_by_label("Source").select_option("")
    page.get_by_role("searchbox").fill("permission")
    expect(page.get_by_text("1 line matches")).to_be_visible()
    expect(page.locator("mark")).to_have_text("Permission")
    page.get_by_role("searchbox").fill("")
    page.get_by_role("button", name="Search by regular expression").click()
    page.get_by_role("searchbox").fill(r"line 1?99 of|10\.0")
    expect(page.get_by_text("3 lines match")).to_be_visible()
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.reload()
    expect(page.get_by_text("3 lines match")).to_be_visible()
    page.get_by_role("searchbox").fill("(")
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_role("searchbox").fill("nothing-like-this")
    expect(page.get_by_text("No line matches.")).to_be_visible()


def test_a_filtered_list_grows_backwards_as_it_is_scrolled(desk: Desk) -> None:
    fill(desk, 6000)
    page = desk.open("/logs?words=many&source=opencode")
    expect(page.get_by_text("lines match so far")).to_be_visible()
    page.locator(".log").focus()
    for _ in range(12):
        page.keyboard.press("Home")
        if page.get_by_text("1,500 lines match", exact=True).count():
            break
        page.wait_for_timeout(100)
    expect(page.get_by_text("1,500 lines match", exact=True)).to_be_visible()
    page.keyboard.press("Home")
    expect(page.get_by_text("line 0 of many")).to_be_in_viewport()


def test_a_line_is_chosen_by_keys_shown_whole_copied_and_linked_to(desk: Desk) -> None:
    desk.context.grant_permissions(["clipboard-read", "clipboard-write"])
    fill(desk, 300)
    long = desk.house.logs.add("begin " + "x" * 5000 + " \x1b[31mend")
    page = desk.open("/logs")
    expect(page.get_by_text("301 lines")).to_be_visible()
    page.locator(".log").focus()
    page.keyboard.press("ArrowUp")
    expect(page.locator(f"#line-{long.id}")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("c")
    until(lambda: "end" in page.evaluate("navigator.clipboard.readText()"))
    page.keyboard.press("Enter")
    whole = page.get_by_role("region", name="The chosen line")
    assert (whole.locator("pre").inner_text()).endswith("x \\x1b[31mend")
    page.keyboard.press("ArrowUp")
    expect(whole.locator("pre")).to_have_text("line 299 of many")
    whole.get_by_role("button", name="Copy a link to the line").click()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.endswith("/#/logs?line=300")
    page.goto(desk.server.url)
    page.goto(link)
    expect(whole.locator("pre")).to_have_text("line 299 of many")
    expect(page.locator("#line-300")).to_be_in_viewport()


def test_a_time_is_gone_to(desk: Desk) -> None:
    fill(desk, 300)
    page = desk.open("/logs")
    expect(page.get_by_text("line 299 of many")).to_be_in_viewport()
    page.get_by_label("Time to go to").fill("2020-01-01T00:00:00")
    page.get_by_role("button", name="Go to time").click()
    expect(page.get_by_text("line 0 of many")).to_be_in_viewport()
    expect(page.locator(".chosen .text")).to_have_text("line 0 of many")


def exported(page: Page, form: str) -> str:
    page.get_by_label("Format of the export").select_option(form)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    path = Path(download.value.path())
    return path.read_bytes().decode()


def test_an_export_is_exactly_what_is_filtered_and_harmless(desk: Desk) -> None:
    """SECURITY.md 31, through the browser's own download."""
    nasty = ["=cmd|' /C calc'!A0", "+1+1", "-2", "@SUM(1)", "\t=1", "a\r\nb\x1b[2J",
             '","=1+1","', " =1; \t+2", "\uff1d1"]  # fmt: skip
    fill(desk, 100)
    for text in nasty:
        desk.house.logs.add(text, "quick", Level.ERROR)
    page = desk.open("/logs?source=quick&level=error")
    expect(page.get_by_text(f"{len(nasty)} lines match")).to_be_visible()
    table = list(csv.reader(io.StringIO(exported(page, "csv"), newline="")))
    assert [row[3] for row in table[1:]] == [
        "'=cmd|' /C calc'!A0", "'+1+1", "'-2", "'@SUM(1)", "'\t=1", "a\\r\\nb\\x1b[2J",
        '","=1+1","', "' =1; \t+2", "'\uff1d1",
    ]  # fmt: skip
    plain = exported(page, "text").splitlines()
    assert len(plain) == len(nasty)
    assert all(line.split(" ")[1:3] == ["quick", "error"] for line in plain)
    assert [json.loads(line)["text"] for line in exported(page, "jsonl").splitlines()] == nasty


INERT = {
    "html": "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>",
    "entity": "&lt;b&gt; &amp; </span></div></body>",
    "escapes": "\x1b]0;pwned\x07\x1b[31mred\x1b[0m\x9b2J",
    "returns": "one\rtwo\r\nthree\n\nfour\u2028five\u0085six",
    "bidi": "user\u202egpj.exe\u2066 \ufeff\u200f",
    "bad utf-8": b"caf\xe9 \xff\xfe \xc0\x80".decode("utf-8", "replace"),
    "surrogates": b"\xed\xa0\x80 half".decode("utf-8", "surrogatepass"),
    "megabyte": "<b>" + "m" * 1_000_000,
    "template": "${alert(1)} {{constructor.constructor('alert(1)')()}} `x`",
    "address": "javascript:alert(1) data:text/html,<script>alert(1)</script>",
}


def test_whatever_a_program_prints_is_inert(desk: Desk) -> None:
    """SECURITY.md 30: one event is one line, and nothing of it acts, in list and detail."""
    for text in INERT.values():
        desk.house.logs.add(text)
    page = desk.open("/logs?words=")
    dialogs: list[Dialog] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog))
    expect(page.get_by_text(f"{len(INERT)} lines")).to_be_visible()
    expect(page.locator(".line .text")).to_have_count(len(INERT))
    shown = [cell.evaluate("e => e.textContent") for cell in page.locator(".line .text").all()]
    assert not any(re.search("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u202e\u2066\ufeff]", t)
                   for t in shown)  # fmt: skip
    assert shown[0] == INERT["html"]
    assert shown[2] == "\\x1b]0;pwned\\x07\\x1b[31mred\\x1b[0m\\x9b2J"
    assert shown[3] == "one\\rtwo\\r\\nthree\\n\\nfour\\u2028five\\x85six"
    assert len({round(r["height"]) for r in boxes(page)}) == 1, "one line is one row"
    assert page.locator(".log img, .log script, .log b").count() == 0
    for index in range(len(INERT)):
        page.locator(".line[role=option]").nth(index).click()
        if index == 0:
            page.locator(".line[role=option]").nth(index).click()
        pre = page.get_by_role("region", name="The chosen line").locator("pre")
        expect(pre).to_have_count(1)
        assert pre.locator("img, script, b").count() == 0
        assert "\x1b" not in (pre.text_content() or "")
    assert page.title() == "Logs · Nexus Tray"
    assert dialogs == []


def boxes(page: Page) -> list[dict[str, float]]:
    found: list[dict[str, float]] = page.locator(".line[role=option]").evaluate_all(
        "rows => rows.map(r => ({height: r.getBoundingClientRect().height}))"
    )
    return found


@pytest.fixture
def many(paths: Paths) -> int:
    """A log of a million lines, written before the house opens it."""
    ensure_private_dir(paths.data)
    file = LogFile(paths.log_database, 10_000_000_000)
    for start in range(0, MANY, 10_000):
        file.insert([
            (n + 1, (AT + n) * 1000, "opencode", 1, f"line {n} of")
            for n in range(start, start + 10_000)
        ])  # fmt: skip
    file.close()
    return MANY


def test_a_million_lines_are_scrolled_smoothly(many: int, desk: Desk) -> None:
    """Any place is shown at once, the page holds a screenful, and a drawing takes a frame."""
    page = desk.open("/logs")
    expect(page.get_by_text("1,000,000 lines")).to_be_visible()
    expect(page.get_by_text("line 999999 of")).to_be_in_viewport()
    log = page.locator(".log")
    for share in (0.0, 0.25, 0.5, 0.9371):
        began = time.monotonic()
        log.evaluate("(e, s) => { e.scrollTop = (e.scrollHeight - e.clientHeight) * s; }", share)
        row = page.locator(".line[role=option]").nth(20)
        expect(row).to_have_attribute("aria-posinset", near(share * many), timeout=3000)
        assert time.monotonic() - began < 3
        assert log.locator(".line").count() < 120
    # By the wheel it goes line by line, whatever the scale of the bar is.
    log.hover()
    first = top_row(page)
    for _ in range(10):
        page.mouse.wheel(0, 100)
    until(lambda: 30 < top_row(page) - first < 70)
    slowest = log.evaluate(SCROLL_MEASURE)
    # far from what drawing every line would take, and from what a busy machine adds
    assert slowest < 500, f"{slowest:.1f} ms for one drawing"
    log.focus()
    page.keyboard.press("Home")
    expect(page.get_by_text("line 0 of")).to_be_in_viewport()
    page.keyboard.press("End")
    expect(page.get_by_text("line 999999 of")).to_be_in_viewport()
    page.get_by_label("Time to go to").fill(local(page, AT + 123_456))
    page.get_by_role("button", name="Go to time").click()
    expect(page.locator(".chosen .text")).to_have_text(re.compile(r"line 123456 of"))


def near(number: float) -> re.Pattern[str]:
    """A position near this one."""
    low = max(1, int(number) - 120)
    return re.compile("|".join(f"^{n}$" for n in range(low, low + 260)))


def top_row(page: Page) -> int:
    """The position of the first row that is wholly in sight."""
    found: int = page.locator(".log").evaluate("""box => {
        const top = box.getBoundingClientRect().top;
        const rows = [...box.querySelectorAll('.line[role=option]')];
        return Math.min(...rows.filter(r => r.getBoundingClientRect().top >= top - 1)
            .map(r => Number(r.getAttribute('aria-posinset'))));
    }""")
    return found


SCROLL_MEASURE = """async box => {
    const taken = [];
    for (let step = 0; step < 60; step += 1) {
        const began = performance.now();
        box.scrollTop += 37;
        box.dispatchEvent(new Event('scroll'));
        await new Promise(done => queueMicrotask(done));
        await new Promise(done => setTimeout(done));
        box.getBoundingClientRect();
        taken.push(performance.now() - began);
    }
    return taken.sort((a, b) => a - b)[Math.floor(taken.length * 0.9)];
}"""


def local(page: Page, at: float) -> str:
    """An instant as the browser's own field wants it."""
    found: str = page.evaluate(
        "at => { const d = new Date(at * 1000);"
        " d.setMinutes(d.getMinutes() - d.getTimezoneOffset());"
        " return d.toISOString().slice(0, 19); }",
        at,
    )
    return found


@pytest.fixture
def some(paths: Paths) -> int:
    """A log of 50,000 lines, written before the house opens it."""
    ensure_private_dir(paths.data)
    file = LogFile(paths.log_database, 10_000_000_000)
    file.insert([(n + 1, (AT + n) * 1000, "quick", 1, f"line {n} of") for n in range(50_000)])
    file.close()
    return 50_000


def test_scrolling_keeps_the_page_at_hand_and_an_export_can_be_stopped(
    some: int, desk: Desk
) -> None:
    """No task of 100 ms (50 on a quiet machine: none) by wheel or bar; Cancel saves nothing."""
    page = desk.open("/logs")
    expect(page.get_by_text(f"{some:,} lines")).to_be_visible()
    page.evaluate("""() => {
        window.tasks = [];
        new PerformanceObserver(list => list.getEntries().forEach(e => tasks.push(e.duration)))
            .observe({type: 'longtask'});
    }""")
    log = page.locator(".log")
    log.hover()
    for _ in range(60):
        page.mouse.wheel(0, -240)
    for share in range(0, 100, 7):
        log.evaluate("(e, s) => { e.scrollTop = e.scrollHeight * s / 100; }", share)
    assert [task for task in page.evaluate("tasks") if task > 100] == []
    saved: list[Download] = []
    page.on("download", lambda download: saved.append(download))
    held: list[Route] = []
    page.route(
        "**/logs/export*", lambda route: held.append(route)
    )  # or it might be over before the click
    page.get_by_role("button", name="Export").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Export")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert saved == []
    page.unroute_all()
    page.get_by_role("searchbox").fill("line 4999")
    expect(page.get_by_text("11 lines match")).to_be_visible()
    assert len(exported(page, "text").splitlines()) == 11


def test_an_export_tells_how_far_it_is(some: int, desk: Desk) -> None:
    page = desk.open("/logs")
    page.get_by_role("searchbox").fill("line 4999")
    expect(page.get_by_text("11 lines match")).to_be_visible()
    exported(page, "text")
    expect(page.get_by_role("status")).to_contain_text("Exported 11 lines, ")
    page.evaluate("""() => {
        const real = window.fetch;  // what has come is read, and the rest is still to come
        window.fetch = async (...given) => {
            const answer = await real(...given);
            if (!String(given[0].url || given[0]).includes('/export')) return answer;
            const first = (await answer.text()).split('\\n').slice(0, 4).join('\\n') + '\\n';
            const body = new ReadableStream({
                start: (to) => to.enqueue(new TextEncoder().encode(first)),
            });
            return new Response(body, { headers: answer.headers });
        };
    }""")
    page.get_by_role("button", name="Export").click()
    expect(page.get_by_text(re.compile(r"4 of at most \d[\d,]* lines"))).to_be_visible()
    page.get_by_role("button", name="Cancel").click()


def test_that_lines_are_being_lost_is_said(some: int, desk: Desk) -> None:
    trouble = {
        "code": "log-failed",
        "hop": "gateway",
        "what": "The logs could not be stored: full.",
        "meaning": "Lines are missing.",
        "cure": "Look whether the disk is full.",
    }

    def lossy(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "trouble": trouble})

    page = desk.page
    page.route(re.compile(r"/logs\?.*after="), lossy)
    page = desk.open("/logs")
    desk.house.logs.add("one more")
    expect(page.get_by_role("alert")).to_contain_text("The logs could not be stored")
    expect(page.get_by_role("alert")).to_contain_text("Look whether the disk is full.")
