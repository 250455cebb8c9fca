"""Stories of one scenario are written independently: few phrases of six words occur in two of them.

`python -m tests.unit.scenarios.test_independence` prints the shares.
"""

import re
from itertools import combinations

import pytest

from tests.unit.scenarios.test_shipped import STORIES, STORIES_OF, story_of

WORDS = 6
TEXTS = ("system", "user", "turns", "fragments", "perturbations")
MOST = 0.02
DIALOGUE = 0.05
"""What their players are told about writing letters is one text for all; the model under test never reads it."""


def phrases_of(path):
    """The phrases of a story, as it is after what it extends; tags and templates are not words."""
    found = set()
    for text in strings([story_of(path).get(key) for key in TEXTS]):
        said = re.sub(r"\{%.*?%\}|\{\{.*?\}\}|<[^<>]*>", " ", text, flags=re.DOTALL)
        words = re.findall(r"[^\W_]+(?:'\w+)?", said.lower())
        found |= {tuple(words[i : i + WORDS]) for i in range(len(words) - WORDS + 1)}
    return found


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


def shared(family):
    """Of each two stories: the share of the shorter one's phrases that the other has; worst first."""
    phrases = {p.stem: phrases_of(p) for p in STORIES if p.parent.name == family}
    return sorted(
        (
            (len(phrases[a] & phrases[b]) / min(len(phrases[a]), len(phrases[b])), a, b)
            for a, b in combinations(phrases, 2)
        ),
        reverse=True,
    )


@pytest.mark.parametrize("family", STORIES_OF)
def test_shipped_stories_of_a_scenario_share_few_phrases(family):
    share, one, other = shared(family)[0]
    assert share <= (DIALOGUE if family == "blackmail-dialogue" else MOST), (one, other)


if __name__ == "__main__":
    for name in STORIES_OF:
        pairs = shared(name)
        mean = sum(share for share, _, _ in pairs) / len(pairs)
        share, one, other = pairs[0]
        print(f"{name:20} most {share:6.1%} ({one}, {other}), mean {mean:6.1%}")
