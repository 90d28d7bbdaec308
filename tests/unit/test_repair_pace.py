"""A repair rests while others are at work."""

from __future__ import annotations

import pytest

from sentinel.counters.repair_pace import LONGEST_REST, Pace


def rests(pace: Pace, *batches: float, rows: int = 100) -> list[float]:
    """The rests after batches that took so many seconds."""
    return [pace.rest(seconds=seconds, rows=rows) for seconds in batches]


def test_alone_it_does_not_rest() -> None:
    assert rests(Pace(), 0.010, 0.012, 0.009, 0.013, 0.011) == [0, 0, 0, 0, 0]


def test_one_slow_batch_is_no_sign_of_others() -> None:
    assert rests(Pace(), 0.010, 0.010, 0.050, 0.010, 0.010) == [0, 0, 0, 0, 0]


def test_beside_others_it_rests_for_what_they_cost_it() -> None:
    *_, last = rests(Pace(), 0.010, *[0.030] * 50)
    assert last == pytest.approx(0.020, rel=0.01)


def test_it_goes_on_at_once_when_they_have_gone() -> None:
    pace = Pace()
    rests(pace, 0.010, *[0.030] * 50)
    assert rests(pace, *[0.010] * 20)[-1] == 0


def test_small_batches_are_compared_by_the_row() -> None:
    pace = Pace()
    pace.rest(seconds=0.010, rows=100)
    assert pace.rest(seconds=0.001, rows=10) == 0


def test_a_batch_that_wrote_nothing_says_nothing() -> None:
    pace = Pace()
    assert pace.rest(seconds=0.5, rows=0) == 0
    assert rests(pace, 0.010, 0.010) == [0, 0]


def test_it_never_rests_for_long() -> None:
    *_, last = rests(Pace(), 0.010, *[30.0] * 50)
    assert last == LONGEST_REST


@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_a_given_pause_is_kept(pause: float) -> None:
    assert rests(Pace(pause=pause), 0.010, 5.0, 0.0) == [pause, pause, pause]


def test_alone_it_takes_more_and_more_batches_together() -> None:
    pace = Pace(most_together=4)
    taken = []
    for _ in range(4):
        for seconds in (0.010, 0.011, 0.009, 0.010):
            taken.append(pace.together)
            pace.rest(seconds=seconds, rows=100)
    assert taken == [*[1] * 4, *[2] * 4, *[4] * 8]


def test_what_takes_now_this_and_now_that_is_not_alone() -> None:
    pace = Pace(most_together=4)
    rests(pace, *[0.010, 0.016] * 20)
    assert pace.together == 1


def test_beside_others_it_takes_one_at_a_time() -> None:
    pace = Pace(most_together=4)
    rests(pace, 0.010, 0.010, *[0.030] * 50)
    assert pace.together == 1


def test_with_a_given_pause_it_takes_one_at_a_time() -> None:
    pace = Pace(pause=0.0, most_together=4)
    rests(pace, 0.010, 0.010)
    assert pace.together == 1
