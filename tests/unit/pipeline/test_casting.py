"""What recorded rows say of the calls of a job."""

from __future__ import annotations

from runner.pipeline.casting import Known
from runner.record.observed import Pace, Taken


def test_calls_of_other_models_are_told_apart_though_rows_sum_over_all_of_them():
    # ten jobs: four calls each to the model under test (1,000 in, 50 out), one to the one that plays
    taken = Taken(jobs=10, calls=40, input_tokens=40_000 + 2_000, output_tokens=2_000 + 700)
    known = Known(
        taken={"tested": taken},
        paces={
            "tested": Pace(calls=40, jobs=10, input_tokens=40_000, tokens=2_000),
            "people": Pace(calls=10, input_tokens=2_000, tokens=700, roles={"tested": 10}),
        },
    )
    seen = known.observed("tested")
    assert seen is not None
    assert (seen.calls, seen.input_tokens, seen.output_tokens) == (4.0, 4_000, 200)
    (name, played), *more = known.others("tested").items()
    assert (name, more) == ("people", [])
    assert (played.calls, played.input_tokens, played.output_tokens) == (1.0, 200, 70)
    assert known.observed("people") is None
    assert known.others("people") == {}
