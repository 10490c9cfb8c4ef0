"""Using a trained net: probabilities, features, gradients, evaluation, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
from PIL import Image

from alexnet_cuda import nn, ops, train
from alexnet_cuda.data import BadImage
from alexnet_cuda.train import checkpoint
from alexnet_cuda.train.evaluate import score, softmax


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return train.fit(tiny.net(), tiny.store(), out=out, progress=False, devices="cpu", workers=0)


PIXELS, LABELS = tiny.images(11, seed=9)


def test_probabilities(model):
    p = model.predict(PIXELS)
    assert p.shape == (11, 4) and p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    assert (p.argmax(axis=1) == LABELS).mean() > 0.5
    # One at a time, or more than fit a batch at once: the same.
    np.testing.assert_allclose(np.concatenate([model.predict(PIXELS[i : i + 1]) for i in range(11)]), p, rtol=1e-4)
    many = np.concatenate([PIXELS] * 13)
    np.testing.assert_allclose(model.predict(many), np.tile(p, (13, 1)), rtol=1e-4)
    assert model.predict(PIXELS[:0]).shape == (0, 4)


def test_probabilities_are_those_of_the_centre_crop(model):
    graph = nn.place(model.net, nn.devices("cpu"), 1, mean=model.mean, training=False)
    graph.set_weights(model.weights)
    graph.feed(PIXELS[:1], np.zeros(1, np.int32), np.ones((1, 2), np.int32), np.zeros(1, np.uint8))
    graph.evaluate()
    np.testing.assert_allclose(model.predict(PIXELS[:1])[0], softmax(graph.logits())[:, 0], rtol=1e-5)


def test_images_come_as_arrays_files_or_pillow_images(model, tmp_path):
    large = Image.fromarray(PIXELS[0]).resize((40, 30), Image.Resampling.NEAREST)
    large.save(tmp_path / "a.png")
    expected = model.predict(tmp_path / "a.png")
    assert expected.shape == (1, 4)
    for images in (str(tmp_path / "a.png"), [tmp_path / "a.png"], large, [large], np.asarray(large)[None]):
        np.testing.assert_array_equal(model.predict(images), expected)
    grey = large.convert("L")
    np.testing.assert_array_equal(model.predict(np.asarray(grey)[None, ..., None]), model.predict(grey))
    mixed = model.predict([tmp_path / "a.png", grey, np.asarray(large)])
    np.testing.assert_array_equal(mixed.argmax(axis=1)[[0, 2]], expected.argmax(axis=1).repeat(2))
    np.testing.assert_array_equal(model.predict(large.convert("CMYK").convert("RGB")), expected)
    assert model.predict(large.convert("CMYK")).shape == (1, 4)


def test_what_are_no_images_is_refused(model, tmp_path):
    (tmp_path / "page.jpg").write_text("<html>not found</html>")
    with pytest.raises(BadImage, match=r"page\.jpg: a web page"):
        model.predict(tmp_path / "page.jpg")
    with pytest.raises(ValueError, match=r"float64 \[2, 10, 10, 3\], wanted uint8 \[n, H, W, C\]"):
        model.predict(np.zeros((2, 10, 10, 3)))
    with pytest.raises(ValueError, match=r"uint8 \[10, 10, 3\], wanted"):
        model.predict(PIXELS[0])
    with pytest.raises(TypeError, match="got a int among them"):
        model.predict([3])
    with pytest.raises(TypeError, match="got a NoneType"):
        model.predict(None)


def test_features_are_whole_and_images_come_first(model):
    graph = nn.place(model.net, nn.devices("cpu"), 11, mean=model.mean, training=False)
    graph.set_weights(model.weights)
    graph.feed(PIXELS, LABELS, np.ones((11, 2), np.int32), np.zeros(11, np.uint8))
    graph.evaluate()
    conv2 = model.features(PIXELS, "conv2")
    assert conv2.shape == (11, 8, 4, 4)
    np.testing.assert_allclose(conv2, ops.to_nchw(graph.activation("conv2")), rtol=1e-4, atol=1e-5)
    assert conv2.min() == 0 < conv2.max()  # after the ReLU
    fc3 = model.features(PIXELS, "fc3")
    np.testing.assert_allclose(fc3, graph.activation("fc3").T, rtol=1e-4, atol=1e-5)
    data = model.features(PIXELS, "data")
    crop = PIXELS[:, 1:9, 1:9].astype(np.float32) - model.mean[1:9, 1:9]
    np.testing.assert_allclose(data, crop.transpose(0, 3, 1, 2) / 64, rtol=1e-6)
    assert model.features(PIXELS[:0], "conv2").shape == (0, 8, 4, 4)
    with pytest.raises(ValueError, match="no features 'conv9'; there are data, conv1, relu1"):
        model.features(PIXELS, "conv9")
    with pytest.raises(ValueError, match="no features 'loss'"):
        model.features(PIXELS, "loss")


def test_gradients_with_respect_to_pixels(model):
    """Against the change of each image's loss when its pixels get brighter together and darker together."""
    pixels = np.clip(PIXELS, 4, 251)
    gradient = model.input_gradient(pixels, LABELS)
    assert gradient.shape == (11, 3, 8, 8)

    def losses(images):
        return -np.log(model.predict(images)[np.arange(11), LABELS].astype(np.float64))

    mask = np.zeros((10, 10, 1), np.uint8)
    mask[2:5, 2:8] = 1
    change = (losses(pixels + mask) - losses(pixels - mask)) / 2
    along = (gradient[:, :, 1:4, 1:7]).sum(axis=(1, 2, 3))
    assert np.abs(along).max() > 1e-3
    np.testing.assert_allclose(along, change, rtol=0.1, atol=0.05 * np.abs(change).max())
    # An image's gradient is its own, whatever comes with it.
    np.testing.assert_allclose(model.input_gradient(pixels[3:4], LABELS[3:4])[0], gradient[3], rtol=1e-3, atol=1e-7)
    with pytest.raises(ValueError, match="labels: got 4, wanted 0 to 3"):
        model.input_gradient(pixels, LABELS + 1)
    with pytest.raises(ValueError, match=r"wanted integers \[11\]"):
        model.input_gradient(pixels, LABELS[:3])


def test_ten_views_are_the_mean_of_ten_predictions(model):
    store = tiny.store()
    total = np.zeros((40, 4))
    for y, x in ((0, 0), (0, 2), (2, 0), (2, 2), (1, 1)):
        crop = store.val.take(np.arange(40))[:, y : y + 8, x : x + 8]
        for view in (crop, crop[:, :, ::-1]):
            padded = np.zeros((40, 10, 10, 3), np.uint8)
            padded[:, 1:9, 1:9] = view
            total += model.predict(padded)
    expected = score(total.T / 10, store.val.labels)
    found = model.evaluate(store, views=10)
    assert found.images == 40
    assert (found.top1, found.top5) == (expected.correct[0] / 40, expected.correct[1] / 40)
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)


def test_scores_count_as_the_loss_does():
    generator = np.random.default_rng(3)
    logits = generator.integers(-3, 4, (7, 60)).astype(np.float32)  # many ties
    labels = generator.integers(-1, 7, 60).astype(np.int32)
    loss, correct, _ = ops.softmax_cross_entropy(logits, labels)
    result = score(softmax(logits), labels)
    assert result.correct == tuple(correct)
    assert result.images == (labels >= 0).sum()
    assert result.loss == pytest.approx(float(loss), rel=1e-5)


def test_evaluation_refuses_other_images(model):
    with pytest.raises(ValueError, match="trained on images of 10x10 pixels, these are 12x12 .* --size 10"):
        model.evaluate(tiny.store(size=12))
    with pytest.raises(ValueError, match="number 0 was 'ant', is 'elk'"):
        model.evaluate(tiny.store(classes=("elk", "bee", "cat", "dog")))
    with pytest.raises(ValueError, match="no validation images"):
        model.evaluate(tiny.store(val=None))
    with pytest.raises(ValueError, match="views: got 5"):
        model.evaluate(tiny.store(), views=5)
    assert model.evaluate(tiny.store(val=None), "train").images == 100


def test_loading(model, tmp_path):
    run, file = model.outcome.run, model.outcome.checkpoint
    expected = model.predict(PIXELS)
    for path in (run, str(run), file, run / "checkpoints"):
        loaded = train.Model.load(path, devices="cpu")
        assert loaded.class_names == tiny.CLASSES
        assert loaded.size == 10
        assert loaded.net.recipe == model.net.recipe
        np.testing.assert_array_equal(loaded.predict(PIXELS), expected)
    two = train.Model.load(run, devices="cpu,cpu")
    np.testing.assert_allclose(two.predict(PIXELS), expected, rtol=1e-4)
    with pytest.raises(train.CheckpointError, match="no such file or folder"):
        train.Model.load(tmp_path / "nothing")
    with pytest.raises(train.CheckpointError, match="no checkpoint in it"):
        train.Model.load(tmp_path)


def test_a_damaged_newest_checkpoint_is_passed_over(model, tmp_path):
    saved = checkpoint.load(model.outcome.checkpoint)
    for step in (1, 2):
        path = checkpoint.save(tmp_path / "checkpoints", saved.arrays, saved.meta, step=step)
    path.write_bytes(path.read_bytes()[:-100])
    warnings = []
    train.Model.load(tmp_path, devices="cpu", warn=warnings.append)
    assert len(warnings) == 1 and "step-0000000001" in warnings[0]
    with pytest.raises(train.CheckpointError, match="step-0000000002"):
        train.Model.load(path)


def test_a_checkpoint_of_something_else_is_no_model(tmp_path):
    path = checkpoint.save(tmp_path, {"w/a": np.zeros(3)}, {"net": 3}, step=1)
    with pytest.raises(train.CheckpointError, match="holds no model of this version"):
        train.Model.load(path)
