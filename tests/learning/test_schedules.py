"""What changes in the course of a run."""
import math

import pytest

from learning.schedules import augmentation_strength, learning_rate_at


@pytest.mark.parametrize("schedule, rates", [
    ("constant", [0.4] * 5),
    ("linear", [0.4, 0.3, 0.2, 0.1, 0]),
    ("cosine", [0.4, 0.2 + 0.2 / math.sqrt(2), 0.2, 0.2 - 0.2 / math.sqrt(2), 0])])
def test_the_learning_rate_follows_its_schedule(schedule, rates):
    settings = {"schedule": schedule, "learning_rate": 0.4}
    found = [learning_rate_at(settings, part / 4) for part in range(5)]
    assert found == pytest.approx(rates)


@pytest.mark.parametrize("epochs, every", [(1, 1), (7, 2), (40, 5), (500, 1)])
def test_the_steps_of_the_learning_rate_come_between_epochs(epochs, every):
    """At an epoch's very first image and up to its last: no rounding makes it early."""
    settings = {"schedule": "step", "learning_rate": 0.4, "decay": 0.5,
                "decay_every": every, "epochs": epochs}
    for epoch in range(epochs):
        for done in (0, 0.5, 59_999 / 60_000):
            assert learning_rate_at(settings, (epoch + done) / epochs) == pytest.approx(
                0.4 * 0.5 ** (epoch // every), rel=1e-12)


@pytest.mark.parametrize("cooldown, strengths", [
    (0, [1] * 10), (0.1, [1] * 9 + [0.5]), (0.25, [1] * 7 + [0.5] * 3),
    (1, [0.5] * 10)])
def test_the_last_epochs_have_weaker_maps(cooldown, strengths):
    settings = {"epochs": 10, "cooldown": cooldown}
    assert [augmentation_strength(settings, epoch)
            for epoch in range(1, 11)] == strengths
