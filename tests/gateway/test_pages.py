"""The pages as HTML: foreign text stays text, the frame is whole, states have words."""

from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.core.links import session_link
from nexus_tray.gateway.site import home, pages
from nexus_tray.gateway.site.home import NOTES, View, age, money
from nexus_tray.model import (
    Activity,
    Hop,
    HopState,
    OpenCodeSession,
    PathHop,
    Question,
    QuestionKind,
    QuestionPart,
    Reason,
    SessionState,
)

from .site_world import SNAPSHOT, UI

REASON = Reason(code="x", hop=Hop.OPENCODE, what="W<b>", meaning="M&", cure='C"')
VOID = {"meta", "link", "input", "br"}


class Reader(HTMLParser):
    """Reads a page strictly: every element closed in order; keeps tags and attributes."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(page.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def shape(self) -> list[tuple[str, list[str]]]:
        return [(tag, list(attributes)) for tag, attributes in self.seen]


def view(activity: Activity | None = SNAPSHOT.activity, note: str = "", who: str = "Pixel") -> View:
    snapshot = msgspec.structs.replace(SNAPSHOT, activity=activity)
    return View(snapshot, "studio-pc", who, 1_795_000_000.0, note)


ALL = {
    "sign-in": pages.sign_in("pc", "/_nexus/"),
    "failed": pages.sign_in("pc", "/x?a=1&b=%22", failed=True),
    "no-password": pages.no_password("pc"),
    "ticket": pages.ask_for_ticket("pc", refused=True),
    "trouble": pages.trouble("Not now", "pc", REASON, back=True),
    "short": pages.short("Not here", "pc", "No such page."),
    "home": home.page(view()),
    "home-unknown": home.page(view(None)),
    "home-empty": home.page(view(Activity())),
    "home-note": home.page(view(note="answered")),
}


@pytest.mark.parametrize("name", ALL)
def test_every_page_is_whole_and_obeys_its_own_policy(name: str) -> None:
    page = Reader(ALL[name])
    tags = [tag for tag, _ in page.seen]
    assert tags[:2] == ["html", "head"]
    assert ("html", {"lang": "en"}) in page.seen
    assert "h1" in tags
    assert tags.count("main") == tags.count("title") == 1
    for tag, attributes in page.seen:
        assert tag != "style"
        assert "style" not in attributes
        assert not any(attribute.startswith("on") for attribute in attributes)
        for link in ("src", "href", "action"):
            assert (attributes.get(link) or "/").startswith("/")
        if tag == "script":
            assert attributes["src"] == "/_nexus/live.js"
        if tag == "form":
            assert attributes["method"] == "post"


@pytest.mark.parametrize("name", ALL)
def test_every_field_has_a_label_or_is_hidden(name: str) -> None:
    reader, inside = Reader(ALL[name]), 0
    for tag, attributes in reader.seen:
        if tag == "input" and attributes.get("type") not in ("hidden",):
            assert "aria-hidden" in attributes or inside > 0
        inside += tag == "label"


@pytest.mark.parametrize("state", list(HopState))
def test_a_state_has_a_word_a_shape_and_its_reason(state: HopState) -> None:
    hop = PathHop(hop=Hop.OPENCODE, state=state, text="", reason=REASON)
    snapshot = msgspec.structs.replace(SNAPSHOT, path=(hop,))
    page = home.page(View(snapshot, "pc", "Pixel", 0.0)).decode()
    assert home.OPENCODE_WORDS[state] in page
    assert ("W&lt;b&gt; M&amp; C&quot;" in page) == (state is not HopState.UP)
    assert len(set(home.OPENCODE_WORDS.values())) == len(HopState)


def test_styles_name_every_state() -> None:
    css = (UI / "style.css").read_text(encoding="utf-8")
    for state in ("up", "busy", "down", "off"):
        assert f".state.{state} {{" in css
    assert "url(" not in css
    assert "@import" not in css


NASTY = st.text(
    st.characters(codec="utf-8")
    | st.sampled_from("<>&\"'`/\\\x00\x1b\r\n\u202e\u2028</script><!--]]>"),
    max_size=40,
)


@given(NASTY, NASTY, NASTY)
def test_foreign_text_stays_text(title: str, detail: str, other: str) -> None:
    """Whatever sessions, questions and names say, the page has the elements it would have
    with harmless words, and its words hold nothing that acts."""

    def filled(title: str, detail: str, other: str) -> bytes:
        session = OpenCodeSession(
            id=other or "s", title=title or "t", directory=other, project=detail or "p",
            state=SessionState.IDLE,
        )  # fmt: skip
        parts = (QuestionPart(text=title, options=((detail, other or "d"),), multiple=True),)
        permission = Question(
            id=title, kind=QuestionKind.PERMISSION, session_id=other or "s", directory=other,
            title=other, detail=detail or "d",
        )  # fmt: skip
        question = Question(
            id=other, kind=QuestionKind.QUESTION, session_id="", directory=detail,
            title=title, parts=parts,
        )  # fmt: skip
        activity = Activity(sessions=(session,), questions=(permission, question))
        return home.page(view(activity, note=title, who=other))

    nasty, harmless = Reader(filled(title, detail, other)), Reader(filled("t", "d", "o"))
    assert nasty.shape() == harmless.shape()
    kept = nasty.words.replace("\n", "")
    assert not any(c in kept for c in "\x00\x1b\r\u202e\u2028")
    for tag, attributes in nasty.seen:
        if tag == "a":
            assert (attributes["href"] or "").startswith("/")
            assert not (attributes["href"] or "").startswith("//")


def test_a_command_is_shown_whole_line_by_line_with_its_tricks_spelled_out() -> None:
    question = Question(
        id="p", kind=QuestionKind.PERMISSION, session_id="", directory="/x", title="bash",
        detail="echo safe\nrm -rf ~ \u202e# eruces\x1b[2K\r" + "x" * 9000,
    )  # fmt: skip
    page = home.page(view(Activity(questions=(question,)))).decode()
    assert ">echo safe\nrm -rf ~ \\u202e# eruces\\x1b[2K\\r" + "x" * 9000 + "</pre>" in page


def test_waiting_comes_first_then_working_then_the_newest() -> None:
    def one(name: str, state: SessionState, at: float | None) -> OpenCodeSession:
        return OpenCodeSession(
            id=name, title=name, directory="/", project="p", state=state, updated_at=at
        )

    s = SessionState
    mixed = (one("F", s.UNKNOWN, 9), one("E", s.IDLE, None), one("D", s.IDLE, 1),
             one("C", s.IDLE, 5), one("B", s.WORKING, 0), one("A", s.WAITING, 0))  # fmt: skip
    page = home.fragment(view(Activity(sessions=mixed))).decode()
    assert [c for c in page.split("<b>")[1:] for c in c[0]] == list("ABCDEF")


@pytest.mark.parametrize("note", NOTES)
def test_notes_have_words(note: str) -> None:
    assert NOTES[note][1] in home.page(view(note=note)).decode()


@pytest.mark.parametrize(
    ("cost", "text"),
    [(None, "$ —"), (0.0, "$0.00"), (0.004, "< $0.01"), (0.005, "$0.01"), (1234.5, "$1,234.50")],
)
def test_money(cost: float | None, text: str) -> None:
    assert money(cost) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "just now"), (59, "just now"), (60, "1 min ago"), (7199, "1 h ago"), (200000, "2 d ago")],
)
def test_age(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("folder", "session_id", "link"),
    [
        ("/home/ada", "ses_1", "/L2hvbWUvYWRh/session/ses_1"),
        ("", "ses_1", "/"),
        ("/tmp/ü?>", "", "/L3RtcC_DvD8-/session"),
        ("C:\\work", "../x", "/Qzpcd29yaw/session/..%2Fx"),
    ],
)
def test_links_into_opencode(folder: str, session_id: str, link: str) -> None:
    assert session_link(folder, session_id) == link


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    line = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * line[0] + 0.7152 * line[1] + 0.0722 * line[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def schemes(css: str) -> list[dict[str, str]]:
    """The colours of :root, light and then dark."""
    found = []
    for block in css.split(":root {")[1:3]:
        pairs = (part.split(":", 1) for part in block.split("}")[0].split(";") if "--" in part)
        found.append({name.strip(): value.strip() for name, value in pairs})
    return found


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_contrast_is_enough_for_wcag_aa(scheme: int) -> None:
    """WCAG 2.2 1.4.3: 4.5 for text; 1.4.11: 3 for the borders of controls."""
    colours = schemes(Path(UI / "style.css").read_text(encoding="utf-8"))[scheme]
    pairs = [("--ink", g) for g in ("--up-wash", "--busy-wash", "--down-wash", "--paper", "--sunk")]
    pairs += [("--dim", ground) for ground in ("--paper", "--sheet", "--busy-wash")]
    pairs += [(state, "--sheet") for state in ("--up", "--busy", "--down", "--off", "--accent")]
    pairs += [("--busy", "--busy-wash"), ("--up", "--paper"), ("--down", "--paper")]
    pairs += [("--on-accent", "--accent"), ("--off", "--paper"), ("--accent", "--paper")]
    for text, ground in pairs:
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for ground in ("--sheet", "--paper", "--busy-wash"):
        assert contrast(colours["--edge"], colours[ground]) >= 3.0, ("--edge", ground)
