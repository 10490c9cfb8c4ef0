"""Updates along with their gradients: which calls are one pass, the bits of the plain operations, workspaces."""

import numpy as np
import pytest
from bench_cpu import LAYERS
from tables import DTYPES, OPERATIONS, drawn, parameters

from alexnet_cuda import config, ops
from alexnet_cuda.checks.guard import Guarded
from alexnet_cuda.ops import geometry
from alexnet_cuda.ops.arrays import BFLOAT16, FLOAT32

EMULATED = config.load("_emulated")[0]
GENERAL, HOPPER = "80", "90"
H200 = 132  # multiprocessors
UPDATES = ("conv2d_wgrad_sgd", "gemm_sgd")
RATES = ("lr", "momentum", "weight_decay", "state")
WINDOWS = ("stride", "pad", "groups", "ceil_mode")


def shapes_of(kwargs):
    return tuple(kwargs[name].shape for name in ("x", "dy", "w"))


def fused(name, kwargs):
    return ops.is_fused(name, *shapes_of(kwargs), dtype=kwargs["x"].dtype, backend="emulated")


def chosen(name, case, dtype="bfloat16", aligned=True):
    if name == "gemm_sgd":
        return EMULATED.choose_gemm_sgd((case.inputs, case.outputs, case.images), aligned, dtype)
    return EMULATED.choose_conv_wgrad_sgd(case.x, case.w, case.y, aligned, dtype)


def in_turn(name, a):
    """The results of the plain operations."""
    copies = {key: a[key].copy() for key in ("w", "v", "w_bf16", "b", "b_v") if a.get(key) is not None}
    rates = {key: a[key] for key in RATES}
    if name == "gemm_sgd":
        dw = ops.gemm(a["x"], a["dy"], trans_b=True, out_dtype=FLOAT32)
    else:
        dw, db = ops.conv2d_wgrad_db(a["x"], a["dy"], a["w"].shape, **{key: a[key] for key in WINDOWS})
        if "b" in copies:
            own = {"lr": a["b_lr"], "weight_decay": a["b_weight_decay"]}
            ops.sgd_momentum(copies["b"], copies["b_v"], db, **{**rates, **own})
    ops.sgd_momentum(copies["w"], copies["v"], dw, **rates, w_bf16=copies.get("w_bf16"))
    return {key: array.tobytes() for key, array in copies.items()}


def at_once(name, a, **options):
    given = {key: value.copy() if isinstance(value, np.ndarray) else value for key, value in a.items()}
    getattr(ops, name)(**given, **options)
    return {key: given[key].tobytes() for key in ("w", "v", "w_bf16", "b", "b_v") if given.get(key) is not None}


@pytest.mark.parametrize("dtype, capability", [("float32", HOPPER), ("bfloat16", GENERAL), ("bfloat16", HOPPER)])
@pytest.mark.parametrize("operation, case", parameters(*UPDATES, large=False))
def test_the_bits_are_those_of_the_plain_operations(operation, case, dtype, capability, monkeypatch):
    monkeypatch.setenv("ALEXNET_EMULATOR_CAPABILITY", capability)
    a = drawn(operation, case, "normal").cast(DTYPES[dtype])
    with ops.backend("emulated"):
        assert at_once(operation.name, a) == in_turn(operation.name, a)


@pytest.mark.parametrize("capability", (GENERAL, HOPPER))
@pytest.mark.parametrize("operation, case", parameters("conv2d_wgrad_db", large=False))
def test_both_gradients_are_those_of_the_plain_operations(operation, case, capability, monkeypatch):
    """But for db on the tensor cores, which sum it in an order of their own: its bound is the table's business."""
    monkeypatch.setenv("ALEXNET_EMULATOR_CAPABILITY", capability)
    a = drawn(operation, case, "normal").cast(BFLOAT16)
    with ops.backend("emulated"):
        dw, db = ops.conv2d_wgrad_db(**a)
        assert dw.tobytes() == ops.conv2d_wgrad(**a).tobytes()
        if capability == GENERAL or case.x[3] % 8:
            assert db.tobytes() == ops.bias_grad(a["dy"]).tobytes()


@pytest.mark.parametrize("name, case_name", [("conv2d_wgrad_sgd", "5x5 two groups"), ("gemm_sgd", "several tiles")])
def test_what_may_be_left_out(name, case_name):
    case = next(case for case in OPERATIONS[name].cases if case.name == case_name)
    a = drawn(OPERATIONS[name], case, "normal").cast(BFLOAT16)
    assert fused(name, a)
    a["w_bf16"] = None
    with ops.backend("emulated"):
        assert at_once(name, a) == in_turn(name, a)
        if name == "conv2d_wgrad_sgd":
            a["b"] = a["b_v"] = None
            assert at_once(name, a) == in_turn(name, a)


def test_rates_of_a_bias_are_those_of_the_weights_unless_given():
    operation = OPERATIONS["conv2d_wgrad_sgd"]
    a = drawn(operation, operation.cases[0], "normal").cast(FLOAT32)
    same = {**a, "b_lr": a["lr"], "b_weight_decay": a["weight_decay"]}
    left_out = {key: value for key, value in a.items() if key not in ("b_lr", "b_weight_decay")}
    for backend in ("reference", "cpu", "emulated"):
        with ops.backend(backend):
            assert at_once("conv2d_wgrad_sgd", left_out) == at_once("conv2d_wgrad_sgd", same)
            assert at_once("conv2d_wgrad_sgd", a) != at_once("conv2d_wgrad_sgd", same)


class TestChoice:
    def test_of_the_tables(self):
        """Both ways are in them, and a bias whose sums come along or not."""
        for name in UPDATES:
            texts = [chosen(name, case) for case in OPERATIONS[name].cases]
            assert {text.partition(":")[0] for text in texts} == {"one pass", "in turn"}
            assert all(
                text.startswith("in turn: ") for text in (chosen(name, c, "float32") for c in OPERATIONS[name].cases)
            )
        assert {gives_db(case) for case in OPERATIONS["conv2d_wgrad_sgd"].cases if case.x[3] % 8 == 0} == {False, True}

    @pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
    def test_of_alexnet(self, layer):
        shapes = ((*layer.x, 128), (layer.w[3], layer.outputs, layer.outputs, 128), layer.w)
        asked = {"dtype": BFLOAT16, "backend": "emulated"}
        assert ops.is_fused("conv2d_wgrad_sgd", *shapes, **asked)
        assert not ops.is_fused("conv2d_wgrad_sgd", *shapes, **{**asked, "dtype": FLOAT32})
        assert not ops.is_fused("conv2d_wgrad_sgd", *shapes, **{**asked, "backend": "cpu"})

    def test_of_fully_connected_layers(self):
        for inputs, outputs in ((9216, 4096), (4096, 4096), (4096, 1000)):
            shapes = ((inputs, 128), (outputs, 128), (inputs, outputs))
            assert ops.is_fused("gemm_sgd", *shapes, dtype=BFLOAT16, backend="emulated")
            assert ops.workspace_bytes("gemm_sgd", *shapes, dtype=BFLOAT16, backend="emulated") == 0

    @pytest.mark.parametrize("sizes", [(64, 64, 2048), (64, 10, 128), (64, 64, 127)], ids=["in parts", "ten", "odd"])
    def test_of_what_the_plain_product_cuts_or_refuses(self, sizes):
        inputs, outputs, images = sizes
        shapes = ((inputs, images), (outputs, images), (inputs, outputs))
        assert not ops.is_fused("gemm_sgd", *shapes, dtype=BFLOAT16, backend="emulated")
        assert EMULATED.choose_gemm_sgd(sizes, True, "bfloat16").startswith("in turn: ")

    def test_asks_for_capability_and_addresses(self, monkeypatch):
        sizes = (64, 64, 64)
        assert EMULATED.choose_gemm_sgd(sizes, True, "bfloat16").startswith("one pass: tensor cores: 1 tiles of 64x256")
        assert EMULATED.choose_gemm_sgd(sizes, False, "bfloat16").startswith("in turn: ")
        monkeypatch.setenv("ALEXNET_EMULATOR_CAPABILITY", "100")
        assert EMULATED.choose_gemm_sgd(sizes, True, "bfloat16").startswith("in turn: ")

    def test_refuses_what_no_call_has(self):
        asked = {"dtype": BFLOAT16, "backend": "emulated"}
        with pytest.raises(ValueError, match="is_fused: got 'gemm', wanted one of conv2d_wgrad_sgd, gemm_sgd"):
            ops.is_fused("gemm", (8, 8), (8, 8), (8, 8), **asked)
        with pytest.raises(ValueError, match=r"is_fused: got the shapes .* wanted x \[inputs, N\], dy \[outputs, N\]"):
            ops.is_fused("gemm_sgd", (8, 4), (8, 8), (8, 8), **asked)


def gives_db(case):
    where = geometry.windows("conv2d", case.x[1:3], case.w[1:3], case.stride, case.pad, case.ceil_mode)
    return EMULATED.conv_wgrad_hopper_gives_db(case.x, case.w, case.y, where.stride, where.pad, case.groups, H200)


class TestWorkspace:
    CASES = parameters("conv2d_wgrad_db", *UPDATES, large=False)

    @pytest.mark.parametrize("dtype, capability", [("float32", HOPPER), ("bfloat16", GENERAL), ("bfloat16", HOPPER)])
    @pytest.mark.parametrize("operation, case", CASES)
    def test_of_the_size_asked_for(self, operation, case, dtype, capability, monkeypatch):
        """The same bits as in the operation's own, and nothing beside it is written."""
        monkeypatch.setenv("ALEXNET_EMULATOR_CAPABILITY", capability)
        a = drawn(operation, case, "normal").cast(DTYPES[dtype])
        shapes = (*shapes_of({**a, "w": np.empty(a["w_shape"])}),) if "w_shape" in a else shapes_of(a)
        bytes_ = ops.workspace_bytes(operation.name, *shapes, dtype=dtype, backend="emulated")
        poison = np.full(max(bytes_, 1), 0xFF, np.uint8)
        memory = Guarded(poison, 0)
        with ops.backend("emulated"):
            want = operation.run(
                {key: value.copy() if isinstance(value, np.ndarray) else value for key, value in a.items()}
            )
            got = operation.run({**a, "workspace": memory.array})
        assert memory.canaries_alive()
        assert [g.tobytes() for g in got] == [w.tobytes() for w in want]

    def test_too_small(self):
        x, dy = np.ones((4, 6), FLOAT32), np.ones((5, 6), FLOAT32)
        w, v = np.ones((4, 5), FLOAT32), np.ones((4, 5), FLOAT32)
        wanted = ops.workspace_bytes("gemm_sgd", x.shape, dy.shape, w.shape, dtype=FLOAT32, backend="emulated")
        assert wanted >= w.nbytes
        message = f"gemm_sgd: argument 'workspace': got 4 bytes, wanted {wanted}; use ops.workspace_bytes"
        with ops.backend("emulated"), pytest.raises(ValueError, match=message):
            ops.gemm_sgd(x, dy, w, v, lr=1, momentum=0, weight_decay=0, workspace=np.empty(4, np.uint8))
        assert (w == 1).all() and (v == 1).all()

    def test_at_odd_addresses_gradients_need_room(self):
        """Which a caller hears who has brought his own; without one it just works."""
        x, dy = np.ones((8, 8), BFLOAT16), np.ones((8, 8), BFLOAT16)
        w, v = Guarded(np.ones((8, 8), FLOAT32), 1).array, np.ones((8, 8), FLOAT32)
        rates = {"lr": 1, "momentum": 0, "weight_decay": 0}
        message = "got 1 bytes, wanted 256; use ops.workspace_bytes.*, and arrays at multiples of 16 bytes"
        with ops.backend("emulated"):
            with pytest.raises(ValueError, match=message):
                ops.gemm_sgd(x, dy, w, v, **rates, workspace=np.empty(1, np.uint8))
            assert (w == 1).all()
            ops.gemm_sgd(x, dy, w, v, **rates)
        assert (w == -7).all()
