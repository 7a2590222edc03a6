"""Numbers keep meaning what they meant; hosts learn exactly what changed."""

from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.commands import OpenDoor, Shutdown
from nexus_tray.desktop.dbusmenu import ROOT, Change, Layout, Tree
from nexus_tray.desktop.items import Browse, Item, Submit

QUIT = Item("quit", "Quit", Submit(Shutdown()))
OPEN = Item("open", "Open_it", Browse(OpenDoor()))
SUB = Item("sub", "More", items=(OPEN, Item("line"), QUIT))


def numbers(tree: Tree) -> dict[str, int]:
    """Number of each top entry by its label."""
    _, _, children = tree.layout(ROOT, 1)
    return {child[1].get("label", ("s", ""))[1]: child[0] for _, child in children}


def test_the_layout_is_as_the_protocol_says() -> None:
    tree = Tree()
    assert tree.show((SUB,)) == Change(layout=True)
    number, properties, children = tree.layout(ROOT, -1)
    assert (number, properties) == (ROOT, {"children-display": ("s", "submenu")})
    [(signature, (_, more, below))] = children
    assert signature == "(ia{sv}av)"
    assert more["children-display"] == ("s", "submenu")
    labels = [child[1].get("label") for _, child in below]
    assert labels == [("s", "Open__it"), None, ("s", "Quit")]
    assert below[1][1][1]["type"] == ("s", "separator")


def test_depth_is_kept() -> None:
    tree = Tree()
    tree.show((SUB,))
    assert tree.layout(ROOT, 0)[2] == []
    assert tree.layout(ROOT, 1)[2][0][1][2] == []
    assert len(tree.layout(ROOT, 2)[2][0][1][2]) == 3


def test_a_new_label_is_told_without_a_new_layout() -> None:
    tree = Tree()
    tree.show((QUIT, OPEN))
    revision = tree.revision
    there = numbers(tree)["Quit"]
    change = tree.show((Item("quit", "Quit now", QUIT.action), OPEN))
    assert change == Change(properties=((there, {"label": ("s", "Quit now")}),))
    assert tree.revision == revision
    assert tree.show((Item("quit", "Quit now", QUIT.action), OPEN)) == Change()


def test_a_click_that_comes_late_never_hits_another_entry() -> None:
    """The question was answered elsewhere; "Allow" moves up to where "Reject" was."""
    tree = Tree()
    tree.show((OPEN, QUIT))
    aimed = numbers(tree)["Open__it"]
    assert tree.show((QUIT,)).layout
    assert tree.action(aimed) is None
    tree.show((OPEN, QUIT))
    assert tree.action(aimed) is None, "the number was given again"


def test_a_text_or_a_submenu_does_nothing() -> None:
    tree = Tree()
    tree.show((Item("state", "Reachable"), SUB))
    assert [tree.action(number) for number in (ROOT, *numbers(tree).values())] == [None] * 3
    assert tree.action(-1) is None


ITEMS = st.recursive(
    st.builds(
        Item, key=st.integers().map(str), label=st.sampled_from(["", "a", "b"]),
        action=st.sampled_from([None, QUIT.action, OPEN.action]),
        checked=st.sampled_from([None, True, False]),
    ),
    lambda below: st.builds(
        Item, key=st.integers().map(str), label=st.just("sub"),
        items=st.lists(below, max_size=3).map(tuple),
    ),
    max_leaves=8,
)  # fmt: skip


def flat(items: tuple[Item, ...]) -> list[Item]:
    return [found for item in items for found in (item, *flat(item.items))]


MENUS = (
    st.lists(ITEMS, max_size=5)
    .map(tuple)
    .filter(lambda items: len({i.key for i in flat(items)}) == len(flat(items)))
)


@given(st.lists(MENUS, min_size=2, max_size=5))
def test_a_host_that_applies_what_it_is_told_shows_the_menu(menus: list[tuple[Item, ...]]) -> None:
    tree = Tree()
    shown: dict[int, dict[str, object]] = {}
    _collect(tree.layout(ROOT, -1), shown)
    key_of: dict[int, str] = {}
    for menu in menus:
        change = tree.show(menu)
        if change.layout:
            shown = {}
            _collect(tree.layout(ROOT, -1), shown)
        for number, properties in change.properties:
            shown[number].update(properties)
        assert shown == {number: dict(found) for number, found in tree.group(())}
        for key, number in tree._numbers.items():
            assert key_of.setdefault(number, key) == key, "a number means two entries"


def _collect(node: Layout, into: dict[int, dict[str, object]]) -> None:
    number, properties, children = node
    into[number] = dict(properties)
    for _, child in children:
        _collect(child, into)
