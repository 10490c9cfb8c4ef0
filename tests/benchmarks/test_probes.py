"""The probes of rates, on the emulator: they end, and measure all that the plan assumes."""

import subprocess

import bench_probes
import pytest
from emulator import building


@pytest.mark.slow
def test_probes_run_and_have_assumptions_to_compare_with(tmp_path):
    objects = [str(building.emulator_object("plain"))]
    for source in bench_probes.SOURCES:
        objects.append(str(tmp_path / f"{source.stem}.o"))
        building.run_compiler([*building.COMMON, "-x", "c++", "-c", str(source), "-o", objects[-1]])
    program = tmp_path / "probes"
    building.run_compiler([*objects, "-pthread", "-o", str(program)])
    done = subprocess.run([program, "small"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rates = bench_probes.parsed(done.stdout)
    assert set(rates) == set(bench_probes.ASSUMED)
    assert all(value > 0 for value, _ in rates.values())


def test_the_plan_of_the_rates():
    """Figures of an H200 that the modelled times of the kernels rest on."""
    assert bench_probes.ASSUMED["wgmma_256_columns"] == 790
    assert bench_probes.ASSUMED["wgmma_96_columns"] == pytest.approx(0.85 * 790)
    assert bench_probes.ASSUMED["tile_boxes"] == 8
