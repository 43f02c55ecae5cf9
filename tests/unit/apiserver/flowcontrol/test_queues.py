"""Fair queues in virtual time: equal shares of seats whatever flows send, nobody starves, no limit is exceeded."""

from __future__ import annotations

import random

import pytest
from tests.unit.apiserver.flowcontrol.simulation import Sender, Simulation

from steersman.apiserver.flowcontrol.queues import QueueSet, Rejected, Work


def queued(limit: int = 4, queues: int = 8, length: int = 50) -> QueueSet:
    return QueueSet(limit, queues, length)


def arrived(queues: QueueSet, *, seats: int = 1, hand: tuple[int, ...] = (0,), now_s: float = 0.0) -> Work:
    work = Work(seats, hand)
    queues.arrive(work, now_s)
    return work


def test_what_fits_begins_at_once_and_what_does_not_waits_its_turn() -> None:
    queues = queued(limit=2)
    first, second, third, fourth = (arrived(queues) for _ in range(4))
    assert (first.began_s, second.began_s) == (0.0, 0.0) and third.began_s < 0 and fourth.began_s < 0
    queues.finish(first, 1.0)
    assert third.began_s == 1.0 and fourth.began_s < 0
    for work in (second, third):
        queues.finish(work, 2.0)
    queues.finish(fourth, 3.0)
    assert queues.idle and queues.at_work == 0 and queues.seats_in_use == 0


def test_a_full_queue_rejects() -> None:
    queues = queued(limit=1, length=2)
    for _ in range(3):
        arrived(queues)
    with pytest.raises(Rejected) as rejected:
        arrived(queues)
    assert rejected.value.reason == "queue-full"
    assert arrived(queues, hand=(1,)).began_s < 0


def test_without_queues_what_does_not_fit_is_rejected() -> None:
    queues = QueueSet(2)
    assert queues.take(1) and queues.take(1) and not queues.take(1)
    with pytest.raises(Rejected) as rejected:
        arrived(queues, hand=())
    assert rejected.value.reason == "concurrency-limit"
    queues.give_back(1, 1.0, 1.0)
    assert queues.take(1)


def test_an_exempt_level_has_seats_for_all() -> None:
    queues = QueueSet(0, exempt=True)
    assert all(queues.take(1) for _ in range(1000))


def test_seats_are_taken_without_a_queue_only_while_nobody_waits() -> None:
    queues = queued(limit=2)
    assert queues.take(1)
    wide = arrived(queues, seats=2)
    assert wide.began_s < 0 and not queues.take(1)
    queues.give_back(1, 1.0, 1.0)
    assert wide.began_s == 1.0 and not queues.take(1)
    queues.finish(wide, 2.0)
    assert queues.take(2) and queues.seats_in_use == 2


def test_a_flow_goes_to_the_shortest_of_its_queues() -> None:
    queues = queued(limit=1)
    assert [work.queue and work.queue.index for work in [arrived(queues, hand=(3, 5, 1)) for _ in range(5)]] == [3, 5, 1, 3, 5]


def test_a_wide_request_waits_for_its_seats_and_nobody_passes_it_for_ever() -> None:
    queues = queued(limit=4)
    narrow = [arrived(queues, hand=(0,)) for _ in range(4)]
    wide = arrived(queues, hand=(1,), seats=4)
    later = [arrived(queues, hand=(0,)) for _ in range(3)]
    for number, work in enumerate(narrow, 1):
        queues.finish(work, float(number))
    # Its flow has had nothing yet, so it comes before those who have had four seconds.
    assert wide.began_s == 4.0 and all(work.began_s < 0 for work in later)
    queues.finish(wide, 5.0)
    assert all(work.began_s == 5.0 for work in later)


def test_what_is_wider_than_the_level_is_served_alone() -> None:
    queues = queued(limit=2)
    wide = arrived(queues, seats=5)
    assert wide.began_s == 0.0
    other = arrived(queues, hand=(1,))
    assert other.began_s < 0
    queues.finish(wide, 1.0)
    assert other.began_s == 1.0


def test_who_withdraws_makes_way() -> None:
    queues = queued(limit=2)
    running = arrived(queues, hand=(0,))
    wide, narrow = arrived(queues, hand=(1,), seats=2), arrived(queues, hand=(2,))
    # The wide one was there first and is next; the seat beside `running` is kept for it.
    assert wide.began_s < 0 and narrow.began_s == 0.0 or narrow.began_s < 0
    queues.withdraw(wide, 0.5)
    assert narrow.began_s >= 0 and not queues.waiting
    for work in (running, narrow):
        queues.finish(work, 1.0)
    assert queues.idle and queues.at_work == 0


def test_a_limit_that_grows_serves_more_and_one_that_shrinks_ends_nothing() -> None:
    queues = queued(limit=1)
    first, second, third = (arrived(queues) for _ in range(3))
    queues.resize(2, 1.0)
    assert second.began_s == 1.0 and third.began_s < 0
    queues.resize(1, 2.0)
    queues.finish(first, 3.0)
    assert third.began_s < 0
    queues.finish(second, 4.0)
    assert third.began_s == 4.0


def test_queues_that_are_dealt_no_more_are_served_to_their_end() -> None:
    queues = queued(limit=1, queues=4)
    first, last = arrived(queues, hand=(0,)), arrived(queues, hand=(3,))
    queues.wish(2, 50)
    assert len(queues.all) == 4
    queues.finish(first, 1.0)
    assert last.began_s == 1.0
    queues.finish(last, 2.0)
    assert len(queues.all) == 2


def test_demand_is_the_seats_wanted_over_time() -> None:
    queues = queued(limit=1)
    first, second = arrived(queues), arrived(queues)
    queues.finish(first, 5.0)
    queues.finish(second, 10.0)
    demand = queues.look(20.0)
    assert demand.average == pytest.approx((2 * 5 + 1 * 5) / 20) and demand.high == 2
    # One saw itself alone, the other saw two.
    assert demand.deviation == pytest.approx(0.5)
    assert queues.look(30.0).high == 0


def test_what_lasts_from_look_to_look_is_wanted_all_the_time_and_no_more_than_it_is() -> None:
    queues = queued(limit=5)
    assert queues.take(3)
    assert [queues.look(when).average for when in (10.0, 20.0)] == [3.0, 3.0]
    queues.give_back(3, 29.0, 29.0)
    assert (queues.look(30.0).average, queues.look(40.0).average) == (3.0, 0.0)


@pytest.mark.parametrize(
    ("what", "senders"),
    [
        ("many against few", [Sender((0,), 0.1, backlog=40), Sender((1,), 0.1, backlog=5)]),
        ("long against short", [Sender((0,), 1.0, backlog=10), Sender((1,), 0.01, backlog=10)]),
        ("wide against narrow", [Sender((0,), 0.1, seats=4, backlog=10), Sender((1,), 0.1, backlog=10)]),
        ("all kinds", [Sender((i,), 0.05 * (i + 1), seats=1 + i % 3, backlog=6 + 5 * i) for i in range(6)]),
    ],
)
def test_flows_that_always_want_more_get_equal_shares(what: str, senders: list[Sender]) -> None:
    simulation = Simulation(queued(limit=4), senders)
    simulation.run(400.0)
    served = sum(sender.got_s for sender in senders)
    # Seats stay empty for a moment before a wide request: all lose by that alike.
    assert served >= 0.8 * 4 * 400.0
    for sender in senders:
        assert sender.got_s == pytest.approx(served / len(senders), rel=0.1), what


def test_who_asks_for_less_than_a_share_hardly_waits_however_many_another_sends() -> None:
    elephant = Sender((0,), 0.1, backlog=50)
    mouse = Sender((1,), 0.1, every_s=0.5)
    Simulation(queued(limit=4), [elephant, mouse]).run(100.0)
    assert mouse.rejected == 0 and mouse.waited_s <= 0.2
    assert mouse.got_s == pytest.approx(20.0, rel=0.05)


def test_a_pause_earns_nobody_a_right_to_more_than_a_share() -> None:
    steady, returning = Sender((0,), 0.1, backlog=20), Sender((1,), 0.1, backlog=20)
    queues = queued(limit=4)
    simulation = Simulation(queues, [steady])
    simulation.run(50.0)
    before = steady.got_s
    simulation.senders = [steady, returning]
    steady.backlog, kept = 0, steady.backlog
    for _ in range(returning.backlog):
        simulation.send(returning)
    simulation.run(50.0)
    steady.backlog = kept
    simulation.senders = [returning]
    returning.backlog, kept = 0, returning.backlog
    simulation.run(50.0)
    returning.backlog = kept
    simulation.senders = [steady, returning]
    simulation.run(70.0)
    assert steady.got_s - before == pytest.approx(40.0, rel=0.2)
    assert returning.got_s == pytest.approx(40.0, rel=0.2)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_comes_limits_are_kept_all_seats_are_used_and_nobody_starves(seed: int) -> None:
    """The simulation checks limits and book-keeping after every event."""
    rng = random.Random(seed)
    limit, count = rng.randint(1, 12), rng.randint(4, 16)
    senders = [
        Sender(
            tuple(rng.sample(range(count), rng.randint(1, 4))),
            rng.choice((0.01, 0.1, 0.5)),
            seats=rng.choice((1, 1, 1, min(limit, 3), limit)),
            backlog=rng.choice((0, 3, 15)),
            every_s=rng.choice((0.2, 1.0)),
        )
        for _ in range(rng.randint(2, 12))
    ]
    simulation = Simulation(queued(limit, count, rng.randint(3, 30)), senders)
    simulation.run(60.0)
    for sender in senders:
        assert sender.got_s > 0 or sender.rejected, f"starved: {sender}"
