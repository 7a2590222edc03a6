"""Who moved how much, and how much who may: accounts, lists, buckets. Tables and walks."""

from pathlib import Path

from .doubles import eventually, house, tunnel_request


def test_usage_is_counted_for_who_moved_it_and_taken_once(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.site.sign_in("bob")
        asked = tunnel_request("GET", "/x")
        client = home.tunnel()
        for _ in range(3):
            client.send(asked)
            answer = client.answer()
            assert answer.status == 200
        bob = tunnel_request("GET", "/x", cookie="bob")
        client.send(bob)
        client.answer()
        stranger = tunnel_request("GET", "/x", cookie=None)
        home.ask(stranger)
        taken = home.gateway.take_usage()
        assert taken["id-ada"][0] == 3 * len(asked)
        assert taken["id-bob"][0] == len(bob)
        assert taken["id-ada"][1] == 3 * taken["id-bob"][1] > 0
        assert set(taken) == {"id-ada", "id-bob"}
        assert home.gateway.take_usage() == {}


def test_what_passes_after_taking_is_not_lost(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        client = home.tunnel()
        asked = tunnel_request(
            "POST", "/x", "Content-Length: 1000", "Origin: https://quiet-river.trycloudflare.com"
        )
        client.send(asked)
        total = [0]

        def counted(wanted: int) -> bool:
            total[0] += home.gateway.take_usage().get("id-ada", (0, 0))[0]
            return total[0] == wanted

        eventually(lambda: counted(len(asked)))
        client.send(b"x" * 1000)
        eventually(lambda: counted(len(asked) + 1000))
