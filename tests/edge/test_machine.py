"""
Random exchanges through the gateway, step by step: `tests.edge.exchanges` says what may happen and what must hold.

Hypothesis looks for what nobody thought of; the walks, with weights of their own, do much of what happens every day, at once.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.edge.exchanges import BAD_HEADS, FRAMING, KIND, METHOD, PATH, PIECE, SIZE, Exchanges

EXAMPLES = int(os.environ.get("GATEWAY_MACHINE", "0"))
"""How many runs; 0: as many as the suite has time for, the same ones each time."""
GOOD_KINDS = KIND[:13]
WHOLE = 1 << 20


@pytest.fixture(autouse=True)
def world() -> Iterator[None]:
    """Ends the gateway of all runs after the last."""
    yield
    if Exchanges.world is not None:
        Exchanges.world.close()
        Exchanges.world = None


@pytest.mark.timeout(0 if EXAMPLES else 60)
def test_whatever_happens_each_answer_is_its_own_requests() -> None:
    """``GATEWAY_MACHINE=20000`` runs it for longer, with other numbers each time, and shrinks what it finds."""
    chosen = settings(
        max_examples=EXAMPLES or 150, stateful_step_count=40, deadline=None, database=None, derandomize=not EXAMPLES,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate, *([Phase.shrink] if EXAMPLES else [])],
    )  # fmt: skip
    run_state_machine_as_test(Exchanges, settings=chosen)


STEPS = {
    "ask": 12, "say_more": 5, "answer": 12, "answer_more": 6, "connect": 2, "ask_badly": 0.6, "leave": 0.7, "upstream_ends": 0.8,
    "upstream_speaks_unasked": 0.4, "time_passes": 0.4, "store_stalls": 0.3, "store_answers": 1, "client_reads": 0.6,
}  # fmt: skip
"""What happens how often."""


def a_step(rng: random.Random) -> tuple[str, dict[str, Any]]:
    """The next thing to happen."""
    name = rng.choices(list(STEPS), list(STEPS.values()))[0]
    arguments: dict[str, Any] = {"which": rng.randrange(10)}
    piece = WHOLE if rng.random() < 0.8 else rng.choice(PIECE)
    match name:
        case "ask":
            arguments |= {
                "method": rng.choice(METHOD), "size": rng.choice(SIZE), "framing": rng.choice(FRAMING),
                "path": rng.choice(PATH[:4] if rng.random() < 0.85 else PATH), "version": rng.choice(["1.1"] * 15 + ["1.0"]),
                "connection": "" if rng.random() < 0.9 else rng.choice(["keep-alive", "close"]),
                "expect": rng.random() < 0.1, "spoiled": rng.random() < 0.05, "first": piece,
            }  # fmt: skip
            if arguments["framing"] != "none" and rng.random() < 0.3:
                arguments["first"] = rng.choice([100, 150, 1000])  # its head, and a part of its body
        case "ask_badly":
            arguments |= {"bad": rng.choice(BAD_HEADS), "first": piece}
        case "say_more" | "answer_more":
            arguments |= {"size": piece}
        case "answer":
            kind = rng.choice(GOOD_KINDS if rng.random() < 0.9 else KIND)
            arguments |= {"kind": kind, "size": rng.choice(SIZE), "first": piece, "early": rng.random() < 0.4}
        case "leave":
            arguments |= {"how": rng.choice(["eof", "eof", "close", "reset"])}
        case "upstream_ends":
            arguments |= {"how": rng.choice(["close", "close", "reset", "eof"])}
        case "client_reads":
            arguments |= {"reads": rng.random() < 0.6}
        case "connect" | "store_stalls" | "store_answers":
            arguments = {}
    return name, arguments


def follow(steps: list[tuple[str, dict[str, Any]]]) -> int:
    """Do these things, and what the end of a run does; returns how many whole answers of the upstream clients got."""
    machine = Exchanges()
    try:
        machine.begin()
        for name, arguments in steps:
            if machine.may(name):
                getattr(machine, name)(**arguments)
        # What is looked at last is what the clients have before everybody is helped to get what he waits for.
        return sum(got.whole and got.number is not None for client in machine.clients for got in client.answers())
    finally:
        machine.teardown()


@pytest.mark.timeout(0 if EXAMPLES else 60)
def test_on_many_walks_each_answer_is_its_own_requests() -> None:
    """The same claims; each walk is its seed's. At least two exchanges of a walk go well, or it would test little."""
    first = random.SystemRandom().randrange(1 << 40) if EXAMPLES else 0
    walks, well = EXAMPLES or 300, 0
    for seed in range(first, first + walks):
        rng = random.Random(seed)
        steps = [a_step(rng) for _ in range(rng.choice([10, 40, 80]))]
        try:
            well += follow(steps)
        except BaseException:
            steps = shrunk(steps) if EXAMPLES else steps
            print(f"seed {seed}", *(f"{name}(**{arguments})" for name, arguments in steps), sep="\n")
            raise
    assert well > 2 * walks


def shrunk(steps: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """Fewer steps that fail as well."""
    at = len(steps) - 1
    while at >= 0:
        fewer = steps[:at] + steps[at + 1 :]
        try:
            follow(fewer)
        except Exception:
            steps = fewer
        at -= 1
    return steps
