from gateway.tenancy.secret import digest, same


def test_same() -> None:
    assert same("ä", "ä")
    assert not same("a", "ä")
    assert not same("", "a")


def test_a_digest_does_not_say_what_it_is_of() -> None:
    assert digest("secret") == digest("secret") != digest("secret ")
    assert "secret" not in digest("secret")
    assert len(digest("\udcff")) == 64
