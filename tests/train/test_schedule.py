"""The rates of the schedules, with the values of 2012's runs."""

import json
import math

import pytest

from alexnet_cuda.nn.recipe import Constant, Dexp, Drop, Plateau, Recipe, Steps
from alexnet_cuda.train.schedule import Schedule

# The drops of the 2010 run of config #145, as factors of the rate .01.
RUN_OF_2010 = Steps(
    drops=(
        Drop(23, 0.1),
        Drop(51, 0.01),
        Drop(68, 0.001, ("conv1",)),
        Drop(72, 0.0, ("conv1",)),
        Drop(78, 0.001, ("conv2", "conv3", "fc8")),
    ),
    color_until=68,
)


def of(schedule, epochs=90, bias=None):
    return Schedule(Recipe(schedule=schedule, bias_schedule=bias, epochs=epochs))


def test_constant():
    schedule = of(Constant())
    assert {schedule.factor("conv1", epoch, bias=bias) for epoch in (0, 45.5, 90) for bias in (False, True)} == {1.0}
    assert not any(schedule.after_epoch(error) for error in (0.5, None, math.nan))
    assert schedule.color(89) and not schedule.needs_validation


@pytest.mark.parametrize(
    "epoch, conv1, conv2",
    [
        (0, 1, 1), (22.999, 1, 1), (23, 0.1, 0.1), (50.99, 0.1, 0.1), (51, 0.01, 0.01), (67.99, 0.01, 0.01),
        (68, 0.001, 0.01), (71.9, 0.001, 0.01), (72, 0, 0.01), (77.9, 0, 0.01), (78, 0, 0.001), (92, 0, 0.001),
    ],
)  # fmt: skip
def test_the_drops_of_2012s_source(epoch, conv1, conv2):
    schedule = of(RUN_OF_2010, epochs=93)
    assert schedule.factor("conv1", epoch) == conv1
    assert schedule.factor("conv2", epoch) == schedule.factor("fc8", epoch, bias=True) == conv2


def test_color_noise_ends_with_its_epoch():
    schedule = of(RUN_OF_2010)
    assert [schedule.color(epoch) for epoch in (0, 67.99, 68, 80)] == [True, True, False, False]
    assert of(Steps()).color(1000)


def test_the_latest_drop_holds_in_whatever_order_they_are_listed():
    schedule = of(Steps(drops=(Drop(9, 0.001), Drop(3, 0.1, ("fc6",)), Drop(5, 0.01))))
    assert [schedule.factor("fc6", epoch) for epoch in (2, 3, 5, 9)] == [1, 0.1, 0.01, 0.001]


def test_steps_keep_to_their_epochs_however_long_the_run():
    recipe = Recipe(schedule=RUN_OF_2010, epochs=90)
    assert Schedule(recipe, epochs=30).factor("conv1", 25) == Schedule(recipe).factor("conv1", 25) == 0.1


def test_dexp_takes_equal_logarithmic_steps():
    """cuda-convnet2's dexp(.01; 250; 4) over 90 epochs: four rates, from .01 to .01 / 250."""
    schedule = of(Dexp(250, 4))
    starts = [schedule.factor("conv1", epoch) for epoch in (0, 22.5, 45, 67.5)]
    assert starts == pytest.approx([1, 0.15874010519681994, 0.025198420997897463, 0.004])
    ends = [schedule.factor("conv1", epoch) for epoch in (22.49, 44.99, 67.49, 89.99)]
    assert ends == starts and schedule.factor("conv1", 90) == starts[-1]


@pytest.mark.parametrize("steps", [2, 4, 5])
@pytest.mark.parametrize("epochs, batches", [(90, 10009), (7, 13), (10, 79), (3, 10)])
def test_dexp_changes_at_the_batch_where_a_step_ends(epochs, batches, steps):
    """At the first batch for which done / all >= k / steps, in integers; floating point must not move it by one."""
    schedule = of(Dexp(16, steps), epochs=epochs)
    for step in range(1, steps):
        first = -(-step * epochs * batches // steps)
        for done, wanted in ((first - 1, step - 1), (first, step)):
            epoch = done // batches + done % batches / batches
            assert schedule.factor("fc6", epoch) == pytest.approx(16 ** (-wanted / (steps - 1))), (step, done)


def test_dexp_of_one_and_of_two_steps():
    assert [of(Dexp(10, 1)).factor("x", epoch) for epoch in (0, 89)] == [1, 1]
    assert [of(Dexp(10, 2)).factor("x", epoch) for epoch in (0, 44.9, 45, 90)] == [1, 1, 0.1, 0.1]


def test_dexp_spreads_over_the_epochs_of_this_run():
    assert Schedule(Recipe(schedule=Dexp(10, 2), epochs=90), epochs=10).factor("x", 5) == 0.1


def test_biases_may_have_a_schedule_of_their_own():
    schedule = of(Dexp(250, 4), bias=Dexp(10, 2))
    assert schedule.factor("fc8", 50) == pytest.approx(250 ** (-2 / 3))
    assert schedule.factor("fc8", 50, bias=True) == pytest.approx(0.1)


def epochs_of(schedule, errors):
    """The factor in force in each epoch, and after how many of them training stops."""
    factors = []
    for number, error in enumerate(errors, start=1):
        factors.append(schedule.factor("conv1", number - 1))
        if schedule.after_epoch(error):
            return factors, number
    return factors, None


def test_plateau_divides_by_ten_three_times_and_stops():
    factors, stopped = epochs_of(of(Plateau(patience=2)), [0.9, 0.8] + [0.8] * 20)
    assert factors == pytest.approx([1] * 4 + [0.1] * 2 + [0.01] * 2 + [0.001] * 2)
    assert stopped == 10


def test_plateau_counts_anew_after_an_improvement():
    errors = [0.9, 0.95, 0.89, 0.9, 0.88, 0.9, 0.9, 0.87, 0.88, 0.88]
    factors, stopped = epochs_of(of(Plateau(patience=2, factor=0.5)), errors)
    assert factors == [1] * 7 + [0.5] * 3 and stopped is None


def test_plateau_never_below_its_floor():
    factors, stopped = epochs_of(of(Plateau(factor=0.1, patience=1, drops=5, floor=0.05)), [0.5] * 9)
    assert factors == [1, 1, 0.1, 0.05] and stopped == 4


@pytest.mark.parametrize("plateau, wanted", [(Plateau(patience=1, drops=0), 2), (Plateau(patience=1, floor=1.0), 2)])
def test_plateau_that_may_not_drop_stops(plateau, wanted):
    assert epochs_of(of(plateau), [0.5] * 5) == ([1, 1], wanted)


def test_plateau_takes_an_error_that_is_not_a_number_for_no_improvement():
    factors, _ = epochs_of(of(Plateau(patience=2)), [math.nan, math.nan, 0.5, 0.4])
    assert factors == [1, 1, 0.1, 0.1]


def test_plateau_needs_validation_images():
    schedule = of(Plateau())
    assert schedule.needs_validation and of(Constant(), bias=Plateau()).needs_validation
    with pytest.raises(ValueError, match="there are no validation images; fix: "):
        schedule.after_epoch(None)


@pytest.mark.parametrize("kept", range(12))
def test_the_state_goes_on_where_it_was(kept):
    errors = [0.9, 0.8, 0.85, 0.85, 0.7, 0.7, 0.7, 0.7, 0.65, 0.7, 0.7, 0.7]

    def fresh():
        return of(Plateau(patience=2), bias=Plateau(factor=0.5, patience=1))

    def factors(schedule):
        return schedule.factor("x", 0), schedule.factor("x", 0, bias=True)

    whole, first, second = fresh(), fresh(), fresh()
    for error in errors[:kept]:
        whole.after_epoch(error)
        first.after_epoch(error)
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    for error in errors[kept:]:
        assert factors(whole) == factors(second)
        assert whole.after_epoch(error) == second.after_epoch(error)
    assert whole.state_dict() == second.state_dict()


def test_the_state_of_another_schedule_is_refused():
    with pytest.raises(ValueError, match="is of a run with Plateau, this one has Constant; fix: "):
        of(Constant()).load_state_dict(of(Plateau()).state_dict())
    with pytest.raises(ValueError, match="is of a run with Dexp, this one has Dexp, Constant"):
        of(Dexp(), bias=Constant()).load_state_dict(of(Dexp()).state_dict())
