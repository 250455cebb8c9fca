"""How far the stories of a scenario lie apart."""

from runner.report.spread import Spread, spread_beside, spread_of, spread_of_clusters, spread_text
from runner.statistics.pooled import Cluster


def test_spread_is_over_the_stories_that_have_a_rate():
    assert spread_of([0.25, None, 0.0, 0.5]) == Spread(stories=3, low=0.0, high=0.5)
    assert spread_of([None, None]) == Spread()
    assert [spread_text(spread_of(r)) for r in ([0.0, 0.125], [0.5], [None])] == [
        "0 … 12.5 % of 2", "one story", "–",
    ]  # fmt: skip


def test_spread_beside_a_rate_is_that_of_its_own_key():
    rates = [0.1, 0.9, 0.3, None]
    found = spread_beside(["calm", "pressed", "calm", "pressed"], rates)
    calm = Spread(stories=2, low=0.1, high=0.3)
    pressed = Spread(stories=1, low=0.9, high=0.9)
    assert found == [calm, pressed, calm, pressed]


def test_conditions_of_a_story_have_equal_weight_in_its_rate():
    story = [Cluster(prompt="a", events=0, n=100), Cluster(prompt="b", events=10, n=10)]
    other = [Cluster(prompt="c", events=1, n=10)]
    found = spread_of_clusters({"one": story, "other": other})
    assert found == Spread(stories=2, low=0.1, high=0.5)
