"""The script that trains what ships checks what it is asked for before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest
import train_models

from sim.errors import UnknownNameError


@pytest.mark.parametrize(
    ("only", "kinds", "match"),
    [
        (("planar2", "ur5"), ("mdn",), "unknown arm 'ur5'; allowed: planar2, planar3, ur5e"),
        (("planar2",), ("mdn", "k2"), "unknown kind 'k2'; allowed: mdn, mse, k1, proposer, reach"),
    ],
)
def test_wrong_names_are_refused_before_anything_is_trained(
    only: tuple[str, ...], kinds: tuple[str, ...], match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    monkeypatch.setattr(train_models.train_command, "run", lambda arm, **_: trained.append(arm))
    with pytest.raises(UnknownNameError, match=match):
        train_models.main(only, kinds, runs=tmp_path)
    assert not trained
