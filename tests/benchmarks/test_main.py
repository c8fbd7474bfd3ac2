"""The command line."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import parse
from benchmarks.peers import OURS, all_peers
from benchmarks.workloads import WORKLOADS


def test_everything_by_default() -> None:
    """All workloads, all peers."""
    options = parse([])
    assert options.only == tuple(WORKLOADS)
    assert options.peers == ()


def test_quick_is_one_round_of_one_second() -> None:
    """Whatever else is asked."""
    options = parse(["--quick", "--rounds", "9", "--only", "cold", "--peers", "gateway,nginx"])
    assert (options.rounds, options.seconds, options.only, options.peers) == (1, 1.0, ("cold",), ("gateway", "nginx"))


def test_the_run_is_bounded() -> None:
    """A slip of the finger does not measure all night."""
    options = parse(["--rounds", "1000", "--seconds", "1e9"])
    assert (options.rounds, options.seconds) == (20, 60.0)


@pytest.mark.parametrize("wrong", [["--only", "nonsense"], ["--peers", "apache"]])
def test_unknown_names_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 2 and the name."""
    with pytest.raises(SystemExit) as refusal:
        parse(wrong)
    assert refusal.value.code == 2
    assert wrong[1] in capsys.readouterr().err


def test_ours_comes_first_and_names_are_unique() -> None:
    """Ratios are to ours."""
    names = [peer.name for peer in all_peers()]
    assert names[0] == OURS
    assert len(set(names)) == len(names)
