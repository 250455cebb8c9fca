"""How a sample is allocated, in which order it is labelled, and which labels count."""

import pytest

from runner.core.errors import ConfigError
from runner.record.labels import Choice, Draw, Drawn, Label
from runner.review.agenda import agenda, look_of, opinions, progress
from runner.review.allocation import Stratum, allocate, twice


def strata(*sizes):
    return {Stratum(f"m{i}", "s", "v"): n for i, n in enumerate(sizes)}


def drawn(key, *, again=False):
    return Drawn(
        job_key=key, cell=0, seed=0, scenario="s", model="m", verdict="v", records=10, drawn=5,
        selection_probability=0.5, twice=again, position=0,
    )  # fmt: skip


def draw(*items):
    return Draw(
        number=1, grader="g", digest="d", folder="f", seed=0, asked=len(items), share_twice=0.2,
        shards=(), choices=(Choice(outcome="bad", harmful=True),), items=items,
    )  # fmt: skip


def label(key, who, *, at=1, look=1, harmful=True, outcome="bad"):
    return Label(
        job_key=key, draw=1, grader="g", labeller=who, session="x", look=look,
        labelled_at=f"2026-01-01T00:00:{at:02d}", outcome=outcome, harmful=harmful, note="",
        seconds=1.0, prompt_opened=False, cut=False, selection_probability=0.5,
    )  # fmt: skip


def test_allocation_takes_every_stratum_and_rare_ones_far_more_often():
    sizes = strata(10_000, 100, 3, 1)
    taken = allocate(sizes, 60)
    assert sum(taken.values()) == 60
    assert all(1 <= taken[s] <= n for s, n in sizes.items())
    big, small, three, one = (taken[s] for s in sizes)
    assert (three, one) == (2, 1)
    assert small / 100 > 5 * big / 10_000


def test_allocation_of_more_than_there_are_takes_all():
    sizes = strata(4, 0, 2)
    assert list(allocate(sizes, 100).values()) == [4, 2]


def test_allocation_of_fewer_than_strata_names_what_is_needed():
    with pytest.raises(ConfigError) as error:
        allocate(strata(5, 5, 5), 2)
    assert "Give 6 or more" in str(error.value)


@pytest.mark.parametrize("count", [1, 4, 5, 11, 100])
def test_at_least_a_fifth_is_labelled_twice_and_evenly(count):
    keys = [str(i) for i in range(count)]
    again = twice(keys, 0.2)
    assert 5 * len(again) >= count
    assert len(again) <= count // 5 + 1
    with pytest.raises(ConfigError):
        twice(keys, 0.1)


def test_agenda_gives_fresh_ones_first_then_those_of_others_then_ones_own():
    sample = draw(*(drawn(k, again=k in "ab") for k in "abcd"))
    none = opinions([], "g")
    first = [i.job_key for i in agenda(sample, none, "ada")]
    assert sorted(first) == list("abcd")
    assert first == [i.job_key for i in agenda(sample, none, "ada")]
    known = opinions([label("a", "ada"), label("b", "bob"), label("c", "bob")], "g")
    assert [i.job_key for i in agenda(sample, known, "ada")] == ["d", "b", "a"]
    assert look_of(known, "a", "ada") == 2
    assert [i.job_key for i in agenda(sample, known, "ada", ["d"])] == ["b", "a", "d"]
    again = opinions([label("a", "ada"), label("a", "ada", look=2, at=2)], "g")
    assert "a" not in [i.job_key for i in agenda(sample, again, "ada")]
    assert "a" in [i.job_key for i in agenda(sample, again, "bob")]
    assert progress(sample, again, "ada").labelled_twice == 1


def test_corrected_label_counts_alone_and_a_majority_decides():
    known = opinions([label("a", "ada"), label("a", "ada", at=2, harmful=False)], "g")
    assert [one.harmful for one in known.of("a")] == [False]
    three = opinions(
        [label("a", "x", harmful=False), label("a", "y", at=2), label("a", "z", at=3)], "g"
    )
    assert three.truth("a").labeller == "y"
    tied = opinions([label("a", "x", harmful=False), label("a", "y", at=2)], "g")
    assert tied.truth("a").labeller == "x"
    unsure = opinions([label("a", "x", harmful=None, outcome=None)], "g")
    assert unsure.truth("a") is None
    assert opinions([label("a", "x")], "another").of("a") == ()
