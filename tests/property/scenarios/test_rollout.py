from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from runner.core.values import EndState, Job, Reply, Usage
from tests.support.configurations import book_of

BLOCKS = st.lists(
    st.fixed_dictionaries({"type": st.sampled_from(["text", "thinking"]), "text": st.text()}),
    min_size=1,
    max_size=3,
).map(tuple)
REPLIES = st.lists(
    st.builds(
        Reply,
        content=BLOCKS,
        stop_reason=st.just("end_turn"),
        end_state=st.sampled_from([EndState.ANSWERED] * 5 + [EndState.TRUNCATED]),
        usage=st.just(Usage()),
        model=st.just("m"),
        continues=st.booleans(),
    ),
    max_size=30,
)
BOOK = book_of(axes={}, user="0 {{ draw('a', ['x', 'y']) }}", turns=["1 {{ seed }}", "2", "3"])


def conversations(seed, replies):
    rollout = BOOK.rollout(Job(0, seed))
    seen = [rollout.conversation()]
    for reply in replies:
        if rollout.answer(reply):
            return [*seen, "end"]
        seen.append(rollout.conversation())
    return seen


@given(st.integers(0, 2**31 - 1), REPLIES)
def test_replaying_the_same_replies_gives_the_same_conversations(seed, replies):
    assert conversations(seed, replies) == conversations(seed, replies)


@given(st.integers(0, 2**31 - 1), REPLIES)
def test_no_two_messages_of_one_role_follow_each_other_and_no_block_is_lost(seed, replies):
    for conversation in conversations(seed, replies):
        if conversation == "end":
            continue
        roles = [m["role"] for m in conversation.messages]
        assert roles[0] == "user"
        assert all(a != b for a, b in pairwise(roles))
    seen = [c for c in conversations(seed, replies) if c != "end"]
    blocks = [b for m in seen[-1].messages if m["role"] == "assistant" for b in m["content"]]
    fed = [b for reply in replies[: len(seen) - 1] for b in reply.content]
    assert blocks == fed
