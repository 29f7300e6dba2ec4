"""Lists to what the engine loads."""

import adblock

from gateway.adblock.compiling import compiled


def test_lists_stand_together_and_lines_that_are_no_filters_are_left() -> None:
    engine = adblock.Engine(adblock.FilterSet())
    engine.deserialize(
        compiled(["||ads.example^\nnot a filter $$$,,,\n! a comment", "@@||ads.example/wanted.js$script"])
    )
    assert engine.check_network_urls("https://ads.example/x.js", "https://a.example/", "script").matched
    assert not engine.check_network_urls("https://ads.example/wanted.js", "https://a.example/", "script").matched
