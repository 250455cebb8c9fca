from dataclasses import replace

from runner.core.seams import ProcessIdentity
from runner.dispatch.witnesses import Witnesses
from tests.support.beats import BEAT

ME = ProcessIdentity(host="head", boot_id="b0", pid_namespace="n0", pid=1, started="1")
FAR = ProcessIdentity(host="node", boot_id="b1", pid_namespace="n1", pid=2, started="1")
NEIGHBOUR = replace(BEAT, incarnation="w2", process=replace(FAR, pid=3))
STRANGER = replace(BEAT, incarnation="w3", process=replace(FAR, host="other", boot_id="b2"))


class HeadOnly:
    def current(self) -> ProcessIdentity:
        return ME

    def is_dead(self, other: ProcessIdentity) -> bool | None:
        return None if other.host != ME.host else other != ME


def test_process_elsewhere_is_asked_about_on_its_host_only():
    witnesses = Witnesses(HeadOnly())

    assert witnesses.is_dead(FAR) is None
    assert witnesses.questions(NEIGHBOUR) == (FAR,)
    assert witnesses.questions(STRANGER) == ()


def test_process_elsewhere_is_gone_once_a_worker_there_says_so():
    witnesses = Witnesses(HeadOnly())
    witnesses.is_dead(FAR)

    witnesses.heard(NEIGHBOUR)  # it saw it running, or could not tell
    assert witnesses.is_dead(FAR) is None

    witnesses.heard(replace(NEIGHBOUR, gone=(FAR,)))
    assert witnesses.is_dead(FAR) is True
    assert witnesses.questions(NEIGHBOUR) == ()


def test_process_that_is_heard_of_again_is_asked_about_no_more():
    witnesses = Witnesses(HeadOnly())
    witnesses.is_dead(FAR)

    witnesses.heard(replace(BEAT, process=FAR))

    assert witnesses.questions(NEIGHBOUR) == ()


def test_process_here_is_decided_by_the_process_table():
    witnesses = Witnesses(HeadOnly())

    assert witnesses.is_dead(ME) is False
    assert witnesses.is_dead(replace(ME, pid=9)) is True
    assert witnesses.questions(replace(BEAT, process=ME)) == ()
