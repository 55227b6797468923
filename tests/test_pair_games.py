"""Games of pairs: their steps in plain PyTorch, and trainings that are killed and go on."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, l1_loss

from ganlib.core.domains_schema import OF_LATENTS, DomainsParams
from ganlib.core.errors import StoppedError, UserError
from ganlib.core.files import read_json, read_table, sha256_of
from ganlib.core.packed import read_split
from ganlib.core.params import changed, load_domains_params
from ganlib.core.weights import load_network
from ganlib.features.judge import Judge
from ganlib.games import ccgan, cogan, context_encoder, cyclegan, dualgan, pix2pix, simgan, srgan, stackgan, tpgan
from ganlib.games.semi import Labelled
from ganlib.training import run
from ganlib.training.checkpoint import checkpoints_in
from ganlib.training.game import Players, TranslatingGame, build_networks, build_players
from stages.domains import evaluate as evaluate_stage
from stages.domains import export as export_stage
from stages.domains import pairs as pairs_stage
from stages.domains import report as report_stage
from stages.domains import train as train_stage
from stages.domains import translate as translate_stage
from stages.judge import main as judge
from stages.reference import main as reference
from tests.conftest import ROOT, edit_params

PAIRED: dict[str, TranslatingGame] = {"pix2pix": pix2pix, "context_encoder": context_encoder, "srgan": srgan}
GAMES: dict[str, TranslatingGame] = {
    **PAIRED,
    "cyclegan": cyclegan,
    "dualgan": dualgan,
    "simgan": simgan,
    "cogan": cogan,
    "ccgan": ccgan,
    "tpgan": tpgan,
    "stackgan": stackgan,
}
SETTINGS: dict[str, dict[str, str]] = {
    "pix2pix": {},
    "context_encoder": {"pairs.kind": "masked"},
    "srgan": {"pairs.kind": "lowres"},
    "cyclegan": {"pairs.paired": "false", "games.cyclegan.pool": "24"},
    "dualgan": {"pairs.paired": "false", "loss.name": "wasserstein", "loss.r1": "0"},
    "simgan": {"pairs.paired": "false", "pairs.kind": "worn", "pairs.made": "b", "games.simgan.pool": "24"},
    "ccgan": {"pairs.kind": "masked", "games.ccgan.labels": "5"},
    "tpgan": {"pairs.kind": "turned"},
    "stackgan": {"pairs.kind": "captions", "pairs.channels_b": "3", "model.norm": "batch"},
    "cogan": {"pairs.paired": "false", "pairs.kind": "negative", "model.norm": "batch"},
}
TINY = {
    "pairs.b.limit": "200",
    "pairs.image_size": "16",
    "pairs.flip": "true",
    "model.width": "4",
    "model.blocks": "1",
    "model.patch_layers": "1",
    "evaluate.judge_epochs": "1",
    "batch_size": "8",
    "steps": "16",
    "train.evaluate_every": "8",
    "train.checkpoint_every": "8",
    "train.log_every": "4",
    "train.evaluate_count": "100",
    "loss.r1_every": "4",
    "loss.r1": "1",
}


def write_params(folder: Path, game: str, **changes: str) -> None:
    text = (ROOT / "domains/params.yaml").read_text()
    by_key = {key.replace("__", "."): value for key, value in changes.items()}
    (folder / "domains").mkdir(exist_ok=True)
    (folder / "domains/params.yaml").write_text(edit_params(text, TINY | {"game": game} | SETTINGS[game] | by_key))


def params_of(folder: Path, game: str, **changes: str) -> DomainsParams:
    write_params(folder, game, **changes)
    return load_domains_params(folder / "domains/params.yaml")


def players_of(game: str, params: DomainsParams) -> Players:
    classes = {"class_names": ["x", "y"], "counts_per_class": {"train": {"x": 90, "y": 90}}}
    meta: dict[str, Any] = {side: {"image_size": 16, "channels": 1, **classes} for side in ("a", "b")}
    if game == "srgan":
        meta["a"]["image_size"] = 4
    hidden = torch.zeros(16, 16, dtype=torch.bool)
    hidden[4:12, 4:12] = True
    networks = build_networks(GAMES[game], GAMES[game].configs(params, meta | {"hidden": hidden.numpy()}), 1)
    return build_players(networks, GAMES[game], 1e-3, (0.5, 0.999), torch.device("cpu"))


def batch_for(game: str) -> pix2pix.Batch:
    small = 4 if game == "srgan" else 16
    b = torch.rand(4, 1, 16, 16) * 2 - 1
    if game == "context_encoder":
        known = b.clone()
        known[:, :, 4:12, 4:12] = 0
        return pix2pix.Batch(known, b)
    return pix2pix.Batch(torch.rand(4, 1, small, small) * 2 - 1, b)


@pytest.mark.parametrize("penalised", [False, True])
def test_a_step_of_pix2pix_is_that_of_plain_pytorch(tmp_path: Path, penalised: bool):
    params = params_of(tmp_path, "pix2pix", games__pix2pix__adversary="2", train__precision="fp32")
    players, batch = players_of("pix2pix", params), batch_for("pix2pix")
    generator, critic = (copy.deepcopy(players.networks[name]) for name in ("generator", "discriminator"))
    optimizers = [torch.optim.Adam(net.parameters(), 1e-3, (0.5, 0.999)) for net in (critic, generator)]
    for step in (4, 8) if penalised else (1, 2):
        recipe = pix2pix.recipe_at(step, pix2pix.recipe(params, torch.device("cpu")), params)
        assert (recipe.r1_weight == 4) == penalised
        result = pix2pix.step(players, [batch], recipe)
        fake, real = generator(batch.a), torch.cat([batch.a, batch.b], 1).requires_grad_()
        said = critic(real), critic(torch.cat([batch.a, fake.detach()], 1))
        targets = torch.ones_like(said[0]), torch.zeros_like(said[1])
        d_loss = torch.stack(
            [binary_cross_entropy_with_logits(*both) for both in zip(said, targets, strict=True)]
        ).sum()
        gradient = torch.autograd.grad(said[0].mean((1, 2, 3)).sum(), real, create_graph=True)[0]
        total = d_loss + (4 * 0.5 * gradient.flatten(1).norm(dim=1).square().mean() if penalised else 0)
        optimizers[0].zero_grad()
        total.backward()
        optimizers[0].step()
        judged = critic(torch.cat([batch.a, fake], 1))
        g_loss = 100 * l1_loss(fake, batch.b) + 2 * binary_cross_entropy_with_logits(judged, torch.ones_like(judged))
        optimizers[1].zero_grad()
        g_loss.backward()
        optimizers[1].step()
        assert result.d_loss == pytest.approx(float(d_loss.detach()), rel=1e-4)
        assert result.g_loss == pytest.approx(float(g_loss.detach()), rel=1e-4)
    for ours, plain in ((players.networks["generator"], generator), (players.networks["discriminator"], critic)):
        for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
            assert (one - other).abs().mean() < 2e-5  # Adam's steps are 1e-3, even of gradients that are rounding


@pytest.mark.parametrize("name", PAIRED)
def test_without_its_adversary_a_game_leaves_d_alone_and_nears_the_truth(tmp_path: Path, name: str):
    game = PAIRED[name]
    params = changed(params_of(tmp_path, name, train__precision="fp32"), game.BASELINE.changes)
    torch.manual_seed(0)
    players, batch = players_of(name, params), batch_for(name)
    before = copy.deepcopy(players.networks["discriminator"].state_dict())
    recipe = game.recipe_at(params.steps, game.recipe(params, torch.device("cpu")), params)
    losses = [float(game.step(players, [batch], recipe).content_loss) for _ in range(60)]
    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.equal(before[key], value) for key, value in players.networks["discriminator"].state_dict().items())


def test_srgan_brings_d_in_after_the_share_of_steps_that_is_srresnet_s(tmp_path: Path):
    params = params_of(tmp_path, "srgan", steps="10")
    recipe = srgan.recipe(params, torch.device("cpu"))
    adversaries = [srgan.recipe_at(step, recipe, params).adversary for step in range(1, 11)]
    assert adversaries == [0] * 4 + [0.001] * 6


def test_a_context_encoder_keeps_what_is_known(tmp_path: Path):
    generator = players_of("context_encoder", params_of(tmp_path, "context_encoder")).networks["generator"]
    images, hidden = torch.rand(2, 1, 16, 16), generator.hidden
    made = generator(images)
    assert hidden.sum() == 64 and torch.equal(made[:, :, ~hidden], images[:, :, ~hidden])
    assert not torch.isclose(made[:, :, hidden], images[:, :, hidden]).any()


def test_patches_larger_than_the_image_are_refused(tmp_path: Path):
    params = params_of(tmp_path, "pix2pix", model__patch_layers="3")
    with pytest.raises(UserError, match=r"model.patch_layers = 3: at 16 pixels, 2 is the most"):
        pix2pix.patches_config(params, 16, 2)


def prepared(folder: Path, game: str) -> None:
    write_params(folder, game)
    prepare_pairs_and_judge()


def prepare_pairs_and_judge() -> None:
    pairs_stage.main(Path("pairs"), Path("pairs.json"), Path("raw"))
    judge(Path("pairs/b"), Path("judge"), Path("domains/params.yaml"))
    reference(Path("pairs/b"), Path("judge"), Path("reference"), Path("domains/params.yaml"))


def trained(out: str, checkpoints: str = "checkpoints", baseline: bool = False) -> dict[str, str]:
    """Train; return the sha256 of every file."""
    train_stage.main(Path("pairs"), Path("judge"), Path(out), Path(checkpoints), baseline)
    return {str(path.relative_to(out)): sha256_of(path) for path in Path(out).rglob("*") if path.is_file()}


def asked_at(step: int) -> Any:
    """Return what stands for `stop_asked`, and asks for an end at a step."""

    @contextmanager
    def stop_asked(processes: int) -> Iterator[Any]:
        steps = iter(range(1, 1000))
        yield lambda: next(steps) == step

    return stop_asked


@pytest.mark.slow
@pytest.mark.parametrize("game", GAMES)
def test_a_training_that_goes_on_ends_as_one_that_was_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], game: str
):
    monkeypatch.chdir(tmp_path)
    prepared(tmp_path, game)
    whole = trained("whole")
    (folder,) = Path("checkpoints").iterdir()
    (last,) = checkpoints_in(folder)
    assert last.name == "step-000000016.pt"
    for stopped, steps in ((6, 6), (11, 5)):  # twice, the second time with a full pool
        monkeypatch.setattr(run, "stop_asked", asked_at(steps))
        with pytest.raises(StoppedError, match=f"step {stopped} is kept"):
            trained("resumed", "others")
        assert not Path("resumed").exists()
        monkeypatch.undo()
        monkeypatch.chdir(tmp_path)
        capfd.readouterr()
    resumed = trained("resumed", "others")
    assert "resumed at step 11" in capfd.readouterr().err
    assert resumed == whole and any("generator_ema" in name for name in whole)


@pytest.mark.slow
def test_a_baseline_is_another_training_and_too_few_pairs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    prepared(tmp_path, "pix2pix")
    assert trained("ours") != trained("base", baseline=True) and len(list(Path("checkpoints").iterdir())) == 2
    write_params(tmp_path, "pix2pix", batch_size="400")
    with pytest.raises(UserError, match=r"batch_size = 400: there are only 1\d\d training images"):
        trained("never")


def translated(out: str = "made") -> None:
    translate_stage.main(Path("pairs"), Path("ours"), Path("base"), Path(out), Path("metrics/translated.png"))


def evaluated() -> list[Path]:
    """Measure what was made, and write the page; return the files of figures."""
    metrics = [Path("metrics") / name for name in ("evaluate.json", "claims.json", "baselines.csv")]
    folders = [Path(name) for name in ("pairs", "judge", "reference", "ours", "base", "made")]
    evaluate_stage.main(*folders, *metrics)
    report_stage.main(Path("pairs"), Path("ours"), Path("metrics"), Path("page.html"))
    return metrics


@pytest.mark.slow
@pytest.mark.parametrize("game", GAMES)
def test_what_is_made_is_measured_shown_and_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, game: str):
    monkeypatch.chdir(tmp_path)
    prepared(tmp_path, game)
    trained("ours")
    trained("base", baseline=True)
    translated()
    evaluated()
    truth, made = read_split(Path("pairs/b"), "heldout").images, np.load("made/ours.npy")
    figures: Any = read_table(Path("metrics/baselines.csv"), "made by").set_index("made by").loc["the game"]
    assert figures.fid_to_heldout_low <= figures.fid_to_heldout <= figures.fid_to_heldout_high
    page = Path("page.html").read_text()
    assert all(name in page for name in read_json(Path("metrics/claims.json"))) and "Absent" not in page
    if game in OF_LATENTS:
        other = np.load(f"made/ours_{'a' if game == 'cogan' else 'first'}.npy")
        assert made.shape == truth.shape == other.shape
        with pytest.raises(UserError, match=f"game = {game}: it makes images of latents"):
            export_stage.main(Path("pairs"), Path("ours"), Path("translator.onnx"))
        return
    expected = 10 * np.log10(255**2 / np.square(made.astype(float) - truth).mean((1, 2, 3)))
    assert read_json(Path("metrics/evaluate.json"))["psnr"] == pytest.approx(expected.mean(), rel=1e-5)
    export_stage.main(Path("pairs"), Path("ours"), Path("translator.onnx"))
    session = onnxruntime.InferenceSession("translator.onnx", providers=["CPUExecutionProvider"])
    given = read_split(Path("pairs/a"), "heldout").images[:5].astype(np.float32) / 127.5 - 1
    (answer,) = session.run(["b"], {"a": given})
    levels = ((np.asarray(answer) + 1) * 127.5).clip(0, 255)  # SRResNet's answer can leave the range
    assert np.abs(levels - made[:5]).max() < 1.01


@pytest.mark.slow
@pytest.mark.parametrize("game", ["srgan", "cyclegan", "simgan"])
def test_own_images_are_translated_there_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, game: str):
    monkeypatch.chdir(tmp_path)
    prepared(tmp_path, game)
    trained("ours")
    trained("base", baseline=True)
    Path("own").mkdir()
    for number in range(3):
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (20, 24, 3), np.uint8)).save(f"own/{number}.png")
    write_params(tmp_path, game, translate__path="own")
    translated()
    assert [path.name for path in sorted(Path("made/own/b").iterdir())] == ["0.png", "1.png", "2.png"]
    assert Image.open("made/own/b/0.png").size == (16, 16)
    if game == "cyclegan":
        write_params(tmp_path, game, translate__path="own", translate__back="true")
        translated("back")
        given, answer = (np.asarray(Image.open(f"back/own/{side}/0.png")) for side in ("b", "a"))
        network = load_network(Path("ours/best"), "back_generator_ema", cyclegan.BUILDERS["back_generator"])
        expected = network(torch.from_numpy(given.astype(np.float32) / 127.5 - 1)[None, None])
        assert np.abs((expected.detach().numpy()[0, 0] + 1) * 127.5 - answer).max() < 1.01


@pytest.mark.slow
def test_two_folders_without_partners_go_through_all_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name, count, shade in (("horses", 60, 90), ("zebras", 110, 160)):
        Path(name).mkdir()
        for number in range(count):
            pixels = np.random.default_rng(number).integers(shade - 60, shade + 60, (18, 18, 3), np.uint8)
            Image.fromarray(pixels).save(f"{name}/{number}.png")
    folders = {
        "pairs__kind": "folders",
        "pairs__a": "horses",
        "pairs__b__dataset": "folder",
        "pairs__b__path": "zebras",
    }
    colours = {"pairs__channels_a": "3", "pairs__channels_b": "3", "games__cyclegan__identity": "5"}
    write_params(tmp_path, "cyclegan", **folders, **colours)
    prepare_pairs_and_judge()
    trained("ours")
    trained("base", baseline=True)
    translated()
    metrics = evaluated()
    figures, made = read_json(metrics[0]), np.load("made/ours.npy")
    a, b = (read_split(Path("pairs") / side, "heldout").images for side in ("a", "b"))
    assert len(made) == len(a) != len(b) and "psnr" not in figures and figures["cycle_psnr"] > 0
    rows = read_table(metrics[2], "made by").set_index("made by")
    assert list(rows.index) == ["the game", "GAN alone", "A itself", "training images of B"]
    assert "no partners" in Path("page.html").read_text()


def test_a_step_of_tpgan_is_that_of_plain_pytorch(tmp_path: Path):
    weights = {"l1": 50, "symmetry": 7, "features": 3, "variation": 2, "adversary": 1.5}
    changes = {f"games__tpgan__{name}": str(weight) for name, weight in weights.items()} | {"loss__r1": "0"}
    params = params_of(tmp_path, "tpgan", train__precision="fp32", **changes)
    judge_network = Judge(image_size=16, channels=1, class_names=["a", "b"]).eval().requires_grad_(False)
    plain_players = players_of("tpgan", params)
    players = replace(plain_players, networks={**plain_players.networks, "judge": judge_network})
    generator, critic = (copy.deepcopy(players.networks[name]) for name in ("generator", "discriminator"))
    batch, recipe = batch_for("tpgan"), tpgan.recipe(params, torch.device("cpu"))
    result = tpgan.step(players, [batch], recipe)
    fake, optimizer = generator(batch.a), torch.optim.Adam(critic.parameters(), 1e-3, (0.5, 0.999))
    said = critic(torch.cat([batch.a, batch.b], 1)), critic(torch.cat([batch.a, fake.detach()], 1))
    targets = torch.ones_like(said[0]), torch.zeros_like(said[1])
    losses = [binary_cross_entropy_with_logits(*both) for both in zip(said, targets, strict=True)]
    (losses[0] + losses[1]).backward()
    optimizer.step()
    judged = critic(torch.cat([batch.a, fake], 1))
    x = fake.detach().numpy()
    varied = np.abs(np.diff(x, axis=2)).mean() + np.abs(np.diff(x, axis=3)).mean()
    expected = 50 * np.abs(x - batch.b.numpy()).mean() + 7 * np.abs(x - x[:, :, :, ::-1]).mean() + 2 * varied
    expected += 3 * float((judge_network.maps(fake) - judge_network.maps(batch.b)).detach().square().mean())
    expected += 1.5 * float(binary_cross_entropy_with_logits(judged, torch.ones_like(judged)).detach())
    assert result.g_loss == pytest.approx(expected, rel=1e-4)


def test_a_step_of_ccgan_is_that_of_plain_pytorch(tmp_path: Path):
    params = params_of(tmp_path, "ccgan", train__precision="fp32", games__ccgan__told="2", games__ccgan__adversary="3")
    players, batch = players_of("ccgan", params), batch_for("context_encoder")
    images, labels = torch.rand(4, 1, 16, 16) * 2 - 1, torch.tensor([0, 1, 1, 0])
    inpainter, critic = (copy.deepcopy(players.networks[name]) for name in ("generator", "discriminator"))
    optimizers = [torch.optim.Adam(net.parameters(), 1e-3, (0.5, 0.999)) for net in (critic, inpainter)]
    recipe = ccgan.recipe_at(4, ccgan.recipe(params, torch.device("cpu")), params)
    assert recipe.r1_weight == 4
    result = ccgan.step(players, [batch, Labelled(images, labels)], recipe)
    real, fake = batch.b.clone().requires_grad_(), inpainter(batch.a)

    def logits(x: torch.Tensor) -> torch.Tensor:
        return critic.to_classes(critic.features(x, None)).exp().sum(1).log()

    said = logits(real), logits(fake.detach())
    d_loss = -said[0].sigmoid().log().mean() - (1 - said[1].sigmoid()).log().mean()
    slope = torch.autograd.grad(said[0].sum(), real, create_graph=True)[0]
    penalty = 4 * 0.5 * slope.flatten(1).norm(dim=1).square().mean()
    told = cross_entropy(critic.to_classes(critic.features(images, None)), labels)
    optimizers[0].zero_grad()
    (3 * (d_loss + penalty) + 2 * told).backward()
    optimizers[0].step()
    g_loss = -3 * logits(fake).sigmoid().log().mean()
    optimizers[1].zero_grad()
    g_loss.backward()
    optimizers[1].step()
    assert result.d_loss == pytest.approx(float(d_loss.detach()), rel=1e-4)
    assert result.g_loss == pytest.approx(float(g_loss.detach()), rel=1e-4)
    assert result.class_loss == pytest.approx(2 * float(told.detach()), rel=1e-4)
    for ours, plain in ((players.networks["generator"], inpainter), (players.networks["discriminator"], critic)):
        for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
            assert (one - other).abs().mean() < 2e-5


@pytest.mark.slow
def test_labels_that_ccgan_may_not_see_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    prepared(tmp_path, "ccgan")
    first = trained("first")
    path = Path("pairs/b/train_labels.npy")
    labels = np.load(path)
    chosen = ccgan.shown({"images": 0, "a": 0, "labels": torch.tensor(labels)}, load_domains_params())["labelled"]
    hidden = np.setdiff1d(np.arange(len(labels)), chosen.numpy())
    assert len(chosen) == 50 and len(hidden) > 50
    monkeypatch.setattr(ccgan, "chosen", lambda *given: chosen)  # else others would be drawn
    labels[hidden] = (labels[hidden] + 1) % 10
    np.save(path, labels)
    second = trained("second")
    weights = [name for name in first if name.startswith("final") and name.endswith("safetensors")]
    assert len(weights) == 4 and all(first[name] == second[name] for name in weights)
