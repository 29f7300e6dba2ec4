"""The variants of k8s/, rendered once for all tests."""

import pytest

from tests.kubernetes.rendering import VARIANTS, Rendered, command, variants


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rendered]:
    """All of VARIANTS by name."""
    if command() is None:
        pytest.skip("neither kubectl nor kustomize is here: only the files themselves are checked")
    return variants(tmp_path_factory.mktemp("k8s"))


@pytest.fixture(params=sorted(VARIANTS))
def variant(request: pytest.FixtureRequest, rendered: dict[str, Rendered]) -> Rendered:
    """Each of them in turn."""
    return rendered[request.param]
