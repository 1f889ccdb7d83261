"""The command line of a controller."""

from __future__ import annotations

import pytest

from shared.loop.flags import Flag, Gate, parse

GATES = (Gate("Strict", True, "Refuse what is doubtful."), Gate("Later", False, "Not yet.", built=False))


def options(*arguments: str, flags: tuple[Flag, ...] = ()):
    return parse("test-controller", "Tests.", flags, arguments, gates=GATES)


def test_values_are_read_as_upstream_writes_them():
    read = options("--concurrent=7", "--min-retry-delay", "1m30s", "--enable-leader-election", "--kube-api-qps=-1")
    assert (read.concurrent, read.min_retry_delay, read.enable_leader_election, read.kube_api_qps) == (
        7,
        90.0,
        True,
        -1,
    )
    assert options("--enable-leader-election=false").enable_leader_election is False


def test_a_gate_keeps_its_default_until_it_is_set():
    assert options().feature_gates == {"Strict": True, "Later": False}
    assert options("--feature-gates=Strict=false").feature_gates["Strict"] is False


def test_what_is_set_and_has_no_effect_is_known_to_the_process():
    assert options().unbuilt == []
    assert options("--feature-gates=Later=true", "--token-cache-max-size=1").unbuilt == [
        "token-cache-max-size",
        "feature-gates=Later",
    ]


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--feature-gates=Unknown=true", "there is no 'Unknown'; there are Later, Strict"),
        ("--min-retry-delay=soon", "--min-retry-delay: invalid duration value: 'soon'"),
        ("--concurrent=many", "--concurrent: invalid int value: 'many'"),
        ("--concurent=4", "unrecognized arguments: --concurent=4"),
        ("--log-level=loud", "invalid choice: 'loud'"),
    ],
)
def test_a_wrong_flag_ends_with_a_message_that_names_it(capsys, argument, said):
    with pytest.raises(SystemExit) as ended:
        options(argument)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_help_says_what_is_there(capsys):
    with pytest.raises(SystemExit):
        options("--help", flags=(Flag("depth", "int", 3, "How deep."),))
    shown = capsys.readouterr().out
    assert "How deep. (default 3)" in shown
    assert "Strict=true: Refuse what is doubtful." in shown
